"""How fast CSV becomes Parquet: this ingestion beside DuckDB's COPY, in turns on the same generated files of ten mixed columns.

.venv/bin/python tests/benchmarks/ingest.py [rows ...]

Ingestion looks at the source, reads it by two Dask workers under a contract, adds id and provenance, and looks for repeated keys. What
is timed is snapshot and ingest, not the start of the cluster. The last line is a JSON object: gyre_rows_per_s and duckdb_rows_per_s (at
the largest size), ratio, peak_mib (rows: MiB, the largest process of ingestion).
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
    """A CSV of ten columns: texts, whole numbers, numbers, truth values, moments; one value in fifty is missing."""
    texts = "list_extract(['Bern', 'Genoa', 'Lyon', 'Porto', 'Ghent', 'Turku'], (hash(i + 7) % 6 + 1)::INTEGER)"
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
    """Seconds of looking and reading, and the peak memory of the largest process in MiB; in this process, which is a child."""
    from configs.data import Column, Source
    from configs.project import ClassificationResult, Cluster, TabularIntake
    from infra.cluster import open_cluster
    from tasks.ingestion.ingest import ingest, snapshot
    from tasks.prediction_log import PredictionLog

    source = Source(reader="csv", path=str(path), key="code", columns={name: Column(type=kind) for name, kind in COLUMNS.items()})
    intake = TabularIntake(kind="tabular", numeric=("age", "visits", "height", "weight", "income"), categorical=("city",))
    result = ClassificationResult(kind="classification", classes=("no", "yes"), label="kind")
    with open_cluster(Cluster(workers=2)) as client:
        started = time.perf_counter()
        log, kept = PredictionLog(folder / "log"), folder / "slices"
        found = snapshot("bench", source, intake, result, log, folder / "outcomes", kept)
        looked = time.perf_counter() - started
        made = ingest(found, source, intake, result, client, folder / "outcomes" / "rows", kept)
        seconds = time.perf_counter() - started
        peaks = [*client.run(peak).values(), peak()]
    sys.stdout.write(json.dumps({"seconds": seconds, "looked": looked, "rows": made.rows.rows, "mib": round(max(peaks))}) + "\n")


def peak():
    """This process's peak memory in MiB; getrusage would begin at that of the process that started it."""
    import re

    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def copied(path, folder):
    """Seconds of DuckDB's COPY of the same file, its own types, two threads."""
    connection = duckdb.connect(config={"threads": 2})
    started = time.perf_counter()
    connection.execute(f"COPY (SELECT * FROM read_csv('{path}')) TO '{folder / 'duckdb.parquet'}' (FORMAT parquet, COMPRESSION zstd)")
    sys.stdout.write(json.dumps({"seconds": time.perf_counter() - started}) + "\n")


def child(what, path):
    """What a child process reports."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [sys.executable, str(Path(__file__).resolve()), what, str(path), folder]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment, cwd=ROOT, timeout=1800)
    return json.loads(done.stdout.splitlines()[-1])


def measured(rows, folder):
    """Least seconds of each over the rounds, in turns, and ingestion's peak memory."""
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
        told = f"gyre {mine['seconds']:.2f} s (looking {mine['looked']:.2f}), DuckDB {theirs['seconds']:.2f} s, {mine['mib']} MiB"
        sys.stderr.write(f"  {told}\n")
    path.unlink()
    return min(gyres), min(ducks), max(peaks)


def main(sizes):
    """Measures every size."""
    peaks = {}
    with tempfile.TemporaryDirectory(prefix="gyre-bench-") as folder:
        for rows in sizes:
            mine, theirs, peaks[rows] = measured(rows, Path(folder))
    facts = {"gyre_rows_per_s": round(rows / mine), "duckdb_rows_per_s": round(rows / theirs), "ratio": round(theirs / mine, 3)}
    sys.stdout.write(json.dumps(facts | {"peak_mib": peaks}) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["gyre"]:
        gyre(Path(sys.argv[2]), Path(sys.argv[3]))
    elif sys.argv[1:2] == ["duckdb"]:
        copied(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main([int(rows) for rows in sys.argv[1:]] or SIZES)
