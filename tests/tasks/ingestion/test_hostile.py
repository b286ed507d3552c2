"""What is made to exhaust the machine is refused in bounded memory: measured in a process of its own."""

import json
import subprocess
import sys

import pytest

MOST_MIB = 700
PROGRAM = """
import json, re, sys, time
from pathlib import Path
from configs.source import SourceConfig
from configs.intake import TabularIntakeConfig
from tasks.ingestion.partitions.sources import list_partitions
started = time.monotonic()
source, error = SourceConfig.model_validate_json(sys.argv[1]), None
try:
    for entry in list_partitions(source, TabularIntakeConfig(kind="tabular", numeric=("n",)), "kind", Path(sys.argv[2])):
        for table in entry.partition.tables():
            pass
except ValueError as found:
    error = str(found)
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]  # ru_maxrss would begin at the parent's
print(json.dumps([error, int(peak) / 1024, time.monotonic() - started]))
"""


@pytest.fixture
def read(tmp_path):
    """Reads a source in a child; gives its error, its peak memory in MiB and its seconds."""

    def child(**section):
        command = [sys.executable, "-c", PROGRAM, json.dumps(section), str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    return child


@pytest.mark.parametrize("head", ["", "id,n\n", 'id,n\n1,"'])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_a_line_of_a_gigabyte_is_refused_in_bounded_memory(read, tmp_path, head, encoding):
    with (tmp_path / "a.csv").open("wb") as file:
        file.write(head.encode(encoding))
        file.truncate(2**30)
    error, mib, _ = read(reader="csv", path=str(tmp_path / "a.csv"), csv={"encoding": encoding})
    assert "is longer than 16,777,216 bytes (source.limits.line_bytes)" in error
    assert mib < MOST_MIB


def test_ten_thousand_columns_of_json_or_parquet_are_refused(read, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    wide = {f"c{number}": [number] for number in range(10_000)}
    (tmp_path / "a.jsonl").write_text(json.dumps(dict.fromkeys(wide, 1)) + "\n")
    pq.write_table(pa.table(wide), tmp_path / "a.parquet")
    for kind in ("jsonl", "parquet"):
        error, mib, _ = read(reader=kind, path=str(tmp_path / f"a.{kind}"))
        assert error == f"a.{kind}: has 10,000 columns; at most 2,000 are read (source.limits.columns)"
        assert mib < MOST_MIB


def test_ten_thousand_fields_of_one_record_are_columns_too(read, tmp_path):
    fields = {f"c{number}": 1 for number in range(10_000)}
    (tmp_path / "a.jsonl").write_text(json.dumps({"record": fields}) + "\n")
    error, _, _ = read(reader="jsonl", path=str(tmp_path / "a.jsonl"))
    assert error == "a.jsonl: has 10,000 columns; at most 2,000 are read (source.limits.columns)"


def test_a_packed_line_of_a_gigabyte_is_refused_in_bounded_memory(read, tmp_path):
    import gzip

    with gzip.open(tmp_path / "a.csv.gz", "wb", compresslevel=1) as file:
        file.write(b"id,n\n1,")
        for _ in range(256):
            file.write(bytes(2**20))
    error, mib, _ = read(reader="csv", path=str(tmp_path / "a.csv.gz"))
    assert "a.csv.gz: line 2 is longer than 16,777,216 bytes" in error
    assert mib < MOST_MIB
