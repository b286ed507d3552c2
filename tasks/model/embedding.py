"""What a graph sees in rows: the numbers that its last layer is given, and the encoded rows.

Nothing is added to a bundle for it and serving pays nothing: whoever asks opens the same graph with these
values as outputs too. A graph without a last layer of weights, such as one of boosted trees, has no
embedding.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.intake.encoder import ENCODED
from tasks.model.onnx_session import answers, session
from tasks.rows.raw import Rows

LAYERS = ("Gemm", "MatMul", "MatMulInteger", "QGemm", "QLinearMatMul", "Conv")
"""Operators that weigh what they are given first."""
QUANTIZERS = ("QuantizeLinear", "DynamicQuantizeLinear")
WIDEST = 256
"""Numbers of an embedding; wider ones are projected onto so many random directions."""
SEED = 5


@dataclass(frozen=True)
class Seen:
    """What a graph gave for rows."""

    answers: dict[str, npt.NDArray[Any]]
    embedding: npt.NDArray[np.float32] | None
    """[rows, width]."""
    encoded: npt.NDArray[Any] | None
    """As the encoder makes them; None where the graph takes them as they are."""


def see(path: Path, rows: Rows) -> Seen:
    """The graph of a file asked for its answers to at least one row, and for what is inside."""
    import onnx

    whole = onnx.load(str(path), load_external_data=False)
    names = [each.name for each in whole.graph.output]
    made = {name for node in whole.graph.node for name in node.output}
    embedding, encoded = last_layer_input(whole.graph), ENCODED if ENCODED in made else None
    for name in dict.fromkeys(filter(None, (embedding, encoded))):
        # Of what type it is, ONNX Runtime finds out itself.
        whole.graph.output.append(onnx.ValueInfoProto(name=name))
    given = answers(session(whole.SerializeToString()), rows)
    return Seen(
        {name: given[name] for name in names},
        flat(given[embedding], len(rows)) if embedding else None,
        given[encoded] if encoded else None,
    )


def last_layer_input(graph: Any) -> str | None:
    """The value that the layer of weights nearest to the outputs is given.

    None where there is no such layer.
    """
    makers = {name: node for node in graph.node for name in node.output}
    fixed = {"", *(each.name for each in graph.initializer)}
    for node in graph.node:  # in the order in which they run
        if set(node.input) <= fixed:
            fixed.update(node.output)
    waiting, seen = [each.name for each in graph.output], set()
    while waiting:
        name = waiting.pop(0)
        node = makers.get(name)
        if name in seen or node is None:
            continue
        seen.add(name)
        if node.op_type in LAYERS and node.input[0] not in fixed and set(node.input[1:]) <= fixed:
            before = makers.get(node.input[0])
            if before is not None and before.op_type in QUANTIZERS:
                return str(before.input[0])
            return str(node.input[0])
        waiting.extend(node.input)
    return None


def flat(embedding: npt.NDArray[Any], rows: int) -> npt.NDArray[np.float32] | None:
    """[rows, width] of an embedding; places of a row (of a text, of an image) are averaged."""
    if embedding.ndim < 2 or len(embedding) != rows:
        return None
    values = embedding.astype(np.float32)
    while values.ndim > 2:
        values = values.mean(axis=1) if values.shape[1] > 1 else values[:, 0]
    if values.shape[1] > WIDEST:
        directions = np.random.RandomState(SEED).normal(size=(values.shape[1], WIDEST))
        values = values @ (directions / np.sqrt(values.shape[1])).astype(np.float32)
    return values
