"""Columns that give the label away.

A model that is too good to be true usually has the answer among its inputs.

Each single-valued column is asked alone: what it says of the label is learned on half of the rows and tried
on the other half. A value that the first half does not have says nothing, so an identifier is no leak.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.intake import Intake
from tasks.result import Result
from tasks.rows.raw import TEXT, Rows

FEWEST_ROWS = 40
"""Fewer say nothing."""
KNOWN_SHARE = 0.5
"""Share of the second half's rows whose value the first half must know."""
GIVES_AWAY = 0.98
"""Share of what a constant guess gets wrong that the input alone gets right."""
NEARLY = 0.8
"""Of a column that is no input: a slice by it is a slice by the label, on which a model is always weaker or
stronger."""
LEAVES = 32
Half = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Leak:
    """An input that all but determines the label."""

    inputs: str
    gain: float
    """Share of a constant guess's error that it takes away, at most 1."""


def leaks(frame: pd.DataFrame, intake: Intake, result: Result) -> Iterator[Leak]:
    """The leaking inputs of labelled rows.

    Nothing is told of inputs with more than one value a row, such as images.
    """
    scalars = [spec for spec in intake.inputs if not spec.shape]
    targets = result.targets(frame[result.label])
    if not scalars or len(frame) < FEWEST_ROWS or len(np.unique(targets)) < 2:
        return
    rows = intake.rows(frame)
    first = np.random.default_rng(0).random(len(frame)) < 0.5
    classes = result.classes is not None
    for spec in scalars:
        values = rows[spec.name]
        gain = gain_alone(values, targets, first, classes)
        if gain >= GIVES_AWAY:
            yield Leak(spec.name, gain)
    numeric = [spec.name for spec in scalars if spec.dtype != TEXT]
    if not classes and len(numeric) > 1 and (gain := sum_gain(rows, numeric, targets, first)) >= 1 - 1e-6:
        yield Leak(" and ".join(numeric), gain)


def proxies(columns: pd.DataFrame, targets: npt.NDArray[Any], classes: bool) -> list[Leak]:
    """The plain columns of labelled rows that nearly are the label, where they are no inputs.

    Rows are not to be told apart by them.
    """
    if len(columns) < FEWEST_ROWS or len(np.unique(targets)) < 2:
        return []
    first = np.random.default_rng(0).random(len(columns)) < 0.5
    found = []
    for name in columns:
        gain = gain_alone(plain_column(columns[name]), targets, first, classes)
        if gain >= NEARLY:
            found.append(Leak(str(name), gain))
    return found


def plain_column(column: pd.Series) -> npt.NDArray[Any]:
    """A column as numbers, or as texts, "" where one is missing."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return column.astype("int64").to_numpy(np.float64)
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return column.to_numpy(np.float64, na_value=np.nan)
    return column.astype(object).where(column.notna(), "").map(str).to_numpy(object)


def gain_alone(values: npt.NDArray[Any], targets: npt.NDArray[Any], first: Half, classes: bool) -> float:
    """Share of a constant guess's error that the values alone take away."""
    ask = lookup_gain if values.dtype == object else tree_gain
    return ask(values, targets, first, classes)


def lookup_gain(
    values: npt.NDArray[np.object_], targets: npt.NDArray[np.float64], first: Half, classes: bool
) -> float:
    """Of a text: each value answers what it answered in the first half."""
    learned = pd.Series(targets[first]).groupby(pd.Series(values[first], dtype=object))
    answers = learned.agg(most_frequent) if classes else learned.mean()
    found = pd.Series(values[~first], dtype=object).map(answers)
    known = found.notna().to_numpy()
    if known.mean() < KNOWN_SHARE:
        return 0.0
    return gain_of(found[known].to_numpy(), targets[~first][known], targets[first], classes)


def tree_gain(
    values: npt.NDArray[np.float64], targets: npt.NDArray[np.float64], first: Half, classes: bool
) -> float:
    """Of a number: a decision tree of few leaves; a missing value is a value too."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind = DecisionTreeClassifier if classes else DecisionTreeRegressor
    column = np.column_stack([np.nan_to_num(values.astype(np.float64), posinf=0, neginf=0), np.isnan(values)])
    tree = kind(max_leaf_nodes=LEAVES if classes else None, min_samples_leaf=3, random_state=0).fit(
        column[first], targets[first]
    )
    return gain_of(tree.predict(column[~first]), targets[~first], targets[first], classes)


def sum_gain(rows: Rows, names: list[str], targets: npt.NDArray[np.float64], first: Half) -> float:
    """Of all numbers together, as parts of a sum: 1 where they add up to the label."""
    columns = [np.nan_to_num(rows[name].astype(np.float64), posinf=0, neginf=0) for name in names]
    matrix = np.column_stack([*columns, np.ones(len(targets))])
    weights = np.linalg.lstsq(matrix[first], targets[first], rcond=None)[0]
    return gain_of(matrix[~first] @ weights, targets[~first], targets[first], classes=False)


def gain_of(
    answers: npt.NDArray[np.float64],
    targets: npt.NDArray[np.float64],
    learned: npt.NDArray[np.float64],
    classes: bool,
) -> float:
    """Share of the error of a constant guess, learned elsewhere, that the answers take away."""
    if classes:
        error, guess = float((answers != targets).mean()), float((targets != most_frequent(learned)).mean())
    else:
        error, guess = (
            float(((answers - targets) ** 2).mean()),
            float(((targets - learned.mean()) ** 2).mean()),
        )
    return 1 - error / guess if guess else 0.0


def most_frequent(values: npt.NDArray[np.float64] | pd.Series) -> float:
    """The value that comes most often."""
    distinct, counts = np.unique(values, return_counts=True)
    return float(distinct[counts.argmax()])
