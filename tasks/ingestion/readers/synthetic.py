"""Rows drawn from a contract: made-up data in the shape of the real, for trials and benchmarks.

The same on every machine.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa

from configs.source import ColumnConfig, SourceConfig
from tasks.ingestion.lines import number_lines
from tasks.ingestion.readers import Partition
from tasks.rows.parts import ROWS_A_GROUP, ROWS_A_PART

WORDS = (
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "heron",
    "inlet",
    "juniper",
    "kelp",
    "larch",
)
DAY_S = 86_400
FIRST_DAY = 1_704_067_200
"""2024-01-01, in seconds since the epoch."""


def partitions(source: SourceConfig) -> list[Partition]:
    """A partition a part; `options.seed` (0 by default) draws other rows."""
    seed, rows = int(source.options.get("seed", 0)), source.rows or 0
    facts = [seed, {name: column.model_dump() for name, column in source.columns.items()}]
    ranges = [(first, min(first + ROWS_A_PART, rows)) for first in range(0, rows, ROWS_A_PART)]
    return [
        Partition("synthetic", [*facts, first, last], partial(read, source, seed, first, last))
        for first, last in ranges
    ]


def read(source: SourceConfig, seed: int, first: int, last: int) -> Iterator[pa.Table]:
    """The rows `first` to `last`, drawn group by group, so a row does not depend on how many there are."""
    keys = {source.key} if isinstance(source.key, str) else set(source.key)
    for start in range(first, last, ROWS_A_GROUP):
        rows = min(ROWS_A_GROUP, last - start)
        columns = {
            column.source or name: key_values(column, start, rows)
            if name in keys
            else draw_values(column, np.random.RandomState([seed, number, start]), rows)
            for number, (name, column) in enumerate(source.columns.items())
        }
        yield number_lines(pa.table(columns), start + 1)


def key_values(column: ColumnConfig, start: int, rows: int) -> pa.Array:
    """Row numbers, each once."""
    numbers = range(start + 1, start + rows + 1)
    return (
        pa.array(numbers, pa.int64())
        if column.type in ("integer", "number")
        else pa.array([f"row-{number:08d}" for number in numbers])
    )


def draw_values(column: ColumnConfig, random: np.random.RandomState, rows: int) -> pa.Array:
    """Values of one column, a twentieth of them missing where that is allowed."""
    gaps = None if column.required else random.rand(rows) < 0.05
    if column.type in ("integer", "number"):
        values = np.interp(
            random.rand(rows), (0.05, 0.25, 0.5, 0.75, 0.95), column.usual or (-1.6, -0.7, 0.0, 0.7, 1.6)
        )
        return pa.array(np.rint(values).astype(np.int64) if column.type == "integer" else values, mask=gaps)
    if column.type == "boolean":
        return pa.array(random.rand(rows) < 0.5, mask=gaps)
    if column.type == "timestamp":
        seconds = FIRST_DAY + random.randint(0, 365 * DAY_S, rows)
        return pa.array(seconds.astype("datetime64[s]").astype("datetime64[us]"), mask=gaps)
    return pa.array(np.array(WORDS, dtype=object)[random.randint(0, len(WORDS), rows)], mask=gaps)
