"""How fast CSV becomes versioned Parquet.

Gyre beside DuckDB's COPY, in turns on the same generated files of ten mixed columns.

.venv/bin/python tests/benchmarks/ingest.py [rows ...]

Gyre looks at the source, reads it by two Dask workers under a contract, adds id and provenance, looks for
repeated keys, splits the rows, commits them with DVC, pushes them to a folder and describes them. All of that
is timed, not the start of the cluster; labels are those of the column. The last line is a JSON object:
gyre_rows_per_s and duckdb_rows_per_s (at the largest size), ratio, peak_mib (rows: MiB, the peaks of all
processes added up).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

ROOT = Path(__file__).parents[2]
SIZES = (1_000_000, 4_000_000, 16_000_000)
ROUNDS = 2
STEPS = ("look", "read", "version")
COLUMNS = {
    "code": "text",
    "age": "integer",
    "visits": "integer",
    "height": "number",
    "weight": "number",
    "income": "number",
    "city": "text",
    "member": "boolean",
    "seen": "timestamp",
    "kind": "text",
}


def generate(path, rows):
    """A CSV of ten columns: texts, whole numbers, numbers, truth values, moments.

    One value in fifty is missing.
    """
    texts = (
        "list_extract(['Bern', 'Genoa', 'Lyon', 'Porto', 'Ghent', 'Turku'], (hash(i + 7) % 6 + 1)::INTEGER)"
    )
    query = f"""COPY (SELECT
        'c' || lpad(i::VARCHAR, 9, '0') AS code,
        (hash(i) % 80 + 18)::INTEGER AS age,
        CASE WHEN hash(i + 1) % 50 > 0 THEN hash(i + 2) % 1000 END AS visits,
        round(1.4 + (hash(i + 3) % 70000) / 100000, 4) AS height,
        round(40 + (hash(i + 4) % 8000) / 100, 2) AS weight,
        CASE WHEN hash(i + 5) % 50 > 0 THEN round(hash(i + 6) % 9000000 / 100, 2) END AS income,
        {texts} AS city,
        hash(i + 8) % 2 = 0 AS member,
        TIMESTAMP '2024-01-01' + INTERVAL (hash(i + 9) % 31536000) SECOND AS seen,
        CASE WHEN hash(i) % 3 = 0 THEN 'yes' ELSE 'no' END AS kind
        FROM range({rows}) t(i)) TO '{path}' (HEADER)"""
    duckdb.execute(query)


def gyre(path, folder):
    """Seconds from the file to its version, and the added peak memory of all processes in MiB; in this process, which is a child."""
    from configs.cluster import ClusterConfig
    from configs.intake import TabularIntakeConfig
    from configs.result import ClassificationResultConfig
    from configs.source import ColumnConfig, SourceConfig
    from configs.versioning import VersioningConfig
    from infra.cluster import open_cluster
    from tasks.ingestion.raw_rows import ingest, take_snapshot
    from tasks.production.prediction_log import PredictionLog
    from tasks.records import LabelReport
    from tasks.versioning.repository import Repository
    from tasks.versioning.version import make_version

    source = SourceConfig(
        reader="csv",
        path=str(path),
        key="code",
        columns={name: ColumnConfig(type=kind) for name, kind in COLUMNS.items()},
    )
    intake = TabularIntakeConfig(
        kind="tabular", numeric=("age", "visits", "height", "weight", "income"), categorical=("city",)
    )
    result = ClassificationResultConfig(kind="classification", classes=("no", "yes"), label="kind")
    repository = Repository(folder / "data", str(folder / "remote"))
    with open_cluster(ClusterConfig(workers=2)) as client:
        times = [time.perf_counter()]
        log, kept = PredictionLog(folder / "log"), folder / "slices"
        found = take_snapshot("bench", source, intake, result, log, folder / "outcomes", kept)
        times.append(time.perf_counter())
        rows = ingest(found, source, intake, result, client, folder / "outcomes" / "rows", kept).rows
        times.append(time.perf_counter())
        as_given = {
            "agreement": 1.0,
            "annotators": (),
            "relabelled": 0,
            "suspects": None,
            "suspected": 0,
            "failures": (),
        }
        labels = LabelReport(uri=rows.uri, digest=rows.digest, rows=rows.rows, **as_given)
        inputs = (*intake.numeric, *intake.categorical)
        made = make_version(
            "bench", labels, inputs, VersioningConfig(), repository, folder / "datasets", result.label
        )
        times.append(time.perf_counter())
        peaks = [*client.run(peak).values(), peak()]
    steps = {name: later - sooner for name, sooner, later in zip(STEPS, times, times[1:], strict=False)}
    sys.stdout.write(
        json.dumps(
            {"seconds": times[-1] - times[0], "steps": steps, "rows": made.rows, "mib": round(sum(peaks))}
        )
        + "\n"
    )


def peak():
    """This process's peak memory in MiB; getrusage would begin at that of the process that started it."""
    import re

    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def copied(path, folder):
    """Seconds of DuckDB's COPY of the same file, its own types, two threads."""
    connection = duckdb.connect(config={"threads": 2})
    started = time.perf_counter()
    connection.execute(
        f"COPY (SELECT * FROM read_csv('{path}')) TO '{folder / 'duckdb.parquet'}' (FORMAT parquet, COMPRESSION zstd)"
    )
    sys.stdout.write(json.dumps({"seconds": time.perf_counter() - started}) + "\n")


def child(what, path):
    """What a child process reports."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [sys.executable, str(Path(__file__).resolve()), what, str(path), folder]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, stdout=subprocess.PIPE, check=True, env=environment, cwd=ROOT, timeout=1800
        )
    return json.loads(done.stdout.splitlines()[-1])


def measured(rows, folder):
    """Least seconds of each over the rounds, in turns, and Gyre's peak memory."""
    path = folder / f"{rows}.csv"
    generate(path, rows)
    sys.stderr.write(f"{rows:,} rows, {path.stat().st_size / 2**20:,.0f} MiB of CSV\n")
    gyres, ducks, peaks = [], [], []
    for _ in range(ROUNDS):
        mine, theirs = child("gyre", path), child("duckdb", path)
        assert mine["rows"] == rows
        gyres.append(mine["seconds"])
        ducks.append(theirs["seconds"])
        peaks.append(mine["mib"])
        steps = ", ".join(f"{name} {seconds:.2f}" for name, seconds in mine["steps"].items())
        sys.stderr.write(
            f"  gyre {mine['seconds']:.2f} s ({steps}), DuckDB {theirs['seconds']:.2f} s, {mine['mib']} MiB\n"
        )
    path.unlink()
    return min(gyres), min(ducks), max(peaks)


def main(sizes):
    """Measures every size."""
    peaks = {}
    with tempfile.TemporaryDirectory(prefix="gyre-bench-") as folder:
        for rows in sizes:
            mine, theirs, peaks[rows] = measured(rows, Path(folder))
    facts = {
        "gyre_rows_per_s": round(rows / mine),
        "duckdb_rows_per_s": round(rows / theirs),
        "ratio": round(theirs / mine, 3),
    }
    sys.stdout.write(json.dumps(facts | {"peak_mib": peaks}) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["gyre"]:
        gyre(Path(sys.argv[2]), Path(sys.argv[3]))
    elif sys.argv[1:2] == ["duckdb"]:
        copied(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main([int(rows) for rows in sys.argv[1:]] or SIZES)
