"""Raw rows to one numeric tensor: what torch takes, since texts never enter it."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tasks.rows.raw import Rows, TensorSpec

Encoded = npt.NDArray[Any]
"""Encoded rows [rows, *shape], numbers alone."""
State = dict[str, Any]
ENCODED = "gyre.encoded"
"""Where in a graph the prefix ends and the network's own part begins."""


class Encoder(Protocol):
    """Fitted on training rows alone.

    What it learned is plain JSON in the checkpoint; its ONNX form computes exactly the same.
    """

    encoded: TensorSpec
    """What it makes; fixed before it is fitted."""

    def fit(self, rows: Rows) -> None:
        """Learns from training rows, the same from the same rows."""

    def encode(self, rows: Rows) -> Encoded:
        """Encoded rows."""

    def state(self) -> State:
        """What it learned, as JSON."""

    def restore(self, state: State) -> None:
        """Becomes what `state` was taken of."""

    def prefix(self, opsets: dict[str, int]) -> Any | None:
        """An onnx.GraphProto from the raw inputs to a value named ENCODED; None where the one raw input is the encoded tensor already.

        It may use operators of ONNX in the version of `opsets`, and add other domains to it.
        """


class Identity:
    """One numeric input, as it is."""

    def __init__(self, taken: TensorSpec) -> None:
        self.encoded = taken

    def fit(self, rows: Rows) -> None:
        """Nothing to learn."""

    def encode(self, rows: Rows) -> Encoded:
        """The input itself."""
        return np.ascontiguousarray(rows[self.encoded.name])

    def state(self) -> State:
        """Nothing."""
        return {}

    def restore(self, state: State) -> None:
        """Nothing."""

    def prefix(self, opsets: dict[str, int]) -> None:
        """None: the graph takes the input itself."""
