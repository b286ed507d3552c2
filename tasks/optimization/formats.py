"""The formats that a network's weights and arithmetic can have, each a function from an ONNX file to an ONNX file.

Which of them is worth its place is for measurements to say: a format that is fast for one network is slow for
another on the same machine (static INT8 is twice as fast as fp32 for small convolutions, dynamic INT8 six
times slower).
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

log = logging.getLogger("gyre.optimization")

STATIC_OPERATORS = [
    "Conv",
    "Gemm",
    "MatMul",
    "Relu",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "Reshape",
    "Gather",
]
"""The weights (embeddings by Gather), and what lies between them: 8 bits stay 8 bits from layer to layer.
Preprocessing and softmax stay float."""
DYNAMIC_OPERATORS = ["MatMul", "Gemm", "Gather"]
"""Without convolutions: ONNX Runtime's dynamic ones took six to seven times fp32's time."""
WEIGHT_AXES = {"Conv": 0, "ConvTranspose": 1, "MatMul": -1, "Gather": 0}
"""Along which axis of a weight each index has a scale of its own.

Outputs of a layer, rows of an embedding.
"""
FEWEST_WEIGHTS = 1024
"""A smaller tensor stays float: its scales would be as large as what they save."""
METHOD = "MinMax"
"""On digits MinMax stays nearest to fp32; percentiles from 99.9 to 99.999 move the probabilities up to twice
as far, and entropy at its default bins equals MinMax."""

Batch = dict[str, npt.NDArray[Any]]
"""Rows that calibrate, by input name."""


class Format(Protocol):
    """Writes a network in another format."""

    def __call__(
        self, source: Path, target: Path, batches: Sequence[Batch], keep_float: Collection[str] = ()
    ) -> None:
        """`source`: a network of constant weights and known shapes.

        `keep_float`: names of nodes to be left as they are.
        """


def static_int8(
    source: Path, target: Path, batches: Sequence[Batch], keep_float: Collection[str] = ()
) -> None:
    """Weights and activations in 8 bits with scales from calibration, a scale a channel (QDQ).

    Activations are unsigned: signed ones took 1.2 to 3 times as long on a CPU with VNNI.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    quantize_static(
        source,
        target,
        Batches(batches),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=STATIC_OPERATORS,
        nodes_to_exclude=sorted(keep_float),
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=sums_saturate(),
        calibrate_method=CalibrationMethod[METHOD],
    )


def dynamic_int8(
    source: Path, target: Path, batches: Sequence[Batch], keep_float: Collection[str] = ()
) -> None:
    """Weights in 8 bits.

    The scales of activations are taken from each batch as it comes, so nothing is calibrated.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=DYNAMIC_OPERATORS,
        nodes_to_exclude=sorted(keep_float),
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=sums_saturate(),
    )


def int8_weights(
    source: Path, target: Path, batches: Sequence[Batch], keep_float: Collection[str] = ()
) -> None:
    """Weights kept in 8 bits and made float when a session opens the graph.

    A quarter of the size, fp32's arithmetic and speed.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(source)
    axes = weight_axes(model, keep_float)
    nodes, constants = [], []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        axis = axes.get(weight.name)
        if axis is None or values.dtype != np.float32 or values.size < FEWEST_WEIGHTS:
            constants.append(weight)
            continue
        rounded, scale = round_weights(values, axis)
        name = weight.name
        constants += [
            numpy_helper.from_array(rounded, f"{name}.int8"),
            numpy_helper.from_array(scale, f"{name}.scale"),
        ]
        # Cast and Mul of constants are computed once, when a session opens the graph; DequantizeLinear is
        # computed again in each call.
        nodes += [
            helper.make_node("Cast", [f"{name}.int8"], [f"{name}.float"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}.float", f"{name}.scale"], [name]),
        ]
    if not nodes:
        raise ValueError(f"no layer has as many as {FEWEST_WEIGHTS:,} weights")
    nodes += model.graph.node
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(constants)
    model.graph.node.extend(nodes)
    onnx.save(model, target)


FORMATS: dict[str, Format] = {
    "int8": static_int8,
    "int8-dynamic": dynamic_int8,
    "int8-weights": int8_weights,
}
"""By the name that optimization.quantize and the graphs have."""


def weight_axes(model: Any, keep_float: Collection[str]) -> dict[str, int]:
    """The axis of scales of each weight that only layers use which may be rounded, by the weight's name."""
    axes: dict[str, int] = {}
    others: set[str] = set()
    for node in model.graph.node:
        axis = WEIGHT_AXES.get(node.op_type)
        if node.op_type == "Gemm":
            transposed = any(each.name == "transB" and each.i for each in node.attribute)
            axis = 0 if transposed else 1
        place = 0 if node.op_type == "Gather" else 1
        for at, name in enumerate(node.input):
            if axis is not None and at == place and node.name not in keep_float:
                axes[name] = axis
            else:
                others.add(name)
    return {name: axis for name, axis in axes.items() if name not in others}


def round_weights(
    values: npt.NDArray[np.float32], axis: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Weights as int8 and the scales [.., 1, channels, 1, ..] that make them float again."""
    across = tuple(each for each in range(values.ndim) if each != axis % values.ndim)
    largest = np.abs(values).max(axis=across, keepdims=True)
    scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    return np.rint(values / scale).astype(np.int8), scale


class Batches:
    """Batches as ONNX Runtime's calibrator reads them."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.left: Iterator[Batch] = iter(batches)

    def get_next(self) -> Batch | None:
        """The next batch by input name; None after the last."""
        return next(self.left, None)


@cache
def sums_saturate() -> bool:
    """Whether this machine's 8-bit products overflow the 16 bits that they are summed in, as on CPUs without VNNI.

    Then weights take seven bits, so that answers do not depend on the machine. Found by multiplying the
    largest numbers that there are.
    """
    from onnx import TensorProto, helper

    from tasks.model.onnx_session import session

    depth, width = 64, 16
    weights = np.full((depth, width), 127, np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["rows", "weights"], ["sums"])],
        "saturation",
        [helper.make_tensor_value_info("rows", TensorProto.UINT8, [None, depth])],
        [helper.make_tensor_value_info("sums", TensorProto.INT32, [None, width])],
        [helper.make_tensor("weights", TensorProto.INT8, weights.shape, weights.tobytes(), raw=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    rows = np.full((width, depth), 255, np.uint8)
    sums = session(model.SerializeToString()).run(None, {"rows": rows})[0]
    return bool((sums != depth * 255 * 127).any())
