"""Files in valid/ load; each file in invalid/ gives the text beside it, where {path} stands for the file."""

import sys
from pathlib import Path

import pytest

from configs.load import BUNDLED, ConfigError, load, names

HERE = Path(__file__).parent
VALID = sorted([*(HERE / "valid").glob("*.yaml"), *BUNDLED.glob("*.yaml")])
INVALID = sorted((HERE / "invalid").glob("*.yaml"))


@pytest.fixture(autouse=True)
def import_path(monkeypatch):
    """Loading puts the YAML's folder on the import path."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_valid_file_loads(path):
    assert load(path).name


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_file_gives_its_text(path):
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).replace(str(path), "{path}") == path.with_suffix(".txt").read_text().rstrip("\n")


def test_every_invalid_file_has_a_text_and_every_text_a_file():
    assert {path.stem for path in INVALID} == {path.stem for path in (HERE / "invalid").glob("*.txt")}


def test_a_change_from_the_command_line_is_checked_as_the_file_is():
    assert load("digits", {"training.epochs": "3", "schedule.nightly": "0 4 * * *"}).training.epochs == 3
    with pytest.raises(ConfigError, match=r"training\.epochs: 0 is not allowed; Input should be greater than or equal to 1"):
        load("digits", {"training.epochs": "0"})
    with pytest.raises(ConfigError, match=r"--set name\.first: 'name' holds 'digits', not a section"):
        load("digits", {"name.first": "x"})


def test_an_unknown_project_is_told_with_the_known_ones():
    assert "digits" in names()
    with pytest.raises(ConfigError, match=r"digit\.yaml: no such project file\. Known projects in .*configs: adult, bike_sharing, digits"):
        load("digit")


def test_a_relative_path_counts_from_the_yaml(tmp_path):
    (tmp_path / "tiny.yaml").write_text((HERE / "valid" / "smallest.yaml").read_text())
    assert load(tmp_path / "tiny.yaml").source.path == str(tmp_path / "rows.csv")
