"""One look at 1,000,000 x 20 mixed columns: seconds, and memory that ten times the rows do not raise.

Beside Evidently's preset.

python tests/benchmarks/drift.py [rows]      what `make bench-drift` runs

Both production and the reference have so many rows, in Parquet. Evidently gets 100,000 rows of each, and the
distances of the same rows are compared with its own, but for the column of 1,000 texts, whose distance
depends on which of them are told apart. The last line is a JSON object: `seconds` of a look, `rows`,
`peak_mib` of its process, `peak_mib_at_ten_times`, `evidently_seconds` and `evidently_peak_mib` at 100,000
rows, `agree` whether all distances differ by less than a tenth of what is tolerated, and `differ` by how much
they do at most.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from configs.monitoring import MonitoringConfig

ROWS, BESIDE_ROWS = 1_000_000, 100_000
ROWS_A_PART = 1_000_000
ROUNDS = 3
MANY_TEXTS = "postcode"
TOLERANCE = MonitoringConfig().threshold


def mixed(draw: np.random.Generator, rows: int, move: float) -> pa.Table:
    """Twenty columns, some of which move."""
    columns = {f"normal {number}": draw.normal(move * (number % 3), 1, rows) for number in range(9)}
    columns |= {
        f"lognormal {number}": np.exp((1 + number + move) * draw.normal(size=rows)) for number in range(2)
    }
    columns["cauchy"] = draw.standard_cauchy(rows)
    columns |= {
        f"count {number}": draw.poisson(0.3 + number + move, rows).astype(float) for number in range(2)
    }
    columns["rare"] = (draw.random(rows) < 0.01 + move / 10).astype(float)
    columns["gaps"] = np.where(draw.random(rows) < 0.02, np.nan, draw.normal(size=rows))
    found = {name: pa.array(values, from_pandas=True) for name, values in columns.items()}
    for number, share in enumerate((0.5, 0.9, 0.5 + move)):
        kinds = np.where(draw.random(rows) < share, 0, 1 + draw.integers(0, 5, rows))
        found[f"kind {number}"] = pa.array(list("abcdef")).take(pa.array(kinds))
    codes = pa.array([f"code {number}" for number in range(1000)])
    found[MANY_TEXTS] = codes.take(pa.array(draw.integers(0, 1000, rows)))
    found["city"] = codes.take(pa.array(draw.integers(0, 20, rows)))
    return pa.table(found)


def generate(folder: Path, rows: int) -> None:
    """`now` and `then` below a folder."""
    draw = np.random.default_rng(rows)
    for side, move in (("then", 0.0), ("now", 0.1)):
        (folder / side).mkdir(parents=True)
        for number, first in enumerate(range(0, rows, ROWS_A_PART)):
            part = folder / side / f"part-{number:05}.parquet"
            pq.write_table(mixed(draw, min(ROWS_A_PART, rows - first), move), part, row_group_size=1 << 17)


def ours(folder: Path) -> dict[str, object]:
    """Seconds of a look at files, its distances and this process's peak memory."""
    from tasks.monitoring.verdict.judgement import judge
    from tasks.monitoring.verdict.values import of_parquet

    started = time.perf_counter()
    now, then = (of_parquet(sorted((folder / side).iterdir())) for side in ("now", "then"))
    found = judge(now, then, TOLERANCE)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "mib": peak(), "drifted": [each.name for each in found if each.drifted]}


def our_distances(folder: Path) -> dict[str, object]:
    """Distances of all values, outliers too, as Evidently has them."""
    from tasks.monitoring.verdict.counting import count_numbers, count_texts
    from tasks.monitoring.verdict.distances import distance_of
    from tasks.monitoring.verdict.values import of_parquet

    now, then = (of_parquet(sorted((folder / side).iterdir())) for side in ("now", "then"))
    found = {}
    for name, values in then.items():
        counted = (count_numbers if values.number else count_texts)(now[name], values)[0]
        found[name] = distance_of(counted.tally, values.rows).value
    return found


def theirs(folder: Path) -> dict[str, object]:
    """Seconds of Evidently's preset on frames in memory."""
    from evidently import Dataset, Report
    from evidently.presets import DataDriftPreset

    sides = [pq.read_table(folder / side).to_pandas() for side in ("now", "then")]
    started = time.perf_counter()
    Report([DataDriftPreset()]).run(*(Dataset.from_pandas(side) for side in sides)).dict()
    return {"seconds": time.perf_counter() - started, "mib": peak()}


def their_distances(folder: Path) -> dict[str, object]:
    """Evidently's distances of the kinds that a look computes, rare texts grouped as a look does."""
    from tasks.monitoring.page import evidently_distances, group_rare

    sides = [pq.read_table(folder / side).to_pandas() for side in ("now", "then")]
    return evidently_distances(*group_rare(*sides), dict.fromkeys(sides[0], TOLERANCE))


def peak() -> float:
    """This process's peak memory, MiB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def alone(what: str, folder: Path) -> dict[str, object]:
    """One of the measurements in a process of its own."""
    output = subprocess.check_output([sys.executable, __file__, what, str(folder)], text=True)
    found: dict[str, object] = json.loads(output.splitlines()[-1])
    return found


def main(rows: int) -> None:
    """Prints what was measured, then the JSON object."""
    with tempfile.TemporaryDirectory() as temporary:
        few, many, beside = (Path(temporary) / name for name in ("few", "many", "beside"))
        generate(beside, BESIDE_ROWS)
        evidently, expected = alone("theirs", beside), alone("their_distances", beside)
        found = alone("our_distances", beside)
        apart = {
            name: abs(found[name] - float(value)) for name, value in expected.items() if name != MANY_TEXTS
        }
        for name, value in sorted(apart.items(), key=lambda each: -each[1]):
            print(f"{name:12} ours {found[name]:.6f}  Evidently's {expected[name]:.6f}  apart {value:.1e}")
        generate(few, rows)
        looks = [alone("ours", few) for _ in range(ROUNDS)]
        print("seconds", [round(look["seconds"], 2) for look in looks], flush=True)
        generate(many, 10 * rows)
        ten = alone("ours", many)
        print("at ten times the rows", round(ten["seconds"], 1), "s", round(ten["mib"]), "MiB")
        told = {
            "seconds": round(float(np.median([look["seconds"] for look in looks])), 2),
            "evidently_seconds": round(evidently["seconds"], 2),
            "rows": rows,
            "peak_mib": round(max(look["mib"] for look in looks)),
            "agree": max(apart.values()) < TOLERANCE / 10,
            "differ": max(apart.values()),
            "peak_mib_at_ten_times": round(ten["mib"]),
            "evidently_rows": BESIDE_ROWS,
            "evidently_peak_mib": round(evidently["mib"]),
        }
    print(json.dumps(told))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(globals()[sys.argv[1]](Path(sys.argv[2]))))
    else:
        main(int(sys.argv[1]) if len(sys.argv) == 2 else ROWS)
