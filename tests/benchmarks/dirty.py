"""Wrong cells found in dirty data by a suite proposed from clean rows: `make bench-dirty`.

The suite is learned from the even rows of the clean file and run on the odd rows of the dirty one (--swap: the other way round). A cell
is wrong where dirty and clean differ, and flagged where an expectation about its column names its row.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from configs.data import Expectation
from infra.imports import resolve
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
    suite = propose(clean[learn].replace("", None).reset_index(drop=True))
    say(f"{folder.name}: {len(suite)} rules from {learn.sum()} rows")
    given, truth = dirty[~learn].reset_index(drop=True), clean[~learn].reset_index(drop=True)
    flagged, wrong = flags(suite, given.replace("", None), arguments.verbose, truth, given), (given != truth).to_numpy()
    hits = int((flagged & wrong).sum())
    precision, recall = hits / max(1, int(flagged.sum())), hits / max(1, int(wrong.sum()))
    for number, column in enumerate(clean.columns):
        f, w = flagged[:, number], wrong[:, number]
        say(f"  {column}: {w.sum()} wrong, {(f & w).sum()} found, {(f & ~w).sum()} false alarms")
    score = 2 * precision * recall / max(1e-9, precision + recall)
    return {"precision": round(precision, 4), "recall": round(recall, 4), "f1": round(score, 4)}


def flags(suite: tuple[Expectation, ...], frame: pd.DataFrame, verbose: bool, truth: pd.DataFrame, given: pd.DataFrame) -> np.ndarray:
    """Which cells [rows, columns] the rules about single rows name."""
    flagged = np.zeros(frame.shape, dtype=bool)
    for rule, places in broken(suite, frame):
        if rule.severity == "quarantine" and places:
            column = str(rule.kwargs.get("column_B", rule.kwargs.get("column")))
            flagged[places, list(frame.columns).index(column)] = True
            false = [place for place in places if truth[column][place] == given[column][place]]
            if verbose and false:
                detail = str({k: v for k, v in rule.kwargs.items() if k != "known"})
                say(f"    {rule.type} {detail:.200}: {len(false)} false, such as {[given[column][place] for place in false[:5]]}")
    return flagged


def broken(suite: tuple[Expectation, ...], frame: pd.DataFrame) -> list[tuple[Expectation, list[int]]]:
    """The rules and the numbers of the rows that break them, as Great Expectations finds them."""
    import great_expectations as gx
    from great_expectations.expectations.registry import get_expectation_impl

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    batch = context.data_sources.add_pandas("rows").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
    built = []
    for number, rule in enumerate(suite):
        kind = resolve(rule.type) if ":" in rule.type else get_expectation_impl(rule.type)
        built.append(kind(**rule.kwargs, meta={"number": number}))
    asked = {"result_format": "COMPLETE"}
    result = batch.get_batch({"dataframe": frame}).validate(gx.ExpectationSuite(name="proposed", expectations=built), result_format=asked)
    found = []
    for one in result.results:
        rule = suite[one.expectation_config.meta["number"]]
        if one.exception_info.get("raised_exception") or "exception_message" in str(one.exception_info.values()):
            raise RuntimeError(f"{rule.type} {rule.kwargs}: {one.exception_info}")
        found.append((rule, list(one.result.get("unexpected_index_list") or [])))
    return found


def say(line: str) -> None:
    """Progress."""
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
