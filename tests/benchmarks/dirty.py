"""Errors found in dirty tables by rules that were proposed from clean rows, and from the dirty rows themselves: `make bench-dirty`.

hospital and beers come with the truth of every cell. Rules are learned from one half of the clean rows and
run on the other half of the dirty ones: halves by row, and by key, so that no key of the rows that are judged
was there to learn from. Then they are learned from the dirty table alone. A cell is wrong where dirty and
clean differ, and flagged where a rule that sets rows aside is about its column and names its row. In tables
of other kinds errors are planted, with a seed: what share of them is found, and how many good rows are
flagged.
"""

import argparse
import json
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from errors import halves, plant

from configs.validation import ExpectationConfig, ValidationConfig
from tasks.rows.parts import part_paths, schema_of, write
from tasks.validation.checks import engine, suite
from tasks.validation.proposal.propose import propose

DATA = Path(os.environ.get("GYRE_DATA", Path(__file__).parents[3] / "shared/data"))
KEYS = {"hospital": ("ProviderNumber", "MeasureCode"), "beers": ("brewery_id",)}
"""Columns by whose values the tables with known errors are halved."""
ADULT = [
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education_num",
    "marital_status",
    "occupation",
    "relationship",
    "race",
    "sex",
]
ADULT += ["gain", "loss", "hours", "country", "income"]
ROWS, SHARE, SEED = 6000, 0.05, 5
"""Rows of a table with planted errors, the share of them with one, and the seed."""


def main() -> None:
    """Prints one JSON object: by table, how the rules were learned, and the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--verbose", action="store_true", help="say what each rule flags wrongly, and what is not found"
    )
    parser.add_argument("tables", nargs="*", help="by default all")
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    for name in arguments.tables or [*KEYS, "adult", "telco", "taxis", "bikes"]:
        found[name] = measured(name, arguments.verbose) if name in KEYS else injected(name, arguments.verbose)
        say(f"{name}: {json.dumps(found[name])}")
    print(json.dumps(found))


def measured(name: str, verbose: bool = False) -> dict[str, dict[str, float]]:
    """The figures of a table with known errors, by how the rules were learned; of both halves together."""
    dirty, clean = tables(name)
    ways = {"by rows": halves(len(clean)), **{f"by {key}": by_key(clean[key]) for key in KEYS[name]}}
    found = {}
    for way, half in ways.items():
        found[way] = figures(
            [judged(clean[part], dirty[~part], clean[~part], verbose) for part in (half, ~half)]
        )
    found["from dirty rows alone"] = figures([judged(dirty, dirty, clean, verbose)])
    return found


def tables(name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The dirty table and the clean one, all cells texts."""
    dirty, clean = (
        pd.read_csv(DATA / "tabular" / name / f"{which}.csv", dtype=str, keep_default_na=False)
        for which in ("dirty", "clean")
    )
    dirty.columns = clean.columns
    return dirty, clean


def by_key(values: pd.Series) -> np.ndarray:
    """Half of the rows [rows], with all rows of a key on one side."""
    return values.map(lambda value: zlib.crc32(str(value).encode()) % 2 == 0).to_numpy(dtype=bool)


