"""Great Expectations on DuckDB, ten rules of ten kinds, beside DuckDB's own answer to the same ten questions in one query.

python tests/benchmarks/validate.py [rows]      what `make bench-validate` runs
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from configs.validation import ExpectationConfig, ValidationConfig
from tasks.rows.parts import ROWS_A_PART, part_paths, schema_of, write_part

ROWS = 10_000_000
CHECKED_ROWS = 1_000_000
ROUNDS = 5
THREADS = 2
QUANTILES = {"quantiles": [0.25, 0.5, 0.75], "value_ranges": [[0, 1], [0, 1], [0, 1]]}
COLUMNS = ["id", "size", "age", "kind", "share", "code"]
RULES = [
    ("column_values_to_not_be_null", {"column": "id"}),
    ("column_values_to_be_between", {"column": "age", "min_value": 0, "max_value": 99}),
    ("column_values_to_be_in_set", {"column": "kind", "value_set": ["x", "y", "z"]}),
    ("column_mean_to_be_between", {"column": "size", "min_value": -1, "max_value": 1}),
    ("column_stdev_to_be_between", {"column": "size", "min_value": 0.5, "max_value": 2}),
    ("column_quantile_values_to_be_between", {"column": "share", "quantile_ranges": QUANTILES}),
    ("table_columns_to_match_set", {"column_set": COLUMNS}),
    ("table_row_count_to_be_between", {"min_value": 1}),
    ("column_values_to_be_unique", {"column": "id"}),
    ("column_values_to_match_regex", {"column": "code", "regex": "^k[0-9]+$"}),
]
SUITE = ValidationConfig(
    expectations=tuple(ExpectationConfig(type=f"expect_{name}", kwargs=kwargs) for name, kwargs in RULES)
)
QUERY = """
SELECT count(*) FILTER (id IS NULL), count(*) FILTER (NOT (age >= 0 AND age <= 99)), count(*) FILTER (kind NOT IN ('x', 'y', 'z')),
    avg(size), stddev_samp(size), quantile_disc(share, [0.25, 0.5, 0.75]), count(*), count(id) - count(DISTINCT id),
    count(*) FILTER (NOT regexp_matches(code, '^k[0-9]+$')), (SELECT count(*) FROM (DESCRIBE SELECT * FROM rows))
FROM rows
"""


def generate(folder: Path, rows: int, bad: int = 0) -> None:
    """Parquet parts of six columns; in the first `bad` rows every rule about values is broken by some."""
    draw = np.random.default_rng(0)
    for number, first in enumerate(range(0, rows, ROWS_A_PART)):
        count = min(ROWS_A_PART, rows - first)
        ids, age = np.arange(first, first + count), draw.integers(0, 100, count)
        kind, code = (
            draw.choice(["x", "y", "z"], count),
            np.char.add("k", draw.integers(0, 10**6, count).astype(str)),
        )
        if number == 0 and bad:
            ids[:bad] = ids[bad : 2 * bad]
            age[bad : 2 * bad], kind[2 * bad : 3 * bad], code[3 * bad : 4 * bad] = 200, "w", "q"
        columns = {
            "id": ids.astype(str),
            "size": draw.normal(size=count),
            "age": age,
            "kind": kind,
            "share": draw.random(count),
            "code": code,
        }
        write_part(pa.table(columns), folder, number)


def ours(folder: Path) -> dict[str, object]:
    """Seconds of suite, checks and result (not of Great Expectations' import) and this process's peak memory."""
    from tasks.validation.checks import engine, suite

    engine.prepare()
    started = time.perf_counter()
    with engine.open_engine(part_paths(folder), list(schema_of(folder))) as rows:
        result = suite.run_suite(suite.build_suite(SUITE), rows)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "counts": counts(result["results"]), "mib": peak()}


def theirs(folder: Path) -> dict[str, object]:
    """Seconds of DuckDB's one query."""
    started = time.perf_counter()
    with duckdb.connect(config={"threads": THREADS, "memory_limit": "1GB"}) as connection:
        connection.execute(f"CREATE VIEW rows AS SELECT * FROM read_parquet('{folder}/part-*.parquet')")
        found = connection.execute(QUERY).fetchall()
    return {"seconds": time.perf_counter() - started, "found": str(found), "mib": peak()}


def on_pandas(folder: Path) -> dict[str, object]:
    """Great Expectations' own counts on the whole frame in memory."""
    import great_expectations as gx
    import pandas as pd

    from tasks.validation.checks import suite

    frame = pd.concat([pd.read_parquet(part) for part in part_paths(folder)], ignore_index=True)
    asset = gx.get_context(mode="ephemeral").data_sources.add_pandas("rows").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    result = batch.validate(suite.build_suite(SUITE), result_format="SUMMARY")
    plain = json.loads(json.dumps(result.to_json_dict(), default=lambda scalar: scalar.item()))["results"]
    return {"counts": counts(sorted(plain, key=suite.number_of))}


def counts(results: list[dict[str, object]]) -> list[list[object]]:
    """What each rule found: whether it holds, rows that break it, observed value (floats to nine digits)."""
    lines = []
    for found in results:
        observed = found["result"].get("observed_value")
        lines.append(
            [
                found["success"],
                found["result"].get("unexpected_count"),
                f"{observed:.9g}" if isinstance(observed, float) else observed,
            ]
        )
    return lines


def peak() -> int:
    """MiB this process held at most, by /proc: what getrusage says is inherited from the parent."""
    return (
        int(
            next(
                line
                for line in Path("/proc/self/status").read_text().splitlines()
                if line.startswith("VmHWM")
            ).split()[1]
        )
        // 1024
    )


def measured(what: str, folder: Path) -> dict[str, object]:
    """What one of the functions above says in a process of its own."""
    command = [sys.executable, __file__, what, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        raise RuntimeError(f"{what} on {folder}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main(rows: int) -> None:
    """Alternates the two, and compares with pandas."""
    with tempfile.TemporaryDirectory(prefix="gyre-bench-") as scratch:
        large, small = Path(scratch) / "large", Path(scratch) / "small"
        for folder, count, bad in ((large, rows, 0), (small, CHECKED_ROWS, 1000)):
            folder.mkdir()
            generate(folder, count, bad)
        equal = measured("ours", small)["counts"] == measured("on_pandas", small)["counts"]
        print(
            f"equal to Great Expectations on pandas, {CHECKED_ROWS:,} rows with bad ones: {equal}",
            file=sys.stderr,
        )
        mine, duck = [], []
        for _ in range(ROUNDS):
            mine.append(measured("ours", large))
            duck.append(measured("theirs", large))
            print(
                f"  {mine[-1]['seconds']:.2f} s beside {duck[-1]['seconds']:.2f} s, {mine[-1]['mib']} MiB",
                file=sys.stderr,
            )
    gyre, theirs_s = (statistics.median(each["seconds"] for each in found) for found in (mine, duck))
    facts = {"rows": rows, "gyre_seconds": round(gyre, 2), "duckdb_seconds": round(theirs_s, 2)}
    facts |= {
        "ratio": round(
            statistics.median(m["seconds"] / d["seconds"] for m, d in zip(mine, duck, strict=True)), 2
        )
    }
    print(json.dumps(facts | {"peak_mib": max(each["mib"] for each in mine), "equal_to_gx": equal}))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(
            json.dumps(
                {"ours": ours, "theirs": theirs, "on_pandas": on_pandas}[sys.argv[1]](Path(sys.argv[2]))
            )
        )
    else:
        main(int(float(sys.argv[1])) if len(sys.argv) > 1 else ROWS)
