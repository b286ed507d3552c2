"""INT8: static quantization of the one graph, calibrated on real training rows."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from infra.files import digest, verify, whole_file
from tasks.intake import Intake, Rows
from tasks.intake.encoder import ENCODED
from tasks.model.onnx_parts import join_graphs, split
from tasks.model.onnx_session import answers, session
from tasks.records import DatasetVersion, Graph
from tasks.result import Result
from tasks.rows.parts import SplitName, read
from tasks.rows.raw import feed

log = logging.getLogger("gyre.optimization")

OPERATORS = [
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
ROWS_A_BATCH = 32
PARITY_ROWS = 256
METHOD = "MinMax"
"""On digits MinMax stays nearest to fp32; percentiles from 99.9 to 99.999 move the probabilities up to twice
as far."""


def quantize(
    graph: Graph, dataset: DatasetVersion, intake: Intake, result: Result, calibration_rows: int, output: Path
) -> Graph:
    """The INT8 form of a graph (QDQ, a scale a channel) as `<output>/int8.onnx`; `parity` is its distance from the graph it came from.

    Equal inputs give equal bytes. Raises DigestError where graph or data set was changed.
    """
    source, made = verify(graph.uri, graph.digest), output / "int8.onnx"
    rows = spread(dataset, intake, "train", calibration_rows)
    with whole_file(made) as temporary:
        quantize_file(source, temporary, rows)
        # On rows that calibrated it a graph looks better than it is.
        shown = spread(dataset, intake, "test", PARITY_ROWS)
        moved = result.parity(answers(session(source), shown), answers(session(temporary), shown))
    sizes = f"{source.stat().st_size} -> {made.stat().st_size} bytes"
    log.info("int8: %s, %d calibration rows, answers move by up to %.4f", sizes, len(rows), moved)
    return Graph(uri=str(made), digest=digest(made), name="int8", parity=moved)


def spread(dataset: DatasetVersion, intake: Intake, split: SplitName, count: int) -> Rows:
    """`count` raw rows of a split, or all where there are fewer, spread evenly over it.

    Raises ValueError where there are none.
    """
    frame = read(dataset, columns=list(intake.columns), split=split)
    if frame.empty:
        raise ValueError(
            f"data set {dataset.tag} has no {split} rows, which quantization needs; change versioning.split"
        )
    return intake.rows(frame.iloc[np.linspace(0, len(frame) - 1, min(count, len(frame))).astype(int)])


def quantize_file(source: Path, target: Path, rows: Rows) -> None:
    """Writes the INT8 form of the graph at `source`: of the network, behind whatever reads texts and dates."""
    import onnx

    prefix, core = split(onnx.load(source))
    batches = [feed(rows[start : start + ROWS_A_BATCH]) for start in range(0, len(rows), ROWS_A_BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        front, full, small = (Path(folder) / name for name in ("prefix.onnx", "core.onnx", "int8.onnx"))
        onnx.save(core, full)
        if prefix is not None:
            onnx.save(prefix, front)
            encode = session(front)
            batches = [{ENCODED: encode.run(None, batch)[0]} for batch in batches]
        quantize_core(full, small, batches)
        made = onnx.load(small)
        onnx.save(made if prefix is None else join_graphs(prefix, made), target)


def quantize_core(source: Path, target: Path, batches: list[dict[str, Any]]) -> None:
    """Writes the INT8 form of a graph of numbers, calibrated on batches by input name."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = source.with_name("prepared.onnx")
    try:
        quant_pre_process(source, prepared)
    except Exception as error:
        # ONNX Runtime's symbolic inference of shapes does not know every operator (ReduceMax is one); ONNX's
        # own goes on without it.
        log.info("shapes are inferred by ONNX alone: %s", error)
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        target,
        Batches(batches),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=OPERATORS,
        per_channel=True,
        # Eight bits of weight saturate on CPUs without VNNI, so the answers would depend on the machine;
        # seven cost nothing on digits.
        reduce_range=True,
        calibrate_method=CalibrationMethod[METHOD],
    )


class Batches:
    """Rows as ONNX Runtime's calibrator reads them."""

    def __init__(self, batches: list[dict[str, Any]]) -> None:
        self.batches: Iterator[dict[str, Any]] = iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        """The next batch by input name; None after the last."""
        return next(self.batches, None)
