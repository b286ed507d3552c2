"""A first line is a header or a row by evidence, which is said.

No row is made of a header, and none lost to one.
"""

import pytest

from configs.source import CsvConfig, SourceConfig
from tasks.ingestion.schema_inference.file_formats import sniff_source
from tasks.ingestion.schema_inference.tables import infer


@pytest.fixture
def inferred(tmp_path):
    def of(text):
        (tmp_path / "rows.csv").write_text(text)
        return infer(sniff_source(str(tmp_path / "rows.csv")))

    return of


@pytest.fixture
def findings(run, tmp_path):
    """Rows and findings of a CSV file."""

    def of(text, **section):
        (tmp_path / "rows.csv").write_text(text)
        made, frame, _ = run(SourceConfig(reader="csv", path=str(tmp_path / "rows.csv"), **section))
        return frame, {each.check: each for each in made.rows.findings}

    return of


def lines(row, count=40):
    return "".join(row.replace("#", str(number)) + "\n" for number in range(100, 100 + count))


def test_a_header_that_repeats_a_column_is_a_header_and_every_column_gets_a_name(inferred):
    found = inferred("id,height,height,\n" + lines("#,1.5,2.5,x"))
    assert found.source.csv.names == ("id", "height", "height_2", "column_4")
    assert found.source.csv.has_header
    assert found.rows == 40
    assert (
        "line 1 is the header: 'id' stands over numbers; it has 'height' more than once" in found.remarks[""]
    )
    assert "it leaves names out" in found.remarks[""]


@pytest.mark.parametrize(
    "names",
    ["1990,1991,1992,1993", "0,1,2,3", "country,1990,1991,1992", "label,0,1,2", "2020-01,2020-02,2020-03,x"],
)
def test_numbers_may_name_columns(inferred, names):
    row = {"country,1990,1991,1992": "Peru#,7.5,#,5", "2020-01,2020-02,2020-03,x": "3,#,8,9"}.get(
        names, "3,#,8,9"
    )
    assert list(inferred(f"{names}\n" + lines(row)).source.columns) == names.split(",")


@pytest.mark.parametrize("row", ["5.1,#,3,4", "x#,5,6,7", "#,2,3,4", "?,#,3,4"])
def test_a_first_line_like_the_others_is_a_row(inferred, row):
    found = inferred(lines(row, 41))
    assert (found.rows, list(found.source.columns)) == (41, ["column_1", "column_2", "column_3", "column_4"])
    assert "no header line: the first line holds" in found.remarks[""]


def test_lines_before_the_table_are_left_out_and_said_to_be(inferred, findings):
    text = "# made by a machine\nHeights of pets\n\nid,height,kind\n" + lines("#,1.5,cat")
    found = inferred(text)
    assert (found.source.csv.skip, found.rows, list(found.source.columns)) == (
        3,
        40,
        ["id", "height", "kind"],
    )
    assert "3 lines before the table are left out" in found.remarks[""]
    frame, _ = findings(text, csv=found.source.csv)
    assert (len(frame), frame["origin_line"].to_list()[:2]) == (40, [5, 6])


def test_a_header_with_a_name_twice_or_none_stops_a_run_with_names_to_take(findings):
    with pytest.raises(
        ValueError,
        match=r"'height' comes twice; .* header: true beside it, such as \[id, height, height_2, kind\]",
    ):
        findings("id,height,height,kind\n1,2,3,cat\n")
    with pytest.raises(
        ValueError, match=r"rows.csv: column 1 has no name; .* such as \[column_1, height, kind\]"
    ):
        findings(",height,kind\n1,2,cat\n", key="height")


def test_names_take_the_place_of_a_header_that_is_said_to_be_there(findings):
    named = CsvConfig(names=("id", "height", "height_2", "kind"), header=True)
    frame, _ = findings("id,height,height,kind\n1,2,3,cat\n", csv=named)
    assert (frame["id"].to_list(), frame["height_2"].to_list()) == (["1"], ["3"])


def test_names_beside_the_same_header_line_do_not_make_a_row_of_it(findings):
    with pytest.raises(
        ValueError, match=r"line 1 names the columns \(id, height, kind\), .* set source.csv.header to true"
    ):
        findings("ID,height,kind\n1,2,cat\n", csv=CsvConfig(names=("id", "height", "kind")))


def test_a_blank_first_line_is_no_empty_file(findings):
    with pytest.raises(
        ValueError,
        match=r"rows.csv: line 1, which should name the columns, is blank; set source.csv.skip to 1",
    ):
        findings("\nid,height,kind\n1,2,cat\n")


def test_lines_that_are_no_rows_are_counted(findings):
    frame, found = findings('id,height,kind\n1,2,"a\n\nb"\n\n3,4,cat\n\n\n')
    assert len(frame) == 2
    assert (found["blank_lines"].count, found["blank_lines"].total) == (3, 7)


def test_a_header_line_among_the_rows_is_named(findings):
    _, found = findings("id,height,kind\n1,2,cat\nid,height,kind\n2,3,dog\n")
    assert (found["header_rows"].count, found["header_rows"].examples) == (1, ("line 3",))


def test_a_byte_order_mark_and_another_order_of_columns_change_nothing(run, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfid,height,kind\r\n1,2,cat\r\n")
    (tmp_path / "b.csv").write_text("kind,id,height\ndog,2,3\n")
    _, frame, _ = run(SourceConfig(reader="csv", path=str(tmp_path / "*.csv")))
    assert frame[["id", "height", "kind"]].to_dict("list") == {
        "id": ["1", "2"],
        "height": [2, 3],
        "kind": ["cat", "dog"],
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "is empty; bring a file"), ("\ufeff \n", "is empty"), ("id,height\n", "no rows to infer")],
)
def test_a_file_without_rows_says_what_to_do(inferred, text, said):
    with pytest.raises(ValueError, match=rf"rows.csv: {said}"):
        inferred(text)


def test_two_columns_that_name_a_row_together_are_found(inferred):
    rows = "".join(
        f"shop{shop},2020-01-{day:02},{shop * day % 7}\n" for shop in range(12) for day in range(1, 29)
    )
    found = inferred("shop,day,sold\n" + rows)
    assert found.source.key == ("shop", "day")
    assert found.remarks["key"] == "no single column names a row; shop and day together do, in all 336 rows"


def test_many_repeated_rows_are_counted_and_kept_by_their_place(inferred):
    found = inferred("colour,size\n" + "red,1\n" * 60 + "blue,2\n" * 40)
    assert found.source.key == "origin_line"
    assert "98 of 100 rows (98.00%) are the same as another" in found.remarks["key"]


def test_few_repeated_rows_are_counted_and_left_out_with_another_way_told(inferred):
    rows = "".join(f"{number / 7:.3f},{number % 5}\n" for number in range(300))
    found = inferred("height,size\n" + rows + "0.000,0\n")
    assert found.source.key == "*"
    assert (
        '1 of 301 rows (0.33%) are the same as another: key: "*" leaves them out; key: origin_line keeps every row'
        in found.remarks["key"]
    )
