"""Files of other kinds, Delta tables, made-up rows and a user's own reader."""

import sys

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from configs.source import ColumnConfig, SourceConfig
from tasks.pipeline.code import code_digest, installed


def test_json_lines_keep_their_types_and_lines(tables, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": 1, "x": 0.5}\n{"id": 2, "x": null}\n')
    (table,) = tables(SourceConfig(reader="jsonl", path=str(tmp_path / "a.jsonl")))
    assert table.to_pydict() == {"id": [1, 2], "x": [0.5, None], "origin_line": [1, 2]}


def test_json_that_is_none_is_named(tables, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": 1}\nnonsense\n')
    with pytest.raises(ValueError, match=r"a.jsonl: from line 1 on: .*; want a JSON object a line"):
        tables(SourceConfig(reader="jsonl", path=str(tmp_path / "a.jsonl")))


def test_parquet_files_keep_their_types(tables, tmp_path):
    pd.DataFrame({"id": [1, 2], "x": [0.5, None]}).to_parquet(tmp_path / "a.parquet")
    (table,) = tables(SourceConfig(reader="parquet", path=str(tmp_path)))
    assert [str(field.type) for field in table.schema] == ["int64", "double", "int64"]


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_parquet_file_that_is_cut_off_is_named(tables, tmp_path, share):
    pq.write_table(pa.table({"id": range(10_000)}), tmp_path / "a.parquet")
    data = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(
        ValueError, match=r"a.parquet: cannot be read as Parquet: .*it may be cut off or damaged"
    ):
        tables(SourceConfig(reader="parquet", path=str(tmp_path / "a.parquet")))


def test_parquet_whose_metadata_lies_is_refused(tables, tmp_path):
    """Damaged footers: whatever a byte of it says, there is an error or the right number of rows, never a crash."""
    pq.write_table(
        pa.table({"id": range(1000)}), tmp_path / "a.parquet", compression="none", use_dictionary=False
    )
    data = (tmp_path / "a.parquet").read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    refused = 0
    for place in range(footer, len(data) - 8, 7):
        (tmp_path / "a.parquet").write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            tables(SourceConfig(reader="parquet", path=str(tmp_path / "a.parquet")))
        except ValueError as error:
            assert "a.parquet: " in str(error)
            refused += 1
    assert refused > 10


def test_a_delta_table_is_its_newest_version(tables, tmp_path):
    write_deltalake(tmp_path / "t", pa.table({"id": [1, 2], "day": ["a", "b"]}), partition_by=["day"])
    write_deltalake(tmp_path / "t", pa.table({"id": [3], "day": ["b"]}), mode="append")
    rows = pa.concat_tables(tables(SourceConfig(reader="delta", path=str(tmp_path / "t"))))
    assert sorted(zip(rows["id"].to_pylist(), rows["day"].to_pylist(), strict=True)) == [
        (1, "a"),
        (2, "b"),
        (3, "b"),
    ]


def test_what_is_no_delta_table_is_named(tables, tmp_path):
    with pytest.raises(ValueError, match=r"source .*: .*; set source.path to the folder of a Delta table"):
        tables(SourceConfig(reader="delta", path=str(tmp_path)))


def test_made_up_rows_follow_the_contract_and_the_seed(tables):
    columns = {
        "id": ColumnConfig(type="text"),
        "height": ColumnConfig(type="number", required=True, usual=(1.5, 1.6, 1.7, 1.8, 1.9)),
        "seen": ColumnConfig(type="timestamp"),
    }
    source = SourceConfig(reader="synthetic", columns=columns, rows=2000)
    (rows,) = tables(source)
    assert rows.equals(tables(source)[0])
    assert not rows.equals(tables(source.model_copy(update={"options": {"seed": 1}}))[0])
    heights = rows["height"].to_pandas()
    assert (heights.min(), heights.max()) >= (1.5, 1.9 - 1e-9)
    assert len(set(rows["id"].to_pylist())) == 2000


def test_a_path_that_matches_nothing_is_named(tables, tmp_path):
    with pytest.raises(
        ValueError,
        match=r"source .*/\*\.csv: matches no file; set source.path to a file or a glob such as data/\*\.csv",
    ):
        tables(SourceConfig(reader="csv", path=str(tmp_path / "*.csv")))


def test_a_variable_is_read_late_and_named_where_it_is_not_set(tables, tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("id\n1\n")
    source = SourceConfig(reader="csv", path="$PLACE_OF_DATA/a.csv")
    with pytest.raises(
        ValueError, match=r"\$PLACE_OF_DATA/a.csv: the environment variable PLACE_OF_DATA is not set"
    ):
        tables(source)
    monkeypatch.setenv("PLACE_OF_DATA", str(tmp_path))
    assert tables(source)[0]["id"].to_pylist() == ["1"]


def test_a_mirror_is_read_where_there_is_one(tables, tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("id\n1\n")
    monkeypatch.setenv("GYRE_DATA", str(tmp_path))
    assert tables(SourceConfig(reader="csv", path="https://nowhere.invalid/a.csv", mirror="a.csv"))[0][
        "id"
    ].to_pylist() == ["1"]


@pytest.fixture
def reader(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def written(code, **options):
        (tmp_path / "users_reader.py").write_text(code)
        # As in a new process: this one runs what it has imported.
        sys.modules.pop("users_reader", None)
        code_digest.cache_clear()
        installed.cache_clear()
        return SourceConfig(reader="users_reader:rows", options=options)

    yield written
    sys.modules.pop("users_reader", None)


def test_a_reader_gives_functions_frames_or_arrow_tables(reader, tables):
    code = "import pandas, pyarrow\ndef one(): return pandas.DataFrame({'id': ['a']})\n"
    code += "def rows(): return [one, one(), pyarrow.table({'id': ['b']})]\n"
    assert [table["id"].to_pylist() for table in tables(reader(code))] == [["a"], ["a"], ["b"]]


def test_of_a_reader_that_changed_only_rows_above_its_watermark_are_new(reader, tables):
    code = "import pyarrow\ndef rows(): return [pyarrow.table({{'id': {}, 'day': {}}})]\n"
    for ids, days in (("['a', 'b']", "[1, 2]"), ("['x', 'b', 'c']", "[1, 2, 3]")):
        found = tables(reader(code.format(ids, days)).model_copy(update={"watermark": "day"}))
    assert [table["id"].to_pylist() for table in found] == [["x", "b"], ["c"]], (
        "the first range is as it was read where it was kept"
    )


def test_an_option_that_the_reader_does_not_take_is_named(reader, tables):
    with pytest.raises(
        ValueError,
        match=r"source users_reader:rows: got an unexpected keyword argument 'm'; source.options may have n$",
    ):
        tables(reader("def rows(n=1): return []\n", m=1))


def test_a_reader_without_partitions_is_named(reader, tables):
    with pytest.raises(
        ValueError, match=r"source users_reader:rows: returned \[\]; want a list of functions or tables"
    ):
        tables(reader("def rows(): return []\n"))
    with pytest.raises(TypeError, match="gave int; want a pandas DataFrame or an Arrow table"):
        tables(reader("def rows(): return [lambda: 3]\n"))
