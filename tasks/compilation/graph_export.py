"""The one graph: preprocessing, network and post-processing as one ONNX file that takes raw rows."""

import logging
from pathlib import Path

from configs.training import TrainingConfig
from infra.files import digest, whole_file
from tasks.compilation.measurement import held_out
from tasks.intake import Intake
from tasks.model.onnx_export import eager, graph_bytes
from tasks.model.onnx_session import answers, session
from tasks.records import Graph, TrainedModel
from tasks.result import Result

log = logging.getLogger("gyre.compilation")

MAX_PARITY = 1e-4
"""Rounding moves a float32 probability by less; more means that the graph is not the model."""
PARITY_ROWS = 256


def export(
    model: TrainedModel,
    intake: Intake,
    result: Result,
    training: TrainingConfig,
    output: Path,
    name: str = "fp32",
    steps: tuple[str, ...] = (),
) -> Graph:
    """The model as `<output>/<name>.onnx`: inputs by the intake's names, outputs by the result's, any batch.

    `steps`: how a student's network came about.

    Equal weights give equal bytes. Raises DigestError for a changed checkpoint, ValueError where the graph's
    answers to real test rows are not the model's; then nothing is written.
    """
    from tasks.model.model import load

    module = load(model, intake, result, training)
    rows = held_out(model.dataset, intake, result)[0][:PARITY_ROWS]
    made = output / f"{name}.onnx"
    with whole_file(made) as temporary:
        temporary.write_bytes(graph_bytes(module, result.names))
        parity = result.parity(eager(module, rows, result.names), answers(session(temporary), rows))
        if not parity <= MAX_PARITY:
            raise ValueError(
                f"{model.uri}: the exported graph's answers differ from the model's by {parity:.3g} on {len(rows)} test rows, "
                f"{MAX_PARITY:g} is allowed; look for an operation in the network that ONNX computes differently"
            )
    log.info("%s: %d bytes, parity %.2g on %d test rows", name, made.stat().st_size, parity, len(rows))
    return Graph(
        uri=str(made),
        digest=digest(made),
        name=name,
        parity=parity,
        steps=steps,
        seconds=model.seconds,
        checkpoint=model.digest,
    )
