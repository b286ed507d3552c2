"""Editors find the schema of the YAML that `gyre init` wrote."""

import json
import re
import subprocess
import sys

import pytest
import yaml
from jsonschema import Draft7Validator

GYRE = [sys.executable, "-c", "from flows.cli import main; main()"]


@pytest.fixture
def gyre(settings, tmp_path):
    """Runs the command in the test's folder."""
    return lambda *arguments: (
        subprocess.run([*GYRE, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    )


def test_a_drafted_project_names_a_schema_that_is_there_and_that_it_keeps(gyre, tmp_path):
    rows = "\n".join(f"{number},{number % 7},{'red' if number % 2 else 'blue'}" for number in range(200))
    (tmp_path / "flowers.csv").write_text(f"size,petals,colour\n{rows}\n")
    gyre("init", "flowers.csv", "--label", "colour")
    first, _, text = (tmp_path / "flowers.yaml").read_text().partition("\n")
    place = re.fullmatch(r"# yaml-language-server: \$schema=(.+)", first)[1]
    assert place == "home/project.schema.json"
    schema = json.loads((tmp_path / place).read_text())
    assert list(Draft7Validator(schema).iter_errors(yaml.safe_load(text))) == []


def test_the_schema_is_printed_or_written(gyre, tmp_path):
    printed = gyre("schema")
    assert "# yaml-language-server: $schema=wine.schema.json" in gyre("schema", "wine.schema.json")
    assert (tmp_path / "wine.schema.json").read_text() == printed
