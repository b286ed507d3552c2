"""Small files of the prediction log become few, and readers see each line once at every moment."""

import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.production.log_compaction import compact, visible_files
from tasks.production.prediction_log import PredictionLog
from tasks.serving.log.known import KnownRequests

NOON = datetime(2026, 1, 1, 12)
DAY = "2026-01-01"
DYING = """
import os, sys
from pathlib import Path
from tasks.production.log_compaction import compact
left = int(sys.argv[2])
def die(event, arguments):
    global left
    if event in ("os.rename", "os.remove") and str(arguments[0]).startswith(sys.argv[1]):
        left -= 1
        if left < 0:
            os._exit(9)
sys.addaudithook(die)
compact(Path(sys.argv[1]), "predictions", fewest=2)
"""


@pytest.fixture
def log(tmp_path):
    return PredictionLog(tmp_path / "spots")


def append(log, number, day=DAY, **more):
    """One line, in a file of its own; every third is older than the one before."""
    time = NOON + timedelta(seconds=number - 5 * (number % 3))
    line = {
        "request_id": [f"r{number:04}"],
        "time": [time],
        "version": [1],
        "role": ["champion"],
        "answer": ["x"],
    }
    log.append_predictions(pa.table(line | more), day, f"{number:012}")


def ids(log):
    return log.latest(10_000)["request_id"].tolist()


def files(log, kind="predictions"):
    return list(log.folder.glob(f"*/{kind}-*.parquet"))


def test_many_files_become_one_sorted_by_time_and_the_log_reads_the_same(log):
    for number in range(20):
        append(log, number)
    before = log.latest(100)
    assert compact(log.folder / DAY, "predictions", fewest=10) == 20
    (merged,) = files(log)
    times = pq.read_table(merged)["time"].to_pylist()
    assert times == sorted(times)
    assert before.equals(log.latest(100))
    append(log, 20)
    assert len(ids(log)) == 21
    assert min(files(log)) == merged, "names no longer sort by time"


def test_few_files_and_those_of_another_schema_are_left_alone(log):
    for number in range(9):
        append(log, number)
    assert compact(log.folder / DAY, "predictions", fewest=10) == 0
    append(log, 9, **{"input.height": [1.0]})
    assert compact(log.folder / DAY, "predictions", fewest=9) == 9
    assert len(files(log)) == 2
    assert len(ids(log)) == 10


def test_readers_beside_merges_and_appends_see_each_line_once(log):
    for number in range(40):
        append(log, number)
    stop, problems = threading.Event(), []

    def write():
        for number in range(40, 200):
            append(log, number)
            if number % 5 == 0:
                compact(log.folder / DAY, "predictions", fewest=4)
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    known = KnownRequests(log.folder.parent)
    seen = 40
    while not stop.is_set():
        found = ids(log)
        if len(found) != len(set(found)) or len(found) < seen:
            problems.append((len(found), len(set(found)), seen))
        seen = len(found)
        if not known.sought("spots", ["r0007"]).found:
            problems.append("r0007 was not found")
    writer.join()
    assert not problems
    assert len(ids(log)) == 200


@pytest.mark.parametrize("steps", range(10))
def test_a_merge_that_is_killed_at_any_step_loses_and_doubles_nothing(log, steps):
    for number in range(4):
        append(log, number)
    folder = log.folder / DAY
    ended = subprocess.run(
        [sys.executable, "-c", DYING, str(folder), str(steps)], cwd=Path.cwd(), check=False
    )
    assert ended.returncode == (9 if steps < 9 else 0)
    assert len(ids(log)) == 4
    compact(folder, "predictions", fewest=2)
    assert len(ids(log)) == 4
    assert len(visible_files(log.folder, "predictions")) == len(files(log)) == 1
    assert not list(folder.glob(".*.replaces"))


def test_the_newest_rows_are_found_however_many_days_they_are_spread_over(log):
    for number in range(30):
        append(log, number, day=f"2026-01-{number + 1:02}")
    assert len(log.latest(1)) == 1
    assert len(ids(log)) == 30
    assert len(log.latest(5, version=2)) == 0


def test_rows_that_repeat_are_merged_within_bounds_though_they_take_no_room_on_the_disk(log):
    values = pa.ListArray.from_arrays([0, 2**20], pa.array(np.zeros(2**20, np.uint8)))
    for number in range(40):
        append(log, number, image=values)
    assert compact(log.folder / DAY, "predictions", fewest=64) == 31
    (merged,) = [path for path in files(log) if path.stem.endswith("m")]
    assert merged.stat().st_size < 2**20
    # It is large by its values: no later merge takes it into memory again.
    assert compact(log.folder / DAY, "predictions", fewest=64) == 0
    assert len(ids(log)) == 40
