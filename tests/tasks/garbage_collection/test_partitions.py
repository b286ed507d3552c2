"""A partition stays as long as runs ask for it; what is removed frees what nothing else holds."""

import os
import time

import pytest

from tasks.garbage_collection.disk_usage import bytes_of_these_alone
from tasks.garbage_collection.partitions import remove_partitions, unused_partitions
from tasks.ingestion.partitions.store import NOTE

DAY = 86_400


@pytest.fixture
def kept(tmp_path):
    """A partition that a run asked for today, one that none did for ten days, and one whose reader died ten days ago."""
    folder = tmp_path / "slices"
    for name, note in (("asked-for", NOTE), ("forgotten", NOTE), (".half-read", None)):
        (folder / name).mkdir(parents=True)
        (folder / name / "part-00000.parquet").write_bytes(b"rows")
        if note:
            (folder / name / note).write_text("{}")
    long_ago = time.time() - 10 * DAY
    os.utime(folder / "asked-for", (long_ago, long_ago))
    os.utime(folder / "forgotten" / NOTE, (long_ago, long_ago))
    os.utime(folder / ".half-read", (long_ago, long_ago))
    return folder


def names(paths):
    return sorted(path.name for path in paths)


def test_what_no_run_asked_for_lately_is_unused_and_goes(kept):
    found = unused_partitions(kept, days=5)
    assert names(found) == [".half-read", "forgotten"]
    remove_partitions(found)
    assert names(kept.iterdir()) == ["asked-for"]


def test_a_partition_of_an_older_gyre_under_another_note_goes_too(kept):
    old = kept / "older"
    old.mkdir()
    (old / "slice.json").write_text("{}")
    os.utime(old, (0, 0))
    found = unused_partitions(kept, days=5)
    assert "older" in names(found)
    remove_partitions(found)
    assert not old.exists()


def test_files_that_a_runs_rows_share_free_nothing(kept, tmp_path):
    os.link(kept / "forgotten" / "part-00000.parquet", tmp_path / "rows.parquet")
    assert bytes_of_these_alone([kept / "forgotten"]) == len("{}")
    assert bytes_of_these_alone([kept / "asked-for"]) == len("rows{}")
