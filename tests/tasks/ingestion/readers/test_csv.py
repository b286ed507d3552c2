"""CSV files: text unless the contract says otherwise, every row with its line, cut where that is safe."""

import gzip
import random

import pytest

from configs.source import ColumnConfig, CsvConfig, LimitsConfig, SourceConfig
from tasks.ingestion.readers import csv_blocks


@pytest.fixture
def source(tmp_path):
    def written(data, **options):
        path = tmp_path / "a.csv"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return SourceConfig(reader="csv", path=str(path), **options)

    return written


def test_values_are_text_and_every_row_has_its_line(tables, source):
    (table,) = tables(source("id,n\n007,1\n\n8,\n"))
    assert table.to_pydict() == {"id": ["007", "8"], "n": ["1", None], "origin_line": [2, 4]}


def test_line_breaks_inside_values_do_not_shift_lines(tables, source):
    (table,) = tables(source('id,note\n1,"two\nlines"\n2,x\n'))
    assert table["note"].to_pylist() == ["two\nlines", "x"]
    assert table["origin_line"].to_pylist() == [2, 4]


def test_a_file_without_header_takes_the_names_that_are_declared(tables, source):
    (table,) = tables(source("1;a\n2;b\n", csv=CsvConfig(delimiter=";", names=("id", "name"))))
    assert table.to_pydict() == {"id": ["1", "2"], "name": ["a", "b"], "origin_line": [1, 2]}


def test_quotation_marks_may_be_text(tables, source):
    (table,) = tables(source('id\tname\n1\t5" pipe\n2\tx\n', csv=CsvConfig(delimiter="\t", quote="")))
    assert table["name"].to_pylist() == ['5" pipe', "x"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"])
def test_encodings_and_a_byte_order_mark(tables, source, encoding):
    data = "id,name\n1,Zoë\n".encode(encoding)
    (table,) = tables(source(data, csv=CsvConfig(encoding="utf-8" if encoding == "utf-8-sig" else encoding)))
    assert table.to_pydict() == {"id": ["1"], "name": ["Zoë"], "origin_line": [2]}


def test_a_packed_file_is_unpacked(tables, tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"id\n1\n2\n"))
    (table,) = tables(SourceConfig(reader="csv", path=str(tmp_path / "*.csv.gz")))
    assert table["id"].to_pylist() == ["1", "2"]


def test_a_file_cut_in_pieces_has_the_rows_and_lines_of_the_whole(tables, source, monkeypatch):
    draw = random.Random(7)  # noqa: S311
    lines = [f'{number},"{"x" * draw.randint(0, 40)}"' for number in range(5000)]
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 20_000)
    monkeypatch.setattr(csv_blocks, "CHUNK_BYTES", 3_000)
    monkeypatch.setattr("tasks.ingestion.readers.csv.CHUNK_BYTES", 3_000)
    found = tables(source("id,note\n" + "\n".join(lines)))
    assert len(found) > 5
    assert [key for table in found for key in table["id"].to_pylist()] == [
        str(number) for number in range(5000)
    ]
    assert [line for table in found for line in table["origin_line"].to_pylist()] == list(range(2, 5002))


def test_a_line_with_too_many_values_is_named(tables, source):
    with pytest.raises(
        ValueError,
        match=r"a.csv: line 4: Expected 2 columns, got 3: 3,c,d; mend the line, or set source.csv.delimiter",
    ):
        tables(source("id,n\n1,a\n2,b\n3,c,d\n"))


def test_a_wrong_encoding_is_named(tables, source):
    with pytest.raises(ValueError, match=r"a.csv: .*set source.csv.encoding"):
        tables(source("id,name\n1,Zoë\n".encode("latin-1")))


def test_a_column_that_comes_twice_is_named(tables, source):
    with pytest.raises(
        ValueError, match=r"a.csv: column 'n' comes twice; name the columns in source.csv.names"
    ):
        tables(source("id,n,n\n1,2,3\n"))


def test_a_column_with_other_texts_falls_back_to_text_for_the_contract_to_judge(run, source):
    columns = {
        "id": ColumnConfig(type="text"),
        "height": ColumnConfig(type="number"),
        "kind": ColumnConfig(type="text"),
    }
    with pytest.raises(ValueError, match=r"a.csv: column 'height', line 3: 'tall' is no finite number"):
        run(source("id,height,kind\na,1.5,cat\nb,tall,dog\n", columns=columns))


def test_ten_thousand_columns_are_refused_from_the_header(tables, source):
    with pytest.raises(
        ValueError, match=r"a.csv: has 10,000 columns; at most 2,000 are read \(source.limits.columns\)"
    ):
        tables(source(",".join(f"c{number}" for number in range(10_000)) + "\n"))


def test_a_long_line_is_refused(tables, source):
    with pytest.raises(
        ValueError, match=r"a.csv: line 3 is longer than 2,048 bytes \(source.limits.line_bytes\)"
    ):
        tables(source("id\n1\n" + "x" * 10_000_000, limits=LimitsConfig(line_bytes=2048)))
