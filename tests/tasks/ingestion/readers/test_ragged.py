"""Lines that do not have a field for every column are counted and quoted.

No value moves into another column.
"""

import pytest

from configs.intake import TabularIntakeConfig
from configs.source import ColumnConfig, CsvConfig, SourceConfig
from tasks.ingestion.preview import preview

HEAD = "id,height,kind\n"


@pytest.fixture
def findings(run, tmp_path):
    """The rows and findings, by check, of a run from one CSV file."""

    def ingested(text, **settings):
        (tmp_path / "rows.csv").write_text(text)
        made, frame, _ = run(SourceConfig(reader="csv", path=str(tmp_path / "rows.csv"), **settings))
        return frame, {each.check: each for each in made.rows.findings}

    return ingested


def test_lines_with_more_or_fewer_fields_are_counted_and_quoted_with_their_numbers(findings):
    frame, found = findings(HEAD + "1,2,cat\n2,3,dog,brown\n\n3,4\n4,5,dog\n")
    assert frame[["id", "kind", "origin_line"]].values.tolist() == [["1", "cat", 2], ["4", "dog", 6]]
    ragged = found["ragged_lines"]
    assert (ragged.count, ragged.total, found["blank_lines"].count) == (2, 5, 1)
    assert ragged.examples == (
        "line 3 with 4 fields for 3 columns: 2,3,dog,brown",
        "line 5 with 2 fields for 3 columns: 3,4",
    )


@pytest.mark.parametrize("head", [HEAD, "id,height,kind,\n", "id,height,kind,,\n"])
def test_delimiters_at_the_end_of_every_line_are_one_finding(findings, head):
    frame, found = findings(head + "1,2,cat,\n2,3,dog,\n")
    assert frame[["height", "kind"]].values.tolist() == [[2, "cat"], [3, "dog"]]
    assert [(each.check, each.count, each.total) for each in found.values()] == [
        ("trailing_delimiters", 2, 2)
    ]


def test_a_mix_of_both_is_two_findings(findings):
    frame, found = findings(HEAD + '1,2,"a,\nb",\n2,3,dog\n3,4,cat,"", \n5,6,x,y\n')
    assert frame[["id", "origin_line"]].values.tolist() == [["1", 2], ["2", 4], ["3", 5]]
    assert (found["trailing_delimiters"].count, found["ragged_lines"].count) == (2, 1)
    assert found["ragged_lines"].examples == ("line 6 with 4 fields for 3 columns: 5,6,x,y",)


def test_a_column_without_a_name_that_holds_values_must_be_named(findings):
    with pytest.raises(ValueError, match=r"column 4 has no name; name the columns in source.csv.names"):
        findings("id,height,kind,\n1,2,cat,7\n")


def test_other_encodings_and_delimiters_are_sorted_too(run, tmp_path):
    (tmp_path / "rows.csv").write_bytes("id;height;kind\n1;2;caf\xe9\n2;3\n".encode("latin-1"))
    made, frame, _ = run(
        SourceConfig(
            reader="csv", path=str(tmp_path / "rows.csv"), csv=CsvConfig(delimiter=";", encoding="latin-1")
        )
    )
    assert frame["kind"].to_list() == ["caf\xe9"]
    assert [each.check for each in made.rows.findings] == ["ragged_lines"]


def test_a_file_whose_every_line_is_ragged_says_why_it_has_no_rows(findings):
    with pytest.raises(
        ValueError,
        match=r"holds no rows; rows.csv: 2 of 2 lines have more or fewer fields than there are columns",
    ):
        findings(HEAD + "1,2\n3,4\n")


def test_a_look_at_the_first_rows_tells_ragged_lines(tmp_path):
    (tmp_path / "rows.csv").write_text(HEAD + "1,2,cat\n2,3\n")
    source = SourceConfig(
        reader="csv",
        path=str(tmp_path / "rows.csv"),
        columns={name: ColumnConfig(type="text") for name in ("id", "height", "kind")},
    )
    (look,) = preview(source, TabularIntakeConfig(kind="tabular", numeric=("height",)), "kind")
    assert [(each.check, each.count, each.total) for each in look.findings] == [("ragged_lines", 1, 2)]
