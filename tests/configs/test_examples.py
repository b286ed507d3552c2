"""Every section of the YAML has examples (configs/examples/, shown on its page of `make docs`), and each is a project's part that loads."""

import json
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from configs.load import BUNDLED, load
from configs.project import Project
from configs.schema import project_schema

SMALLEST = yaml.safe_load((Path(__file__).parent / "valid" / "smallest.yaml").read_text())
FILES = sorted((BUNDLED / "examples").glob("*.yaml"))
EXAMPLES = [
    pytest.param(path.stem, text, id=f"{path.stem}-{number}")
    for path in FILES
    for number, text in enumerate(path.read_text().split("\n---\n"))
]


def test_every_section_has_an_example_and_every_example_a_section():
    assert [path.stem for path in FILES] == sorted(Project.model_fields.keys() - {"name", "description"})


@pytest.mark.parametrize(("section", "text"), EXAMPLES)
def test_an_example_loads_keeps_the_schema_and_shows_its_section(section, text, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    shown = yaml.safe_load(text)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(SMALLEST | shown))
    assert section in load(tmp_path / "tiny.yaml").model_fields_set
    tree = json.loads(json.dumps(SMALLEST | shown))
    assert list(Draft7Validator(project_schema()).iter_errors(tree)) == []
