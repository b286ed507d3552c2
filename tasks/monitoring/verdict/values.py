"""A descriptor's values, block by block.

What a look reads of production and of the reference, however many rows there are.

Numbers come as float64 with NaN where one is missing or infinite, texts as Arrow strings with null where one
is missing.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ROWS_A_BLOCK = 1 << 17
"""Of a column that is read from Parquet: a megabyte of numbers."""


@dataclass(frozen=True)
class Values:
    """One descriptor of one side, in the order of time."""

    blocks: Callable[[], Iterable[Any]]
    """Reads them from the first one on, as often as it is called: pandas' or Arrow's columns."""
    rows: int
    number: bool


def of_frame(columns: pd.DataFrame | Mapping[str, pd.Series]) -> dict[str, Values]:
    """Columns that are in memory."""
    found = {}
    for name, column in columns.items():
        number = pd.api.types.is_numeric_dtype(column.dtype)
        found[str(name)] = Values(partial(cut, column), len(column), number)
    return found


def cut(column: pd.Series) -> Iterable[pd.Series]:
    """A column in blocks."""
    return (column.iloc[start : start + ROWS_A_BLOCK] for start in range(0, len(column), ROWS_A_BLOCK))


def of_parquet(parts: Sequence[Path]) -> dict[str, Values]:
    """Columns of Parquet files with one schema, read one column at a time."""
    schema = pq.read_schema(parts[0])
    rows = sum(pq.read_metadata(part).num_rows for part in parts)
    return {
        field.name: Values(partial(read_column, parts, field.name), rows, not is_text(field.type))
        for field in schema
    }


def is_text(kind: pa.DataType) -> bool:
    """Whether Arrow's type is one of texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


def read_column(parts: Sequence[Path], name: str) -> Iterable[pa.Array]:
    """A column's blocks."""
    for part in parts:
        with pq.ParquetFile(part) as file:
            for batch in file.iter_batches(ROWS_A_BLOCK, columns=[name], use_threads=False):
                yield batch.column(0)


def numbers(block: Any) -> npt.NDArray[np.float64]:
    """A block as numbers."""
    if isinstance(block, pd.Series):
        values = block.to_numpy(np.float64, na_value=math.nan)
    else:
        values = block.cast(pa.float64()).to_numpy(zero_copy_only=False)
    finite = np.isfinite(values)
    return values if finite.all() else np.where(finite, values, math.nan)


def texts(block: Any) -> pa.Array:
    """A block as texts."""
    if not isinstance(block, pd.Series):
        return block.cast(pa.string())
    if not isinstance(block.dtype, pd.StringDtype):
        block = block.astype(str).where(block.notna(), None)
    return pa.Array.from_pandas(block, type=pa.string())
