"""Raw rows as every stage passes them on: a numpy structured array with a field for each input of the graph.

Only numpy: the model server uses it too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[Any]
"""Raw rows [rows], a field an input; `rows["image"]` is the plain array [rows, *shape]. Texts are object
fields of str."""
TEXT = "str"
MAX_TEXT = 20_000
"""Characters of one text: a graph pads every text of a call to the longest, so one endless text would cost as
much as its whole batch."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a graph."""

    name: str
    dtype: str
    """A numpy dtype, such as uint8; `str` for text."""
    shape: tuple[int, ...]
    """Of one row, () for a single value; -1 where it is not fixed."""


def are_columns(inputs: Sequence[TensorSpec]) -> bool:
    """Whether rows are values in columns, which a table shows; images and texts are drawn."""
    return not any(spec.shape for spec in inputs) and [spec.dtype for spec in inputs] != [TEXT]


def row_dtype(inputs: Sequence[TensorSpec]) -> np.dtype[Any]:
    """The structured dtype of rows of these inputs."""
    return np.dtype(
        [(spec.name, object if spec.dtype == TEXT else spec.dtype, spec.shape) for spec in inputs]
    )


def rows_from(inputs: Sequence[TensorSpec], columns: Mapping[str, Any]) -> Rows:
    """Rows of arrays [rows, *shape], one an input by name. Raises ValueError where an array does not fit."""
    rows = np.empty(len(columns[inputs[0].name]), row_dtype(inputs))
    for spec in inputs:
        rows[spec.name] = columns[spec.name]
    return rows


def blank(inputs: Sequence[TensorSpec], count: int) -> Rows:
    """Rows of zeros and empty texts."""
    return rows_from(
        inputs,
        {
            spec.name: np.full((count, *spec.shape), "" if spec.dtype == TEXT else 0, object)
            for spec in inputs
        },
    )


def feed(rows: Rows) -> dict[str, npt.NDArray[Any]]:
    """What ONNX Runtime takes: a contiguous array an input."""
    return {name: np.ascontiguousarray(rows[name]) for name in rows.dtype.names or ()}


def weight(rows: Rows) -> int:
    """Bytes in memory, about: texts by their characters."""
    texts = [name for name in rows.dtype.names or () if rows.dtype[name].base.hasobject]
    return rows.nbytes + sum(sum(map(len, rows[name].ravel())) for name in texts)
