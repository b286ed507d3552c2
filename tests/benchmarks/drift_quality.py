"""How often a look finds what moved, and how often it alarms where nothing did: by rows, move and kind of descriptor.

.venv/bin/python tests/benchmarks/drift_quality.py

Twenty normal columns, or eight awkward ones (heavy tails, ties, rare values, many texts), against 2,000 reference rows at
the defaults of `monitoring:`. The last line is a JSON object: by kind and rows, `streams` (of 100 looks at an
unchanged world), `alarmed` (of them) and `power` by the move of the first column in standard deviations.
"""

import json
from collections.abc import Callable

import numpy as np
import pandas as pd

from configs.monitoring import MonitoringConfig
from tasks.monitoring.judgement import judge
from tasks.monitoring.values import of_frame

ROWS, MOVES = (30, 100, 1000, 10_000), (0.1, 0.2, 0.3, 0.5, 1.0)
REFERENCE, STREAMS, LOOKS, TRIALS = 2000, 2, 100, 20
MOST_DRAWN = 1_000_000
"""Rows that one cell of the table may draw for its streams; larger windows take fewer looks, and the table says how many."""
Draw = Callable[[np.random.Generator, int, float], pd.DataFrame]


def normal(draw: np.random.Generator, rows: int, move: float) -> pd.DataFrame:
    """Twenty normal columns, the first one moved."""
    values = draw.normal(size=(rows, 20))
    values[:, 0] += move
    return pd.DataFrame(values, columns=[f"column {number}" for number in range(20)])


def awkward(draw: np.random.Generator, rows: int, move: float) -> pd.DataFrame:
    """The first column has two kinds whose share moves by so many standard deviations of being one of them."""
    return pd.DataFrame(
        {
            "kind": np.where(draw.random(rows) < min(1.0, 0.5 + move / 2), "a", "b"),
            "cauchy": draw.standard_cauchy(rows),
            "lognormal": np.exp(2 * draw.normal(size=rows)),
            "rare": (draw.random(rows) < 0.01).astype(float),
            "counts": draw.poisson(0.3, rows).astype(float),
            "gaps": np.where(draw.random(rows) < 0.02, np.nan, draw.normal(size=rows)),
            "postcode": draw.integers(0, 1000, rows).astype(str),
            "identity": draw.integers(0, 10**9, rows).astype(str),
        }
    )


def main() -> None:
    """Prints the table, then the JSON object."""
    told = {}
    for name, kind in {"normal": normal, "awkward": awkward}.items():
        for rows in ROWS:
            told[f"{name} {rows}"] = cell(kind, rows)
            print(name, rows, told[f"{name} {rows}"], flush=True)
    print(json.dumps(told))


def cell(kind: Draw, rows: int) -> dict[str, object]:
    """False alarms and power of one kind of descriptors at one number of rows."""
    draw = np.random.default_rng(rows)
    looks = min(LOOKS, max(1, MOST_DRAWN // rows // STREAMS))
    alarmed = 0
    for _ in range(STREAMS):
        then = kind(draw, REFERENCE, 0.0)
        alarmed += any(drifted(kind(draw, rows, 0.0), then, look) for look in range(1, looks + 1))
    power = {}
    for move in MOVES:
        found = [
            drifted(kind(draw, rows, move), kind(draw, REFERENCE, 0.0), 1, first=True) for _ in range(TRIALS)
        ]
        power[str(move)] = float(np.mean(found))
    return {"streams": STREAMS, "looks": looks, "alarmed": alarmed, "power": power}


def drifted(now: pd.DataFrame, then: pd.DataFrame, look: int, first: bool = False) -> bool:
    """Whether a look finds any descriptor drifted, or the first one."""
    found = judge(of_frame(now), of_frame(then), MonitoringConfig().threshold, look)
    return any(each.drifted and (not first or each.name == then.columns[0]) for each in found)


if __name__ == "__main__":
    main()
