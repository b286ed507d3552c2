"""A look at the first rows finds what would stop a run, and names it."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.load import load, project_names
from tasks.onboarding.preflight import PreflightError, look_ahead

DATA = Path(os.environ.get("GYRE_DATA", Path(__file__).parents[4] / "shared" / "data"))
HEAD = "id,size,colour,label\n"
ROWS = HEAD + "".join(
    f"{number},{number / 7:.3f},{'red' if number % 3 else 'blue'},{'yes' if number % 2 else 'no'}\n"
    for number in range(90)
)
PROJECT = {
    "intake": "{kind: tabular, numeric: [size], categorical: [colour]}",
    "result": "{kind: classification, classes: ['yes', 'no']}",
}


@pytest.fixture
def project(tmp_path):
    """A project of one CSV file; keyword arguments are sections of its YAML."""

    def write(rows=ROWS, **sections):
        (tmp_path / "rows.csv").write_text(rows)
        sections = {"source": "{reader: csv, path: rows.csv}"} | PROJECT | sections
        lines = ["name: boxes", *(f"{name}: {text}" for name, text in sections.items())]
        (tmp_path / "boxes.yaml").write_text("\n".join(lines))
        return load(tmp_path / "boxes.yaml")

    return write


def refusal(config):
    with pytest.raises((PreflightError, ValueError)) as caught:
        look_ahead(config)
    return str(caught.value)


def test_a_sound_project_passes(project):
    assert look_ahead(project()) == ()


def test_a_file_that_is_not_there_is_named(project, tmp_path):
    assert "matches no file; set source.path" in refusal(project(source="{reader: csv, path: other.csv}"))


def test_a_file_without_rows_says_what_to_do(project):
    assert "rows.csv: holds no rows; bring some" in refusal(project(rows=HEAD))


def test_a_column_of_the_intake_that_is_missing_is_named(project):
    said = refusal(project(intake="{kind: tabular, numeric: [Size]}"))
    assert "no column 'Size' (intake); it has id, size, colour, label" in said


def test_a_text_column_named_as_numeric_is_refused(project):
    said = refusal(project(intake="{kind: tabular, numeric: [size, colour]}"))
    assert "colour: 90 of 90 values could not be read as the intake wants them" in said
    assert "checks: {unreadable_values: allow}" in said


def test_labels_that_are_no_classes_are_named(project):
    said = refusal(project(result="{kind: classification, classes: ['Yes', 'No']}"))
    assert "column 'label' holds 'no', 'yes'; result.classes allows Yes, No" in said


def test_a_label_that_is_no_number_is_named(project):
    assert "result.kind regression wants finite numbers" in refusal(project(result="{kind: regression}"))


def test_every_key_that_names_a_column_is_checked_and_all_are_told_at_once(project):
    said = refusal(
        project(
            training="{sample_weight: weight}",
            versioning="{split: {by: group, column: person}}",
            evaluation="{slices: [shape]}",
            validation="{expectations: [{type: expect_column_values_to_not_be_null, kwargs: {column: depth}}]}",
        )
    )
    for column, key in [
        ("weight", "training.sample_weight"),
        ("person", "versioning.split.column"),
        ("shape", "evaluation.slices"),
    ]:
        assert f"no column {column!r} ({key})" in said
    assert "no column 'depth' (validation.expectations, expect_column_values_to_not_be_null)" in said


def test_a_network_that_does_not_take_the_rows_is_named(project, tmp_path):
    (tmp_path / "narrow_net.py").write_text(
        "from torch import nn\n\ndef Net(shape, outputs):\n    return nn.Linear(7, outputs)\n"
    )
    said = refusal(project(training="{network: 'narrow_net:Net'}"))
    assert (
        "training.network narrow_net:Net does not take these rows: mat1 and mat2 shapes cannot be multiplied"
        in said
    )


def test_a_network_with_other_outputs_is_named(project, tmp_path):
    (tmp_path / "wide_net.py").write_text(
        "from torch import nn\n\ndef Net(shape, outputs):\n    return nn.Linear(shape[0], 5)\n"
    )
    assert "training.network wide_net:Net gives outputs [64, 5]; want [64, 2]" in refusal(
        project(training="{network: 'wide_net:Net'}")
    )


OWNERS = "colour,owner,paid\nred,Ann,1\nblue,Bob,2\n"
JOIN = "{reader: csv, path: rows.csv, join: [{source: {reader: csv, path: owners.csv}, on: colour}]}"


@pytest.fixture
def joined(project, tmp_path):
    """A project with the owner of each colour in a second file."""

    def write(
        owners=OWNERS, source=JOIN, intake="{kind: tabular, numeric: [size], categorical: [owner]}", **more
    ):
        (tmp_path / "owners.csv").write_text(owners)
        return project(source=source, intake=intake, **more)

    return write


def test_joined_columns_are_there_for_the_intake_the_label_and_every_key(joined):
    assert look_ahead(joined(evaluation="{slices: [owner]}")) == ()
    said = refusal(joined(evaluation="{slices: [shoe]}"))
    assert "no column 'shoe' (evaluation.slices); the rows have" in said
    assert "owner" in said
    said = refusal(
        joined(
            result="{kind: classification, label: owner, classes: [Ann, Cid]}",
            intake="{kind: tabular, numeric: [size]}",
        )
    )
    assert "column 'owner' holds 'Bob'; result.classes allows Ann, Cid" in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"source": JOIN.replace("owners", "nobody")},
            "source.join[0]: source {folder}/nobody.csv: matches no file",
        ),
        ({"owners": "colour,owner\n"}, "owners.csv: holds no rows"),
        (
            {"owners": OWNERS.replace("colour", "paint")},
            "source.join[0]: join with source {folder}/owners.csv: no column 'colour' (source.join.on); it has paint, owner, paid",
        ),
        (
            {"owners": OWNERS + "red,Cid,3\n"},
            "colour 'red' comes 2 times; a join would double rows, so make it unique there",
        ),
        (
            {"owners": OWNERS.replace("paid", "size")},
            "column 'size' is in both; leave it out there (source.columns, extra: ignore)",
        ),
        (
            {"source": JOIN.replace("on: colour", "on: owner")},
            "rows.csv: no column 'owner' (source.join.on); it has id, size, colour, label",
        ),
        (
            {
                "source": JOIN.replace(
                    "owners.csv}",
                    "owners.csv, columns: {colour: {type: text}, owner: {type: text}, paid: {type: integer}}}",
                ),
                "owners": OWNERS.replace("Bob,2", "Bob,much"),
            },
            "source.join[0]: join with source {folder}/owners.csv: column 'paid'",
        ),
        (
            {
                "source": JOIN.replace(
                    "owners.csv}",
                    "owners.csv, columns: {colour: {type: integer}, owner: {type: text}, paid: {type: text}}}",
                ),
                "owners": OWNERS.replace("red", "1").replace("blue", "2"),
            },
            "'colour' (source.join.on) is string in source {folder}/rows.csv and int64 there",
        ),
    ],
)
def test_what_is_wrong_with_a_joined_source_is_named_with_its_key_and_file(joined, tmp_path, changes, said):
    assert said.replace("{folder}", str(tmp_path)) in refusal(joined(**changes))


def test_rows_without_a_match_are_told_where_the_joined_source_was_read_to_its_end(joined, monkeypatch):
    owners = OWNERS.replace("blue,Bob,2", "green,Bob,2")
    (found,) = [each for each in look_ahead(joined(owners)) if each.finding.check == "unmatched_kept"]
    assert (found.finding.count, found.finding.total) == (30, 90)
    assert "'blue' in line 2" in found.finding.examples
    monkeypatch.setattr("tasks.ingestion.joined_preview.ROWS", 1)
    assert "unmatched_kept" not in {each.finding.check for each in look_ahead(joined(owners))}


def test_a_joined_source_whose_first_rows_belong_to_none_stops_nothing(joined, monkeypatch):
    monkeypatch.setattr("tasks.ingestion.joined_preview.ROWS", 1)
    assert look_ahead(joined(OWNERS.replace("red,Ann", "green,Ann"))) == ()


def test_what_reading_a_joined_source_leaves_out_is_told(joined):
    assert "ragged_lines" in refusal(joined(OWNERS + "green,Cid\n"))


def test_an_appended_source_has_the_joined_columns_too(joined, tmp_path):
    (tmp_path / "more.csv").write_text(ROWS.replace("red", "green"))
    source = JOIN.replace("on: colour}]", "on: colour}], append: [{reader: csv, path: more.csv}]")
    looked = look_ahead(joined(OWNERS, source, checks="{unmatched_kept: warn}"))
    assert [each.finding.check for each in looked] == ["unmatched_kept"]


def test_images_are_looked_at_too(tmp_path):
    for number in range(60):
        folder = tmp_path / "photos" / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(folder / f"{number}.png")
    text = "name: pets\nsource: {reader: images, path: photos}\nintake: {kind: image, height: 8, width: 8}\n"
    (tmp_path / "pets.yaml").write_text(text + "result: {kind: classification, classes: [cat, cow]}\n")
    assert "column 'label' holds 'dog'; result.classes allows cat, cow" in refusal(
        load(tmp_path / "pets.yaml")
    )


@pytest.mark.parametrize("name", project_names())
def test_the_projects_that_gyre_brings_pass(name, monkeypatch):
    config = load(name)
    if config.source.mirror:
        if not DATA.is_dir():
            pytest.skip(f"no data sets in {DATA}; set GYRE_DATA")
        monkeypatch.setenv("GYRE_DATA", str(DATA))
    assert all(judged.action != "refuse" for judged in look_ahead(config))
