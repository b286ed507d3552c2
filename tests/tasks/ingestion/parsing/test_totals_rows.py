"""Totals at the end of a file are told with the row quoted, and stay."""

import random

import pytest

from configs.intake import TabularIntakeConfig
from configs.source import SourceConfig
from tasks.ingestion.preview import preview

HEAD = "name,height,weight,kind\n"
NUMBERS = TabularIntakeConfig(kind="tabular", numeric=("height", "weight"))
DRAW = random.Random(4)  # noqa: S311
PETS = [(round(DRAW.uniform(1, 9), 1), round(DRAW.uniform(20, 90), 2)) for _ in range(40)]
ROWS = "".join(
    f"p{number},{height},{weight},{'cat' if number % 2 else 'dog'}\n"
    for number, (height, weight) in enumerate(PETS)
)
SUMS = [round(sum(column), 2) for column in zip(*PETS, strict=True)]
MEANS = [round(total / len(PETS), 3) for total in SUMS]


@pytest.fixture
def look(tmp_path):
    """The findings of a look at some rows."""

    def found(rows, key="name"):
        (tmp_path / "pets.csv").write_text(HEAD + rows)
        source = SourceConfig(reader="csv", path=str(tmp_path / "pets.csv"), key=key)
        (looked,) = preview(source, NUMBERS, "kind")
        return [each for each in looked.findings if each.check == "totals_rows"]

    return found


@pytest.mark.parametrize("name", ["Total", "p40", "Gesamt:"])
def test_a_row_of_sums_is_told_whatever_it_is_called(look, name):
    (found,) = look(ROWS + f"{name},{SUMS[0]},{SUMS[1]},\n")
    assert (found.about, found.count, found.total) == ("pets.csv", 1, 41)
    assert found.examples == (f"line 42: name {name}, height {SUMS[0]}, weight {SUMS[1]}",)


def test_sums_and_means_below_each_other_are_both_told(look):
    (found,) = look(ROWS + f"Summe,{SUMS[0]},{SUMS[1]},\nMittelwert,{MEANS[0]},{MEANS[1]},\n")
    assert [example.partition(",")[0] for example in found.examples] == [
        "line 42: name Summe",
        "line 43: name Mittelwert",
    ]


def test_means_without_a_name_are_told(look):
    (found,) = look(ROWS + f",{MEANS[0]},{MEANS[1]},\n", key="origin_line")
    assert found.count == 1


def test_a_word_beside_a_missing_value_is_told_though_no_number_fits(look):
    assert len(look(ROWS + "total,,999,\n")) == 1


def test_ordinary_last_rows_are_nothing_to_tell(look):
    assert look(ROWS) == []
    assert look(ROWS + "p40,5.5,50.1,cat\n") == []
    assert (
        look(ROWS + "sum,5.5,50.1,cat\n") == []
    )  # a name like any other: no value is missing and no number is a sum
    assert look("a,1,1,cat\nb,2,2,dog\nc,3,3,cat\n") == []  # three is one and two, by chance


def test_a_table_without_numbers_is_looked_at_too(tmp_path):
    (tmp_path / "pets.csv").write_text("name,colour,kind\nAnn,red,cat\nBob,blue,dog\nTotal,,\n")
    intake = TabularIntakeConfig(kind="tabular", categorical=("colour",))
    (looked,) = preview(
        SourceConfig(reader="csv", path=str(tmp_path / "pets.csv"), key="name"), intake, "kind"
    )
    assert [each.examples for each in looked.findings] == [("line 4: name Total",)]


def test_the_row_stays_and_a_run_of_several_pieces_sums_all_of_them(run, tmp_path, monkeypatch):
    from tasks.ingestion.readers import csv_blocks

    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 300)
    monkeypatch.setattr(csv_blocks, "CHUNK_BYTES", 200)
    monkeypatch.setattr("tasks.ingestion.readers.csv.CHUNK_BYTES", 200)
    (tmp_path / "pets.csv").write_text(HEAD + ROWS + f"p40,{SUMS[0]},{SUMS[1]},cat\n")
    made, frame, _ = run(
        SourceConfig(reader="csv", path=str(tmp_path / "pets.csv"), key="name"), intake=NUMBERS
    )
    (found,) = made.rows.findings
    assert (found.check, found.count, found.total, len(frame)) == ("totals_rows", 1, 41, 41)
    assert made.partitions > 1
