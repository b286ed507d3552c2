"""Wrong cells found in dirty data by a suite proposed from clean rows: `make bench-dirty`.

The suite is learned from the even rows of the clean file and run on the odd rows of the dirty one (--swap: the other way round). A cell
is wrong where dirty and clean differ, and flagged where an expectation about its column names its row.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from configs.data import Expectation, Validation
from tasks.dataset import part_paths, schema_of, write
from tasks.validation import engine, suite
from tasks.validation.propose import propose

DATA = Path(os.environ.get("GYRE_DATA", Path(__file__).parents[3] / "shared/data"))
SETS = ("hospital", "beers")


def main() -> None:
    """Prints one JSON object: precision, recall and F1 of flagged cells a data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swap", action="store_true", help="learn from the odd rows")
    parser.add_argument("--contiguous", action="store_true", help="learn from the first half")
    parser.add_argument("--verbose", action="store_true", help="say what each rule flags wrongly, and what is not found")
    arguments = parser.parse_args()
    print(json.dumps({name: measured(DATA / "tabular" / name, arguments) for name in SETS}))


def measured(folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Precision, recall and F1 on a folder's dirty.csv and clean.csv."""
    dirty, clean = (pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False) for name in ("dirty", "clean"))
    dirty.columns = clean.columns
    position = np.arange(len(clean))
    learn = (position < len(clean) // 2) if arguments.contiguous else position % 2 == 0
    learn = ~learn if arguments.swap else learn
    rules = propose(clean[learn].replace("", None).reset_index(drop=True))
    say(f"{folder.name}: {len(rules)} rules from {learn.sum()} rows")
    given, truth = dirty[~learn].reset_index(drop=True), clean[~learn].reset_index(drop=True)
    flagged, wrong = flags(rules, given.replace("", None), arguments.verbose, truth, given), (given != truth).to_numpy()
    hits = int((flagged & wrong).sum())
    precision, recall = hits / max(1, int(flagged.sum())), hits / max(1, int(wrong.sum()))
    for number, column in enumerate(clean.columns):
        f, w = flagged[:, number], wrong[:, number]
        say(f"  {column}: {w.sum()} wrong, {(f & w).sum()} found, {(f & ~w).sum()} false alarms")
    score = 2 * precision * recall / max(1e-9, precision + recall)
    return {"precision": round(precision, 4), "recall": round(recall, 4), "f1": round(score, 4)}


def flags(rules: tuple[Expectation, ...], frame: pd.DataFrame, verbose: bool, truth: pd.DataFrame, given: pd.DataFrame) -> np.ndarray:
    """Which cells [rows, columns] the rules about single rows name."""
    flagged = np.zeros(frame.shape, dtype=bool)
    for rule, places in broken(rules, frame):
        if rule.severity == "quarantine" and places:
            column = str(rule.kwargs.get("column_B", rule.kwargs.get("column")))
            flagged[places, list(frame.columns).index(column)] = True
            false = [place for place in places if truth[column][place] == given[column][place]]
            if verbose and false:
                detail = str({k: v for k, v in rule.kwargs.items() if k != "known"})
                say(f"    {rule.type} {detail:.200}: {len(false)} false, such as {[given[column][place] for place in false[:5]]}")
    return flagged


def broken(rules: tuple[Expectation, ...], frame: pd.DataFrame) -> list[tuple[Expectation, list[int]]]:
    """The rules and the numbers of the rows that break them, as the validation stage finds them."""
    with TemporaryDirectory() as folder:
        write([frame.assign(id=[str(number) for number in range(len(frame))])], Path(folder))
        validation = Validation(expectations=rules)
        with engine.opened(part_paths(Path(folder)), list(schema_of(Path(folder)))) as rows:
            outcomes = suite.checked(suite.run(suite.build(validation), rows), validation)
            if raised := [each.outcome for each in outcomes if each.raised]:
                raise RuntimeError(f"{raised[0].rule} {raised[0].observed}")
            found = [rows.keys(each.query)["id"].to_pylist() if each.query else [] for each in outcomes]
    return [(rule, [int(number) for number in numbers]) for rule, numbers in zip(rules, found, strict=True)]


def say(line: str) -> None:
    """Progress."""
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
