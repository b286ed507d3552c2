"""A graph's answers to many rows, and the columns that they become."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.rows.raw import TEXT
from tasks.scoring.bundle import OpenBundle
from tasks.scoring.row_inputs import Values

ROWS_A_CALL = 256
"""Of the graph: bounds the memory of one call."""
CHARACTERS_A_CALL = 4_000_000
"""Rows of a call times their longest text, since a graph pads every text to the longest."""


def answers(bundle: OpenBundle, inputs: Values, rows: int) -> Values:
    """The graph's outputs by name [rows, ...], a bounded call at a time."""
    texts = [spec.name for spec in bundle.inputs if spec.dtype == TEXT and not spec.shape]
    names = [spec.name for spec in bundle.inputs]
    calls = []
    start = 0
    longest = longest_text(inputs, texts, 0, rows)
    while start < rows:
        stop = min(rows, start + ROWS_A_CALL)
        if longest * ROWS_A_CALL > CHARACTERS_A_CALL:
            longest_here = longest_text(inputs, texts, start, stop)
            stop = min(stop, start + max(1, CHARACTERS_A_CALL // max(1, longest_here)))
        feeds = {name: inputs[name][start:stop] for name in names}
        calls.append(bundle.session.run(list(bundle.outputs), feeds))
        start = stop
    return {
        name: np.concatenate(parts)
        for name, parts in zip(bundle.outputs, zip(*calls, strict=True), strict=True)
    }


def longest_text(inputs: Values, names: list[str], start: int, stop: int) -> int:
    """Characters of the longest text of some rows; 0 where no input is text."""
    return max((max(map(len, inputs[name][start:stop]), default=0) for name in names), default=0)


def not_finite(outputs: Values, bundle: OpenBundle) -> npt.NDArray[np.bool_]:
    """Which rows have an output that is no finite number [rows]."""
    bad = np.zeros(len(outputs[bundle.outputs[0]]), np.bool_)
    for values in outputs.values():
        if values.dtype.kind == "f":
            bad |= ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    return bad


def answer_columns(outputs: Values, bundle: OpenBundle) -> dict[str, pa.Array]:
    """Columns of the target: the answer in words, then the other outputs.

    Where an output has a number a class, the answer's own is a column of the output's name, and all are in
    <output>_by_class.
    """
    first, *others = bundle.outputs
    chosen = outputs[first]
    classes = bundle.classes
    columns = {
        "answer": pa.array(chosen)
        if classes is None
        else pa.array(classes, pa.string()).take(pa.array(chosen))
    }
    for name in others:
        values = outputs[name]
        if values.ndim == 1:
            columns[name] = pa.array(values)
            continue
        flat = values.reshape(len(values), -1)
        lists = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), flat.shape[1])
        if classes is not None and flat.shape[1] == len(classes):
            columns[name] = pa.array(flat[np.arange(len(flat)), chosen])
            columns[f"{name}_by_class"] = lists
        else:
            columns[name] = lists
    return columns
