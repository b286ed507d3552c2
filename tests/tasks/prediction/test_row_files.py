"""Rows of CSV, JSON and JSON lines, told apart by name or content, and what is wrong with them."""

import pytest

from configs.source import CsvConfig
from tasks.prediction.row_files import format_named, read_records

COLUMNS = ("age", "sex")
TWO = [{"age": 1, "sex": "m"}, {"age": 2, "sex": "f"}]


def records(text, name="standard input", **dialect):
    return read_records(text.encode(), name, None, CsvConfig(**dialect), COLUMNS)


@pytest.mark.parametrize("name", ["standard input", "rows.json", "rows.jsonl", "rows.csv"])
def test_a_format_is_told_by_name_or_content(name):
    lines, texts = (
        '{"age": 1, "sex": "m"}\n\n{"age": 2, "sex": "f"}\n',
        [{"age": "1", "sex": "m"}, {"age": "2", "sex": "f"}],
    )
    json = "[" + lines.replace("\n\n", ",") + "]"
    csv = "age,sex\n1,m\n2,f\n"
    found = {
        "rows.json": [json],
        "rows.jsonl": [lines],
        "rows.csv": [csv],
        "standard input": [json, lines, csv],
    }
    assert [records(text, name) for text in found[name]] == [
        texts if text is csv else TWO for text in found[name]
    ]


def test_one_object_is_one_row_over_one_line_or_several():
    assert records('{"age": 1,\n "sex": "m"}') == records('{"age": 1, "sex": "m"}') == TWO[:1]


def test_csv_is_read_as_the_source_is_or_by_the_delimiter_that_finds_the_columns():
    wanted = [{"age": "1", "sex": "a, b"}]
    assert records("age;sex\n1;a, b\n") == wanted
    assert records("age\tsex\n1\ta, b\n", "rows.tsv") == wanted
    assert records("1,m\n", names=("age", "sex")) == [{"age": "1", "sex": "m"}]
    assert records("sex,age\nm,1\n", names=("age", "sex")) == [{"age": "1", "sex": "m"}]
    assert records('\ufeffage,sex\r\n1,"m\r\nn"\r\n') == [{"age": "1", "sex": "m\r\nn"}]


@pytest.mark.parametrize(
    ("text", "name", "error"),
    [
        ("", "a.csv", r"a.csv: holds no rows \(read as csv; --format takes csv, json, jsonl\)"),
        ("[]", "a.json", "a.json: holds no rows"),
        ("age,sex\n1\n", "a.csv", "a.csv, line 2: has 1 values; the header has 2 columns"),
        ("age,age\n1,2\n", "a.csv", "a.csv: column 'age' comes twice in the header"),
        ('{"age": 1}\n{"age": }\n', "a.jsonl", "a.jsonl, line 2: not JSON: Expecting value"),
        ('[{"age": NaN}]', "a.json", "a.json: NaN is no JSON value; null stands for a missing one"),
        ('[{"age": 1, "age": 2}]', "a.json", "a.json: 'age' comes twice in one row"),
        ("[" * 100_000, "a.json", "a.json: lists or objects are too deep"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text, name, error):
    with pytest.raises(ValueError, match=error):
        records(text, name)


def test_what_is_no_text_is_named():
    with pytest.raises(ValueError, match=r"a\.csv: byte 4 is not utf-8; save it as utf-8"):
        read_records(b"age\n\xff\n", "a.csv", None, CsvConfig(), COLUMNS)
    with pytest.raises(ValueError, match="--format xlsx: want one of csv, json, jsonl"):
        format_named("xlsx")


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_fields_of_objects_are_columns_as_in_the_sources_rows(form):
    text = b'{"n": 1, "customer": {"country": "DE", "home": {"town": "Oslo"}}, "raw": {"x": 1}}'
    columns = ("n", "customer.country", "customer.home.town")
    (record,) = read_records(text, "rows", form, CsvConfig(), columns)
    assert record == {"n": 1, "customer.country": "DE", "customer.home.town": "Oslo", "raw": {"x": 1}}


def test_a_field_that_comes_twice_is_refused():
    text = b'{"customer.country": "FR", "customer": {"country": "DE"}}'
    with pytest.raises(ValueError, match=r"rows: 'customer\.country' comes twice in one row"):
        read_records(text, "rows", "json", CsvConfig(), ("customer.country",))
