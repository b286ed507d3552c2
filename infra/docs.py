"""Builds the documentation pages: `make docs`.

    python -m infra.docs        into .docs/site, to be opened at .docs/site/index.html

README is the first page; the keys of the YAML come from its JSON schema (configs/schema.py) and
configs/examples/, the rest from docstrings. No page names a key or a module by hand, so none can fall behind.
"""

import ast
import itertools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from griffe import Extension, Object

from configs.schema import OTHERWISE, project_schema

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "configs" / "examples"
BUILD = ROOT / ".docs"
FLOORS = ("flows", "tasks", "infra", "configs")
HOUSE = {"Architecture": "ARCHITECTURE.md", "Contributing": "CONTRIBUTING.md", "Changelog": "CHANGELOG.md"}
"""Pages that are written by hand, in .github/."""
WIDE = ".md-grid { max-width: 78rem; }\n"
"""README's lines of code are wider than the theme's pages."""
Schema = dict[str, Any]
SECTION_REFERENCE = "#/$defs/"
WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true` or `false`",
    "null": "`null`",
}
BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
}


def main(build: Path = BUILD) -> int:
    """Writes the pages and builds the site of them; the exit code of the builder."""
    pages = build / "pages"
    shutil.rmtree(pages, ignore_errors=True)
    pages.mkdir(parents=True)
    (pages / "wide.css").write_text(WIDE, encoding="utf-8")
    navigation = [*write_house(pages), *write_reference(pages), *write_packages(pages)]
    (build / "mkdocs.yml").write_text(yaml.safe_dump(settings(navigation), sort_keys=False), encoding="utf-8")
    builder = [
        str(Path(sys.executable).with_name("zensical")),
        "build",
        "--clean",
        "--strict",
        "--config-file",
        "mkdocs.yml",
    ]
    ended = subprocess.run(builder, cwd=build, check=False).returncode
    if not ended:
        site = build / "site"
        print(f"Open {site / 'index.html'}. Searching in the pages needs a server:")
        print(f"  {sys.executable} -m http.server --bind 127.0.0.1 --directory {site} 8090")
    return ended


def settings(navigation: list[Any]) -> dict[str, Any]:
    """What the builder reads.

    Pages open from disk and fetch nothing from elsewhere (`offline` would: a script for its search).
    """
    python = {
        "paths": [str(ROOT)],
        "options": {
            "docstring_style": None,
            "extensions": [f"{Path(__file__).resolve()}:LiteralDocstrings"],
            "heading_level": 2,
            "members_order": "source",
            "separate_signature": True,
            "show_labels": False,
            "show_root_full_path": True,
            "show_root_heading": True,
            "show_signature_annotations": True,
            "show_source": False,
            "show_symbol_type_heading": True,
        },
    }
    return {
        "site_name": "Gyre",
        "docs_dir": "pages",
        "site_dir": "site",
        "use_directory_urls": False,
        "theme": {
            "font": False,
            "features": [
                "navigation.sections",
                "navigation.footer",
                "search.highlight",
                "content.code.copy",
                "toc.follow",
            ],
        },
        "extra_css": ["wide.css"],
        "nav": navigation,
        "plugins": ["search", {"mkdocstrings": {"handlers": {"python": python}}}],
        "markdown_extensions": [
            "tables",
            "attr_list",
            "pymdownx.superfences",
            "pymdownx.highlight",
            {"toc": {"permalink": True}},
        ],
    }


class LiteralDocstrings(Extension):
    """Docstrings say <name> for a placeholder, which Markdown would drop as a tag that nobody knows."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Called for each module, class, function and attribute."""
        if obj.docstring:
            obj.docstring.value = literal(obj.docstring.value)


def literal(text: str) -> str:
    """Markdown in which what stands outside of `code` means itself."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([<>*_|\\])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def write_house(pages: Path) -> list[Any]:
    """README, and what .github says about working on Gyre."""
    shutil.copy(ROOT / "README.md", pages / "index.md")
    for name in HOUSE.values():
        shutil.copy(ROOT / ".github" / name, pages / name)
    return [{"Gyre": ["index.md", *({title: name} for title, name in HOUSE.items())]}]


def write_reference(pages: Path) -> list[Any]:
    """A page a section of the YAML, and one that lists them."""
    folder = pages / "yaml"
    folder.mkdir()
    schema = project_schema()
    sections = {
        key: field for key, field in schema["properties"].items() if "$ref" in field or "allOf" in field
    }
    for key in sections:
        text = "\n".join(section_page(key, schema, example(key)))
        (folder / f"{key}.md").write_text(text, encoding="utf-8")
    (folder / "index.md").write_text("\n".join(overview(schema, sections)), encoding="utf-8")
    return [{"The YAML": ["yaml/index.md", *({f"{key}": f"yaml/{key}.md"} for key in sections)]}]


def example(section: str) -> str:
    """What the section may look like in a YAML. Raises FileNotFoundError naming the file that a new section needs."""
    return (EXAMPLES / f"{section}.yaml").read_text(encoding="utf-8")


def overview(schema: Schema, sections: Schema) -> Iterator[str]:
    """The keys of a project, and what each section is for."""
    yield "# A project's YAML"
    yield ""
    yield one_line(schema)
    yield "`gyre check` reads one and says what is wrong with it; `gyre schema` writes what editors check it by."
    yield ""
    for key, field in schema["properties"].items():
        if key in sections:
            needed = " **Required.**" if key in schema["required"] else ""
            told = " ".join(one_line(each) for _, each in section_kinds(field, schema))
            yield f"- [`{key}`]({key}.md): {told}{needed}"
        else:
            yield f"- `{key}`: {key_facts(key, schema)}. {one_line(field)}"


def section_page(key: str, schema: Schema, shown: str) -> Iterator[str]:
    """A section with every key, its type, its default and its docstring; the sections inside it follow."""
    yield f"# {key}"
    yield ""
    field = schema["properties"][key]
    kinds = section_kinds(field, schema)
    if len(kinds) == 1:
        yield from (one_line(kinds[0][1]), "")
    yield from ("```yaml", shown.rstrip(), "```", "")
    # A section may name itself, as a source its `append`: it is on the page already.
    own = list(named_sections(field))
    inner = [*own]
    for kind, section in kinds:
        if kind:
            yield from (f"## {kind_title(kind)} {{ #{kind} }}", "", one_line(section), "")
        yield from keys_of(section, kind, inner)
    # Grows while it is gone through: a section inside may hold another.
    for name in itertools.islice(inner, len(own), None):
        section = schema["$defs"][name]
        title = section_title(name)
        yield from (f"## {title} {{ #{title.lower()} }}", "")
        for form in section.get("anyOf", [section]):
            yield from (one_line(form), "")
            yield from keys_of(form, title.lower(), inner)


def section_kinds(field: Schema, schema: Schema) -> list[tuple[str, Schema]]:
    """The sections that a key may hold, by their `kind`; one without a name where there is one."""
    if "$ref" in field:
        return [("", resolve(field, schema))]
    found = []
    for rule in field["allOf"]:
        kind = rule["if"]["properties"]["kind"].get("const", OTHERWISE)
        found.append((kind, resolve(rule["then"], schema)))
    return found


def section_title(name: str) -> str:
    """What the section of a schema's definition is called: `Column` for `ColumnConfig`."""
    return name.removesuffix("Config")


def kind_title(kind: str) -> str:
    """What a section of this kind is headed."""
    return "kind: an import path" if kind == OTHERWISE else f"kind: {kind}"


def keys_of(section: Schema, prefix: str, inner: list[str]) -> Iterator[str]:
    """Each key as a heading, its facts and its docstring; adds the sections that they name to `inner`."""
    for key, field in section.get("properties", {}).items():
        anchor = f"{prefix}-{key}" if prefix else key
        yield from (f"### `{key}` {{ #{anchor} }}", "", f"{key_facts(key, section)}", "")
        yield from (one_line(field), "")
        for name in named_sections(field):
            if name not in inner:
                inner.append(name)


def key_facts(key: str, section: Schema) -> str:
    """A key's type, and its default or that it must be given."""
    field = section["properties"][key]
    if key in section.get("required", ()):
        return f"{type_of(field)} · **required**"
    if "default" in field:
        default = json.dumps(field["default"], ensure_ascii=False)
        return f"{type_of(field)} · default: `{default}`"
    return f"{type_of(field)} · default: that of each of its keys"


def type_of(field: Schema) -> str:
    """A JSON schema's type in words."""
    match field:
        case {"$ref": reference}:
            name = reference.removeprefix(SECTION_REFERENCE)
            title = section_title(name)
            told = f"[{title}](#{title.lower()})"
        case {"anyOf": choices}:
            told = " or ".join(type_of(each) for each in choices)
        case {"enum": values}:
            told = ", ".join(f"`{value}`" for value in values)
        case {"const": value}:
            told = f"`{value}`"
        case {"pattern": pattern}:
            told = str(field.get("title") or f"text that matches `{pattern}`")
        case {"type": "array"}:
            told = list_type(field)
        case {"type": "object"}:
            told = mapping_type(field)
        case {"type": str(kind)}:
            limits = [f"{words} {field[bound]:,}" for bound, words in BOUNDS.items() if bound in field]
            told = ", ".join([WORDS[kind], *limits])
        case {"type": _}:
            # Several: a number is taken as the text that was written.
            told = WORDS["string"]
        case _:
            told = "anything"
    return told


def mapping_type(field: Schema) -> str:
    """A mapping's type: to what, where that is not anything."""
    values = [*field.get("patternProperties", {}).values(), field.get("additionalProperties")]
    return f"mapping to {type_of(values[0])}" if isinstance(values[0], dict) and values[0] else "mapping"


def list_type(field: Schema) -> str:
    """A list's type: of how many, of what."""
    items = field.get("items", {})
    if isinstance(items, list):
        return f"list of {len(items)}: {type_of(items[0])}"
    least = f" of at least {field['minItems']}" if "minItems" in field else ""
    return f"list{least}: {type_of(items)}" if items else f"list{least}"


def named_sections(field: Any) -> Iterator[str]:
    """The sections that a key's type names, wherever in it."""
    parts = field.values() if isinstance(field, dict) else field if isinstance(field, list) else ()
    if isinstance(field, dict) and "$ref" in field:
        yield field["$ref"].removeprefix(SECTION_REFERENCE)
    for part in parts:
        yield from named_sections(part)


def resolve(reference: Schema, schema: Schema) -> Schema:
    """The section that a reference names."""
    section: Schema = schema["$defs"][reference["$ref"].removeprefix(SECTION_REFERENCE)]
    return section


def one_line(described: Schema) -> str:
    """A docstring in one line."""
    return literal(" ".join(described.get("description", "").split()))


def write_packages(pages: Path) -> list[Any]:
    """A page a package, with every module's docstrings, and one that lists the packages."""
    folder = pages / "packages"
    folder.mkdir()
    overview_lines = ["# Packages", ""]
    navigation: list[Any] = ["packages/index.md"]
    for package in packages():
        name = ".".join(package.relative_to(ROOT).parts)
        overview_lines.append(f"- [`{name}`]({name}.md): {first_line(package / '__init__.py')}")
        modules = [path for path in sorted(package.glob("*.py")) if not path.stem.startswith("__")]
        blocks = [
            f"# {name}",
            "",
            f"::: {name}",
            "    options: {members: false, show_root_heading: false}",
            "",
        ]
        for module in modules:
            blocks += [f"::: {name}.{module.stem}", ""]
        (folder / f"{name}.md").write_text("\n".join(blocks), encoding="utf-8")
        navigation.append({name: f"packages/{name}.md"})
    (folder / "index.md").write_text("\n".join(overview_lines), encoding="utf-8")
    return [{"Packages": navigation}]


def packages() -> Iterator[Path]:
    """Every package of the four floors, from the top."""
    for floor in FLOORS:
        for init in sorted((ROOT / floor).rglob("__init__.py")):
            yield init.parent


def first_line(module: Path) -> str:
    """The first line of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return literal(docstring.partition("\n")[0])


if __name__ == "__main__":
    sys.exit(main())
