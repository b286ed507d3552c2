"""Reads a project's YAML into its typed form, or says what is wrong with it.

The file, the key, the value, what is allowed.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from configs.intake import ImageIntakeConfig, TabularIntakeConfig, TextIntakeConfig
from configs.project import Project
from configs.result import ClassificationResultConfig, RegressionResultConfig
from configs.section import Section
from configs.source import SourceConfig
from configs.yaml_scalars import ReadingError, Written, hint, odd_numbers, read_yaml

BUNDLED = Path(__file__).parent
EXPONENT = re.compile(r"[-+]?[0-9]+e[-+]?[0-9]+", re.IGNORECASE)


RENAMED = {
    "training.start": "training.warm_start",
    "training.trunk_rate": "training.backbone_lr_factor",
    "training.accumulate": "training.accumulation_steps",
    "training.clip": "training.max_grad_norm",
    "evaluation.found": "evaluation.max_discovered",
    "evaluation.minimum": "evaluation.min_rows",
    "monitoring.minimum": "monitoring.min_predictions",
    "validation.against_last.distribution.at_most": "validation.against_last.distribution.max_distance",
}
"""What keys were called before 0.2, and what they are called now."""


class ConfigError(ValueError):
    """A project file cannot be used; the message names the file, the key, the value and what is allowed."""


def load(project: str | Path, overrides: Mapping[str, str] | None = None, folder: Path = BUNDLED) -> Project:
    """The project named `project` in `folder`, or the YAML file at that path.

    `overrides` are dotted keys with YAML values, such as {"training.epochs": "3"}. The YAML's own folder is
    put on the import path, so a network or reader beside it is found by its import path. Raises ConfigError.
    """
    path = find(project, folder)
    tree, written = read(path)
    for key, text in (overrides or {}).items():
        value, own = parse(text, f"--set {key}")
        section, last = set_key(tree, key, value)
        written.add(own)
        if not isinstance(value, str | list | dict):
            written.values[id(section), last] = text.strip()
    loaded = validate_tree(tree, written, path)
    if (beside := str(path.parent.resolve())) not in sys.path:
        sys.path.append(beside)
    return resolve_paths(loaded, path.parent.resolve())


def find(project: str | Path, folder: Path) -> Path:
    """The YAML file of a project name or path."""
    path = Path(project) if str(project).endswith((".yaml", ".yml")) else folder / f"{project}.yaml"
    if not path.is_file():
        known = ", ".join(project_names(folder)) or "none"
        raise ConfigError(
            f"{path}: no such project file. Known projects in {folder}: {known}; or give the path of a YAML file."
        )
    return path


def project_names(folder: Path = BUNDLED) -> list[str]:
    """Every project in `folder`, by file name, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def read(path: Path) -> tuple[dict[str, Any], Written]:
    """The YAML tree of a file, keys as written, and how its values were written."""
    tree, written = parse(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: holds {tree!r:.80}; a project file is a mapping that begins with `name:`")
    return tree, written


def parse(text: str, where: str) -> tuple[Any, Written]:
    """YAML `text` and how its values were written, or a ConfigError that names the place."""
    try:
        return read_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not YAML: {error}") from None
    except ReadingError as error:
        raise ConfigError(f"{where}: {error}") from None


def validate_tree(tree: dict[str, Any], written: Written, path: Path) -> Project:
    """The typed form of a tree.

    Where a text is wanted and YAML made a number or a date, the text is taken as it was written.
    """
    while True:
        try:
            loaded = Project.model_validate(tree)
            break
        except ValidationError as error:
            problems = error.errors()
        texts = [walk(problem["loc"])[1] for problem in problems if problem["type"] == "string_type"]
        taken = [written.take_text(tree, location) for location in texts]
        taken += [take_field_name(problem, tree, written) for problem in problems]
        # Each round turns at least one number or key into a text, so this ends.
        if not any(taken):
            raise ConfigError("\n".join(explain(path, problem, tree, written) for problem in problems))
    if odd := list(odd_numbers(tree, written)):
        raise ConfigError("\n".join(f"{path}: {each}" for each in odd))
    return loaded


def take_field_name(problem: Any, tree: dict[str, Any], written: Written) -> bool:
    """Takes a key of a section as it was written where that is a name the section has.

    YAML reads `on:` as true; whether it was so.
    """
    if problem["type"] != "invalid_key":
        return False
    sections, location = walk(problem["loc"])
    name = written.at(tree, [*location, "[key]"])
    return name in sections[-1].model_fields and written.take_key(tree, location, is_name=True)


def set_key(tree: dict[str, Any], key: str, value: Any) -> tuple[dict[str, Any], str]:
    """Sets a dotted key in a tree, making the sections on the way.

    Returns the section and the key's last part.
    """
    *sections, last = key.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {key}: {section!r} holds {tree!r:.80}, not a section")
    tree[last] = value
    return tree, last


def explain(path: Path, problem: Any, tree: dict[str, Any], written: Written) -> str:
    """One of pydantic's errors as a line that names file, key, value and what is allowed."""
    sections, keys = walk(problem["loc"])
    key = ".".join(keys) or "the project"
    value = f"{problem['input']!r:.80}"
    if problem["type"] == "extra_forbidden" and key in RENAMED:
        return f"{path}: {key} is called {RENAMED[key]} now (value {value})"
    if problem["type"] == "extra_forbidden":
        return f"{path}: {key}: unknown key (value {value}); allowed here: {', '.join(sections[-1].model_fields)}"
    if problem["type"] == "missing":
        return f"{path}: {key}: this key is missing"
    reason = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{path}: {key}: {reason}"
    return f"{path}: {key}: {value} is not allowed; {reason}{meant(problem, keys, tree, written)}"


def meant(problem: Any, keys: list[str], tree: dict[str, Any], written: Written) -> str:
    """What may have been meant, where YAML reads an unquoted text as something else."""
    value, text = problem["input"], written.at(tree, keys)
    if isinstance(value, bool) or (value is None and problem["type"] == "string_type"):
        return f". {hint(value, text)}"
    if (
        isinstance(value, str)
        and problem["type"] in ("int_parsing", "float_parsing")
        and EXPONENT.fullmatch(value)
    ):
        return f". YAML reads {value} as a text: write the number without an exponent"
    return ""


def walk(location: tuple[int | str, ...]) -> tuple[list[type[Section]], list[str]]:
    """The section classes that an error's location passes through, and its keys as the YAML has them (without pydantic's union tags)."""
    sections: list[type[Section]] = [Project]
    choices: list[type[Section]] = []
    keys = []
    for part in location:
        tagged = [choice for choice in choices if len(choices) > 1 and TAGS.get(choice, "custom") == part]
        if tagged:
            sections.append(tagged[0])
        else:
            keys.append(str(part))
            field = sections[-1].model_fields.get(str(part))
            choices = _sections(field.annotation) if field else choices
            sections += choices[:1] if len(choices) == 1 else []
    return sections, keys


TAGS = {
    ImageIntakeConfig: "image",
    TabularIntakeConfig: "tabular",
    TextIntakeConfig: "text",
    ClassificationResultConfig: "classification",
    RegressionResultConfig: "regression",
}


def _sections(annotation: Any) -> list[type[Section]]:
    """The section classes inside a type, through unions, tuples and annotations."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [section for part in getattr(annotation, "__args__", ()) for section in _sections(part)]


def resolve_paths(project: Project, folder: Path) -> Project:
    """The project with the relative paths of its sources made absolute from the YAML's folder, so flows may run anywhere."""
    return project.model_copy(update={"source": resolve_source_paths(project.source, folder)})


def resolve_source_paths(source: SourceConfig, folder: Path) -> SourceConfig:
    """A source and those that are joined and appended to it.

    URLs and paths that begin with a variable stay as they are.
    """
    path = source.path
    if path is not None and "://" not in path and not path.startswith("$") and not Path(path).is_absolute():
        path = str(folder / path)
    joins = tuple(
        join.model_copy(update={"source": resolve_source_paths(join.source, folder)}) for join in source.join
    )
    more = tuple(resolve_source_paths(each, folder) for each in source.append)
    return source.model_copy(update={"path": path, "join": joins, "append": more})
