"""The delimiter is the one by which most lines agree.

The others are counted and named, or nothing fits and that is said.
"""

import gzip

import pytest

from tasks.ingestion.schema_inference.tables import infer_files
from tasks.onboarding.draft import draft

HEADER = ["id", "height", "town", "kind"]
ROWS = [
    [str(number), str(150 + number), "Oslo" if number % 3 else "Narvik", "ab"[number % 2]]
    for number in range(40)
]


def written(delimiters, header=","):
    """A file whose rows take the delimiters in turn."""
    lines = [header.join(HEADER)]
    lines += [delimiters[number % len(delimiters)].join(row) for number, row in enumerate(ROWS)]
    return "\n".join(lines) + "\n"


@pytest.fixture
def inferred(tmp_path):
    def of(text, name="rows.csv"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        found = infer_files(str(path))
        return found, found.remarks[""]

    return of


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz"])
@pytest.mark.parametrize(("usual", "odd"), [(",", "|"), (";", ","), ("\t", ";"), ("|", ",")])
def test_a_mix_takes_the_delimiter_of_most_lines_and_names_the_others(inferred, name, usual, odd):
    found, told = inferred(written([usual, usual, usual, odd], header=usual), name)
    assert (found.source.csv.delimiter, list(found.source.columns), found.rows) == (usual, HEADER, 30)
    assert (
        f"csv.delimiter {usual!r} was chosen: 31 of the 41 lines have 4 fields by it, 10 do not: lines 5, 9, 13, 17, 21, ...; "
        f"10 of these have 4 by {odd!r}; a run refuses such lines; mend them, or leave them out with checks: {{ragged_lines: warn}}"
    ) in told


def test_lines_that_lack_a_field_do_not_make_the_table_one_column(inferred):
    text = written([","]).replace("150,Narvik,a", "150,Narvik").replace("157,Oslo,b", "157,Oslo,b,c")
    found, told = inferred(text)
    assert (list(found.source.columns), found.rows) == (HEADER, 38)
    assert "39 of the 41 lines have 4 fields by it, 2 do not: lines 2, 9; a run refuses such lines" in told


def test_a_header_with_another_delimiter_than_its_rows_is_named(inferred):
    _, told = inferred(written(["|"], header=","))
    assert "1 line before the table is left out (csv.skip)" in told
    assert "line 1 has 4 fields by ',': if it is the header, write it as the rows are" in told


def test_where_no_delimiter_fits_nothing_is_drafted(tmp_path):
    (tmp_path / "rows.csv").write_text(written([",", ";", "|"]))
    with pytest.raises(
        ValueError,
        match=r"rows.csv: no delimiter fits: of 41 lines ',' makes 4 fields of 15, ';' makes 4 fields of 13, '\|' makes "
        r"4 fields of 13; the first that do not fit ',' are lines 3, 4, 6, 7, 9, .... Write all lines with one delimiter",
    ):
        draft(str(tmp_path / "rows.csv"), None, None)


def test_a_sign_inside_every_value_is_not_taken_for_the_delimiter(inferred):
    rows = [f"{number}|Name, {number % 9}|{number / 3:.1f}|{'AB'[number % 2]}\n" for number in range(60)]
    rows[20] = "20|Name, 2|more|6.7|A\n"
    found, told = inferred("# made by a tool\nid|name|score|grade\n" + "".join(rows))
    assert (found.source.csv.delimiter, list(found.source.columns)) == ("|", ["id", "name", "score", "grade"])
    assert "60 of the 61 lines have 4 fields by it" in told


@pytest.mark.parametrize(
    ("text", "delimiter", "columns"),
    [
        (written([","]), ",", HEADER),
        ("a;b\n" + "1,5;2,5\n" * 30, ";", ["a", "b"]),
        ("id,text\n" + "".join(f'{number},"a|b;\n{number}"\n' for number in range(30)), ",", ["id", "text"]),
        ("name\n" + "".join(f"row {number}\n" for number in range(30)), ",", ["name"]),
        (written([" "], header=" "), " ", HEADER),
        (
            "said\n" + "".join(f"a {'very ' * (number % 3)}short story\n" for number in range(30)),
            ",",
            ["said"],
        ),
        ("a,b,\n" + "".join(f"{number},x,\n" for number in range(30)), ",", ["a", "b", "column_3"]),
    ],
)
def test_lines_that_agree_are_taken_without_a_word_about_the_delimiter(inferred, text, delimiter, columns):
    found, told = inferred(text)
    assert (found.source.csv.delimiter, list(found.source.columns)) == (delimiter, columns)
    assert "was chosen" not in told
