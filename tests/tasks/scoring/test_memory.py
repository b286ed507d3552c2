"""A scoring's memory does not grow with its rows."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FEW, MANY = 100_000, 1_000_000
MIB_MORE = 150
"""The rows that are many take 400 MiB in memory, so a run that kept them would be seen."""
ALONE = """
import sys
from pathlib import Path
from configs.intake import TabularIntakeConfig
from configs.source import SourceConfig
from tasks.records import Stored
from tasks.scoring.run import Question, score
from tasks.scoring.source import source_at
from tasks.scoring.targets import target_at

uri, digest, source, folder = sys.argv[1:]
section = TabularIntakeConfig(kind="tabular", numeric=("age",))
rows = source_at(source, SourceConfig(reader="csv", path="/nowhere"), section)
folder = Path(folder)
question = Question("work", 3, Stored(uri=uri, digest=digest), rows, section)
scored = score(question, target_at(str(folder / "scores"), None), "refuse", folder / "staging" / "one", folder / "kept")
# Not getrusage's maximum, which begins with that of the process that started this one.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(scored.now, int(peak.split()[1]) / 1024)
"""


def write_rows(path, rows):
    """Rows as `people` has them, and a long text that no model takes."""
    draw = np.random.default_rng(4)
    columns = {
        "id": pa.array(np.arange(rows)).cast(pa.string()),
        "age": pa.array(draw.normal(40, 9, rows)),
        "hours per week": pa.array(draw.normal(40, 9, rows)),
        "work": pa.array(draw.choice(["Private", "State-gov"], rows)),
        "born": pa.array(["01/02/1970"] * rows),
        "note": pa.array(draw.choice([letter * 300 for letter in "abc"], rows)),
    }
    pq.write_table(pa.table(columns), path, row_group_size=50_000)


def test_ten_times_the_rows_take_no_more_memory(workers, tmp_path):
    peaks = {}
    for rows in (FEW, MANY):
        folder = tmp_path / str(rows)
        folder.mkdir()
        write_rows(folder / "rows.parquet", rows)
        arguments = [workers.uri, workers.digest, folder / "rows.parquet", folder]
        done = subprocess.run(
            [sys.executable, "-c", ALONE, *map(str, arguments)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        scored, peak = done.stdout.split()
        assert int(scored) == rows
        peaks[rows] = float(peak)
    assert peaks[MANY] < peaks[FEW] + MIB_MORE, peaks
