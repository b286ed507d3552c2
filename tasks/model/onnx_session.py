"""The one ONNX graph, run by ONNX Runtime: raw rows in, answers out, whichever stage asks."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.rows.raw import Rows, feed

if TYPE_CHECKING:
    from tasks.result import Answers

ROWS_A_CALL = 256
"""Bounds the memory of one call."""


def session(path: Path | bytes) -> Any:
    """An onnxruntime.InferenceSession on one thread of the CPU: its answers are the same bytes every time, its times comparable."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def answers(graph: Any, rows: Rows) -> "Answers":
    """A session's outputs by name for raw rows; at least one row."""
    calls = [
        graph.run(None, feed(rows[start : start + ROWS_A_CALL])) for start in range(0, len(rows), ROWS_A_CALL)
    ]
    return {
        output.name: np.concatenate(parts)
        for output, parts in zip(graph.get_outputs(), zip(*calls, strict=True), strict=True)
    }
