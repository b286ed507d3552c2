"""Files in valid/ load; each file in invalid/ gives the text beside it, where {path} stands for the file."""

import sys
from pathlib import Path

import pytest

from configs.load import BUNDLED, ConfigError, load, project_names

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
    with pytest.raises(
        ConfigError, match=r"training\.epochs: 0 is not allowed; Input should be greater than or equal to 1"
    ):
        load("digits", {"training.epochs": "0"})
    with pytest.raises(ConfigError, match=r"--set name\.first: 'name' holds 'digits', not a section"):
        load("digits", {"name.first": "x"})


def test_an_unknown_project_is_told_with_the_known_ones():
    assert "digits" in project_names()
    with pytest.raises(
        ConfigError,
        match=r"digit\.yaml: no such project file\. Known projects in .*configs: adult, bike_sharing, digits",
    ):
        load("digit")


def test_a_relative_path_counts_from_the_yaml(tmp_path):
    (tmp_path / "tiny.yaml").write_text((HERE / "valid" / "smallest.yaml").read_text())
    assert load(tmp_path / "tiny.yaml").source.path == str(tmp_path / "rows.csv")


def test_numbers_and_dates_are_taken_as_they_were_written_where_a_text_is_wanted():
    project = load(HERE / "valid" / "numbers_as_texts.yaml")
    assert project.source.key == "2"
    assert list(project.source.columns) == ["1", "007", "2026-01-31"]
    assert project.source.columns["2026-01-31"].missing == ("-1", "9_999", "1e3")
    assert (project.intake.numeric, project.intake.categorical) == (("1", "2026-01-31"), ("007",))
    assert (project.result.classes, project.result.label) == (("0", "1", "1.50", "1_000"), "10")
    assert (project.training.epochs, project.training.compile) == (1000, False)


def test_a_value_from_the_command_line_is_taken_as_it_was_written_too():
    changes = {"result.classes": "[0, 007, 2]", "result.label": "1_0", "training.compile": "yes"}
    project = load(HERE / "valid" / "numbers_as_texts.yaml", changes)
    assert (project.result.classes, project.result.label, project.training.compile) == (
        ("0", "007", "2"),
        "1_0",
        True,
    )
    with pytest.raises(
        ConfigError, match=r'--set result\.classes: 0: YAML reads an unquoted `No` as false: quote it, "No"'
    ):
        load(HERE / "valid" / "numbers_as_texts.yaml", {"result.classes": "[No, Yes]"})
    with pytest.raises(
        ConfigError,
        match=r"training\.epochs: YAML reads an unquoted 1:30 as 90: quote it where a text is meant",
    ):
        load(HERE / "valid" / "numbers_as_texts.yaml", {"training.epochs": "1:30"})


def test_a_key_of_the_schema_that_yaml_reads_as_true_needs_no_quotes(tmp_path):
    text = (HERE / "valid" / "smallest.yaml").read_text()
    join = "join: [{source: {reader: csv, path: b.csv}, on: kind}]"
    (tmp_path / "joined.yaml").write_text(text.replace("path: rows.csv", f"path: rows.csv, {join}"))
    assert load(tmp_path / "joined.yaml").source.join[0].on == "kind"


def test_an_anchor_and_a_merge_are_no_repeated_keys(tmp_path):
    text = (HERE / "valid" / "smallest.yaml").read_text()
    (tmp_path / "merged.yaml").write_text(
        text + "gate: &gate {min_score: 0.5}\ntraining: {<<: {epochs: 3, seed: 1}, epochs: 4}\n"
    )
    project = load(tmp_path / "merged.yaml")
    assert (project.training.epochs, project.training.seed, project.gate.min_score) == (4, 1, 0.5)
