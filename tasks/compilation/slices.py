"""Slices of the test split: rows that have something in common, by a column, a descriptor or a condition."""

import itertools
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from configs.evaluation import EvaluationConfig, SliceConfig
from tasks.intake import Intake, Rows
from tasks.records import DatasetVersion
from tasks.rows.parts import read, schema_of
from tasks.rows.sql import open_database

log = logging.getLogger("gyre.compilation")

NAMES_OF_ROWS = ("id", "origin_line", "origin_content", "split")
"""Columns that say nothing about what a row is like."""
MOST_VALUES = 10
"""Values of a column that are slices, the most frequent; a number with more different ones is cut into
ranges."""
BINS = 4
SHOWN = 60
"""Characters of a value in a slice's name."""
FINE = 0.1
"""An edge is rounded by at most this share of the narrowest range."""


@dataclass(frozen=True)
class Slice:
    """Some of the test rows."""

    name: str
    """The condition that they meet, such as `sex = Female & age > 48`."""
    members: npt.NDArray[np.bool_]
    """Which of the test rows they are, [rows]."""


def attributes(dataset: DatasetVersion, intake: Intake, rows: Rows) -> pd.DataFrame:
    """What the test rows, given raw too, can be told apart by.

    The data set's plain columns and the intake's descriptors.

    Raises DigestError where the data set was changed.
    """
    plain = [
        field.name
        for field in schema_of(Path(dataset.uri))
        if not (pa.types.is_nested(field.type) or pa.types.is_binary(field.type))
    ]
    frame = read(dataset, [name for name in plain if name not in NAMES_OF_ROWS], "test")
    found = intake.describe(rows)
    # A code without an order stays text, whatever it looks like.
    kept = [name for name in found if name not in frame or not pd.api.types.is_numeric_dtype(found[name])]
    return pd.concat([frame.drop(columns=kept, errors="ignore"), found[kept]], axis=1)


def declared_slices(frame: pd.DataFrame, evaluation: EvaluationConfig) -> list[Slice]:
    """The slices that the YAML names; one without test rows is left out.

    Raises ValueError for an unknown column or a wrong condition.
    """
    return [found for section in evaluation.slices for found in slices_of_entry(frame, section)]


def slices_of_entry(frame: pd.DataFrame, section: SliceConfig) -> list[Slice]:
    """The slices of one entry."""
    if section.where is not None:
        members = matching(frame, section.where)
        if not members.any():
            log.warning("evaluation.slices: no test row meets %s", section.where)
        return [Slice(" ".join(section.where.split()), members)] if members.any() else []
    if section.column not in frame:
        raise ValueError(
            f"evaluation.slices: the data set has no column {section.column!r}; it has {', '.join(map(str, frame))}"
        )
    return by_column(frame[section.column], section.bins)


def matching(frame: pd.DataFrame, condition: str) -> npt.NDArray[np.bool_]:
    """Which rows meet a condition in SQL, [rows]; one that is unknown for want of a value is not met.

    Raises ValueError.
    """
    with open_database() as connection:
        # The condition is the user's: it reads these rows and no file.
        connection.execute("SET enable_external_access = false")
        connection.register("rows", pa.Table.from_pandas(frame, preserve_index=False))
        try:
            asked = f"SELECT coalesce(({condition})::BOOLEAN, false) AS met FROM rows"
            found = connection.execute(asked).fetchnumpy()["met"]
        except duckdb.Error as error:
            raise ValueError(
                f"evaluation.slices: where {condition!r}: {error}; columns are {', '.join(map(str, frame))}"
            ) from None
    return np.asarray(found, dtype=np.bool_)


def by_column(column: pd.Series, bins: int = BINS) -> list[Slice]:
    """A slice a value, the most frequent first, or a range; and one of the rows without a value."""
    missing = (column.isna() | (column.astype(object) == "")).to_numpy(dtype=np.bool_)
    there = column[~missing]
    ordered = pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column)
    found = (
        slices_by_range(column, edges(there, bins))
        if ordered and there.nunique() > MOST_VALUES
        else slices_by_value(column, there)
    )
    return [each for each in (*found, Slice(f"{column.name} missing", missing)) if each.members.any()]


def slices_by_value(column: pd.Series, there: pd.Series) -> list[Slice]:
    """A slice for each of the most frequent values; of equally frequent ones the first in the alphabet."""
    counts = there.value_counts()
    kept = sorted(counts.index, key=lambda value: (-counts[value], str(value)))[:MOST_VALUES]
    return [
        Slice(f"{column.name} = {format_value(value)}", condition_mask(column == value)) for value in kept
    ]


def slices_by_range(column: pd.Series, inner: list[Any]) -> list[Slice]:
    """The ranges below, between and above edges, each with its upper one."""
    name, (first, *_), (*_, last) = column.name, inner, inner
    between = [
        Slice(
            f"{format_value(low)} < {name} ≤ {format_value(high)}",
            condition_mask((column > low) & (column <= high)),
        )
        for low, high in itertools.pairwise(inner)
    ]
    return [
        Slice(f"{name} ≤ {format_value(first)}", condition_mask(column <= first)),
        *between,
        Slice(f"{name} > {format_value(last)}", condition_mask(column > last)),
    ]


def edges(there: pd.Series, bins: int) -> list[Any]:
    """Quantiles that split values into about equal parts, rounded. At least one, under the largest value."""
    quantiles: list[Any] = there.quantile(
        [part / bins for part in range(bins + 1)], interpolation="lower"
    ).tolist()
    days, highest = pd.api.types.is_datetime64_any_dtype(there), quantiles[-1]
    readable = [edge.floor("D") for edge in quantiles[1:-1]] if days else round_edges(quantiles)
    return [edge for edge in dict.fromkeys(readable) if edge < highest] or [there[there < highest].max()]


def round_edges(quantiles: list[float]) -> list[float]:
    """The inner ones, with the fewest digits that move none of them by more than FINE of the least distance between two."""
    inner = quantiles[1:-1]
    finest = FINE * min(high - low for low, high in itertools.pairwise(quantiles) if high > low)
    for digits in range(-15, 15):
        if all(abs(round(edge, digits) - edge) <= finest for edge in inner):
            return [round(edge, digits) for edge in inner]
    return inner


def format_value(value: Any) -> str:
    """A value in a slice's name."""
    if isinstance(value, pd.Timestamp):
        return str(value.date())
    return f"{value:.7g}" if isinstance(value, float) else str(value)[:SHOWN]


def condition_mask(condition: pd.Series) -> npt.NDArray[np.bool_]:
    """A condition by row, not met where a value is missing."""
    return condition.to_numpy(dtype=np.bool_, na_value=False)
