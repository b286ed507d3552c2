"""The documentation pages say every key of the YAML, and build without a warning."""

import re

import pytest

from configs.project import Project
from configs.schema import project_schema
from infra.docs import literal, main, packages, section_page, write_reference


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A folder with the built site."""
    folder = tmp_path_factory.mktemp("docs")
    assert main(folder) == 0
    return folder


def test_a_section_has_a_page_with_every_key_its_default_and_an_example(tmp_path):
    write_reference(tmp_path)
    schema = project_schema()
    for key in Project.model_fields.keys() - {"name", "description"}:
        page = (tmp_path / "yaml" / f"{key}.md").read_text()
        assert f"\n{key}:" in page.split("```")[1]
        for field in schema["$defs"].get(key.capitalize(), {}).get("properties", {}):
            assert f"### `{field}`" in page, (key, field)
    training = (tmp_path / "yaml" / "training.md").read_text()
    assert (
        "### `warmup` { #warmup }\n\nnumber, at least 0, at most 1 · default: `0.3`\n\nShare of all steps"
        in training
    )
    assert "timm:\\<model\\>" in training


def test_sections_inside_a_section_follow_on_its_page_once():
    page = "\n".join(section_page("source", project_schema(), "source: {}"))
    assert page.count("## Column {") == 1
    assert "## Source" not in page
    assert page.count("### `type` { #column-type }") == 1
    assert "`text`, `integer`, `number`, `boolean`, `timestamp`, `any` · **required**" in page


def test_what_markdown_would_take_for_a_tag_is_said():
    assert literal("writes <name>.yaml, `<name>` and *") == "writes \\<name\\>.yaml, `<name>` and \\*"


def test_the_site_has_a_page_a_package_and_fetches_nothing_from_elsewhere(build):
    pages = {
        page.relative_to(build / "site").as_posix(): page.read_text()
        for page in (build / "site").rglob("*.html")
    }
    assert {"index.html", "yaml/training.html", "packages/configs.html"} <= pages.keys()
    assert len([name for name in pages if name.startswith("packages/")]) == len(list(packages())) + 1
    for name, text in pages.items():
        assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?://(?!localhost)[^"]+"', text), (
            name
        )
    assert "Project" in pages["packages/configs.html"]