def judged(
    good: pd.DataFrame, given: pd.DataFrame, truth: pd.DataFrame, verbose: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Which cells [rows, columns] are flagged by rules learned from some rows, and which are wrong."""
    given, truth = given.reset_index(drop=True), truth.reset_index(drop=True)
    rules = propose(good.replace("", None).reset_index(drop=True)).expectations
    say(f"  {len(rules)} rules from {len(good)} rows")
    flagged, wrong = (
        flags(rules, given.replace("", None), truth if verbose else None),
        (given != truth).to_numpy(),
    )
    if verbose:
        for number, column in enumerate(given):
            f, w = flagged[:, number], wrong[:, number]
            say(f"  {column}: {w.sum()} wrong, {(f & w).sum()} found, {(f & ~w).sum()} false alarms")
    return flagged, wrong


def figures(tried: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Precision, recall and F1 of cells and of rows, and the share of the good rows that are flagged."""
    flagged, wrong = (np.concatenate(each) for each in zip(*tried, strict=True))
    found = {f"cells_{name}": value for name, value in scores(flagged, wrong).items()}
    found |= {f"rows_{name}": value for name, value in scores(flagged.any(axis=1), wrong.any(axis=1)).items()}
    good = ~wrong.any(axis=1)
    return found | {
        "good_rows": int(good.sum()),
        "good_rows_flagged": int((flagged.any(axis=1) & good).sum()),
    }


def scores(flagged: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """Precision, recall and F1."""
    hits = int((flagged & wrong).sum())
    precision, recall = hits / max(1, int(flagged.sum())), hits / max(1, int(wrong.sum()))
    return {
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "f1": round(2 * precision * recall / max(1e-9, precision + recall), 4),
    }


def injected(name: str, verbose: bool = False) -> dict[str, dict[str, Any]]:
    """What is found of planted errors, by kind and in all, by rules from other clean rows and from the dirty rows themselves."""
    clean = table(name)
    half = halves(len(clean))
    rest, good = clean[~half].reset_index(drop=True), clean[half].reset_index(drop=True)
    dirty, places = plant(rest, SHARE, SEED)
    found = {}
    for way, learned in (("by rows", good), ("from dirty rows alone", dirty)):
        rules = propose(learned).expectations
        flagged = flags(rules, dirty, rest if verbose else None).any(axis=1)
        warned = flags(rules, dirty, None, ("quarantine", "warn")).any(axis=1)
        wrong = np.zeros(len(dirty), dtype=bool)
        wrong[[row for rows in places.values() for row in rows]] = True
        kinds = {kind: f"{int(flagged[rows].sum())} of {len(rows)}" for kind, rows in places.items()}
        found[way] = {
            **{f"rows_{key}": value for key, value in scores(flagged, wrong).items()},
            "good_rows": int((~wrong).sum()),
            "good_rows_flagged": int((flagged & ~wrong).sum()),
            "good_rows_warned_of": int((warned & ~wrong).sum()),
            "found": kinds,
        }
    return found


def table(name: str) -> pd.DataFrame:
    """ROWS rows of a table, spread evenly, in their order."""
    tabular = DATA / "tabular"
    if name == "adult":
        found = pd.read_csv(
            tabular / "adult-train.csv", names=ADULT, skipinitialspace=True, keep_default_na=False
        )
    elif name == "telco":
        found = pd.read_csv(tabular / "Telco-Customer-Churn.csv", na_values=[" "])
    elif name == "taxis":
        found = pd.read_csv(tabular / "nyc_taxis_raw.csv")
    else:
        found = pd.read_csv(DATA / "drift" / "bike_sharing_hour.csv")
    return found.iloc[:: max(1, len(found) // ROWS)].reset_index(drop=True)


def flags(
    rules: tuple[ExpectationConfig, ...],
    frame: pd.DataFrame,
    truth: pd.DataFrame | None,
    severities: tuple[str, ...] = ("quarantine",),
) -> np.ndarray:
    """Which cells [rows, columns] the rules about single rows name.

    Of a rule about two columns the second one's.

    truth: where given, what is flagged wrongly is said
    """
    flagged = np.zeros(frame.shape, dtype=bool)
    for rule, places in broken(rules, frame):
        if rule.severity not in severities or not places:
            continue
        column = str(rule.kwargs.get("column_B", rule.kwargs.get("column")))
        flagged[places, list(frame.columns).index(column)] = True
        if truth is not None:
            false = [place for place in places if truth[column][place] == frame[column][place]]
            if false:
                say(
                    f"    {rule.type} {rule.kwargs!s:.200}: {len(false)} false, such as {[frame[column][p] for p in false[:5]]}"
                )
    return flagged


def broken(
    rules: tuple[ExpectationConfig, ...], frame: pd.DataFrame
) -> Iterator[tuple[ExpectationConfig, list[int]]]:
    """The rules and the numbers of the rows that break them, as the validation stage finds them."""
    with TemporaryDirectory() as folder:
        numbered = frame.drop(columns="id", errors="ignore").assign(
            id=[str(number) for number in range(len(frame))]
        )
        # Rules about the tables' own `id` would speak of these numbers.
        rules = tuple(
            rule for rule in rules if "id" not in (rule.kwargs.get("column"), rule.kwargs.get("column_B"))
        )
        write([numbered], Path(folder))
        validation = ValidationConfig(expectations=rules)
        with engine.open_engine(part_paths(Path(folder)), list(schema_of(Path(folder)))) as rows:
            outcomes = suite.outcomes_of(suite.run_suite(suite.build_suite(validation), rows), validation)
            if raised := [each.outcome for each in outcomes if each.raised]:
                raise RuntimeError(f"{raised[0].rule} {raised[0].observed}")
            found = [rows.keys(each.query)["id"].to_pylist() if each.query else [] for each in outcomes]
    for rule, numbers in zip(rules, found, strict=True):
        yield rule, [int(number) for number in numbers]


def say(line: str) -> None:
    """Progress."""
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
