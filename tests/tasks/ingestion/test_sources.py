"""A source is files or a reader of the user's own; what is wrong with it is named."""

import sys

import pandas as pd
import pytest

from configs.data import Source
from tasks.ingestion.sources import fingerprint, partitions, read


@pytest.fixture
def files(tmp_path):
    for name, keys in (("b.csv", "3\n4"), ("a.csv", "007\n2")):
        (tmp_path / name).write_text(f"id\n{keys}\n")
    return Source(reader="csv", path=str(tmp_path / "*.csv"))


@pytest.fixture
def reader(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "users_reader", raising=False)

    def written(code, **options):
        (tmp_path / "users_reader.py").write_text(code)
        sys.modules.pop("users_reader", None)
        return Source(reader="users_reader:rows", options=options)

    return written


def ids(source):
    return [key for partition in partitions(source) for key in read(partition)["id"]]


def test_files_are_read_in_the_order_of_their_names_as_text(files):
    assert ids(files) == ["007", "2", "3", "4"]


def test_files_share_at_most_so_many_partitions(files):
    assert len(partitions(files)) == 2
    assert len(partitions(files.model_copy(update={"partitions": 1}))) == 1


def test_options_go_to_the_file_reader(tmp_path):
    (tmp_path / "a.csv").write_text("id;n\n1;2\n")
    source = Source(reader="csv", path=str(tmp_path / "a.csv"), options={"sep": ";", "dtype": {"id": "str"}})
    assert read(partitions(source)[0]).to_dict("records") == [{"id": "1", "n": 2}]


def test_parquet_files_keep_their_types(tmp_path):
    pd.DataFrame({"id": [1, 2], "x": [0.5, None]}).to_parquet(tmp_path / "a.parquet")
    frame = read(partitions(Source(reader="parquet", path=str(tmp_path / "a.parquet")))[0])
    assert [str(kind) for kind in frame.dtypes] == ["int64", "float64"]


def test_a_path_that_matches_nothing_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"source .*/\*\.csv: matches no file; set source.path to a file or a glob such as data/\*\.csv"):
        fingerprint(Source(reader="csv", path=str(tmp_path / "*.csv")))


def test_the_fingerprint_follows_the_content_and_not_the_place(files, tmp_path):
    before = fingerprint(files)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("a.csv", "b.csv"):
        (moved / name).write_bytes((tmp_path / name).read_bytes())
    assert fingerprint(Source(reader="csv", path=str(moved / "*.csv"))) == before
    (tmp_path / "a.csv").write_text("id\n7\n")
    assert fingerprint(files) != before


def test_the_fingerprint_of_a_reader_follows_its_code_and_options(reader):
    code = "import pandas\ndef rows(n=1): return [pandas.DataFrame({'id': range(n)})]\n"
    seen = {fingerprint(reader(code)), fingerprint(reader(code, n=2)), fingerprint(reader(code + "# changed\n"))}
    assert len(seen) == 3
    assert fingerprint(reader(code)) in seen


def test_a_reader_may_tell_its_own_fingerprint(reader, tmp_path):
    (tmp_path / "state").write_text("monday")
    code = f"import pathlib\ndef rows(): return []\nrows.fingerprint = pathlib.Path({str(tmp_path / 'state')!r}).read_text\n"
    source = reader(code)
    before = fingerprint(source)
    (tmp_path / "state").write_text("tuesday")
    assert fingerprint(source) != before


def test_a_reader_gives_functions_or_frames(reader):
    source = reader("import pandas\ndef one(): return pandas.DataFrame({'id': ['a']})\ndef rows(): return [one, one()]\n")
    assert ids(source) == ["a", "a"]


def test_an_option_that_the_reader_does_not_take_is_named(reader):
    with pytest.raises(ValueError, match=r"source users_reader:rows: got an unexpected keyword argument 'm'; source.options may have n$"):
        partitions(reader("def rows(n=1): return []\n", m=1))


def test_a_reader_without_partitions_is_named(reader):
    with pytest.raises(ValueError, match=r"source users_reader:rows: returned \[\]; want a list of functions or DataFrames"):
        partitions(reader("def rows(): return []\n"))
    with pytest.raises(TypeError, match="gave int; want a pandas DataFrame"):
        read(partitions(reader("def rows(): return [lambda: 3]\n"))[0])
