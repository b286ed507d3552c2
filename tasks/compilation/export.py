"""The one graph: preprocessing, network and post-processing as one ONNX file that takes raw rows."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.project import Training
from infra.files import digest, whole_file
from tasks.compilation.measure import held_out
from tasks.graph import answers, session
from tasks.graph_parts import with_prefix
from tasks.intake import Intake, Rows
from tasks.records import Graph, TrainedModel
from tasks.result import Answers, Result

if TYPE_CHECKING:
    from tasks.model import Model

log = logging.getLogger("gyre.compilation")

MAX_PARITY = 1e-4
"""Rounding moves a float32 probability by less; more means that the graph is not the model."""
PARITY_ROWS = 256


def export(model: TrainedModel, intake: Intake, result: Result, training: Training, output: Path) -> Graph:
    """The model as `<output>/fp32.onnx`: inputs by the intake's names, outputs by the result's, any batch.

    Equal weights give equal bytes. Raises DigestError for a changed checkpoint, ValueError where the graph's answers to real test rows
    are not the model's; then nothing is written.
    """
    from tasks.model import load

    module = load(model, intake, result, training)
    rows = held_out(model.dataset, intake, result)[0][:PARITY_ROWS]
    made = output / "fp32.onnx"
    with whole_file(made) as temporary:
        temporary.write_bytes(graph_bytes(module, result.names))
        parity = result.parity(eager(module, rows, result.names), answers(session(temporary), rows))
        if not parity <= MAX_PARITY:
            raise ValueError(
                f"{model.uri}: the exported graph's answers differ from the model's by {parity:.3g} on {len(rows)} test rows, "
                f"{MAX_PARITY:g} is allowed; look for an operation in the network that ONNX computes differently"
            )
    log.info("fp32: %d bytes, parity %.2g on %d test rows", made.stat().st_size, parity, len(rows))
    return Graph(uri=str(made), digest=digest(made), name="fp32", parity=parity)


def graph_bytes(module: "Model", names: tuple[str, ...]) -> bytes:
    """A model as ONNX from raw rows on, checked, without what tells where and when it was made (stack traces, paths)."""
    import onnx
    import torch
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    # It warns of every operator of torchvision, which nothing here uses.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    taken = module.encoder.encoded
    example = torch.from_numpy(np.zeros((2, *taken.shape), dtype=taken.dtype))
    program: Any = torch.onnx.export(
        module,
        (example,),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        external_data=False,
        input_names=[taken.name],
        output_names=list(names),
        verbose=False,
    )
    ClearMetadataAndDocStringPass()(program.model)
    core = program.model_proto
    # Without the prefix: inferring shapes behind an operator that ONNX does not know, such as Tokenizer, crashes onnx 1.23.
    onnx.checker.check_model(core, full_check=True)
    written: bytes = with_prefix(core, module.encoder).SerializeToString(deterministic=True)
    return written


def eager(module: "Model", rows: Rows, names: tuple[str, ...]) -> Answers:
    """The model's own answers to raw rows, by name."""
    import torch

    with torch.inference_mode():
        given = module(torch.from_numpy(module.encoder.encode(rows)))
    return {name: tensor.numpy() for name, tensor in zip(names, given, strict=True)}
