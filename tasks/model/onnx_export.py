"""Torch modules as ONNX, with the prefix that encodes raw rows: one way for networks and baselines alike."""

import logging
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.intake import Rows
from tasks.model.onnx_parts import with_prefix
from tasks.result import Answers

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tasks.model.model import Model


def graph_bytes(module: "Model", names: tuple[str, ...]) -> bytes:
    """A model as ONNX from raw rows on, checked, without what tells where and when it was made (stack traces, paths)."""
    import onnx
    import torch

    taken = module.encoder.encoded
    example = torch.from_numpy(np.zeros((2, *taken.shape), dtype=taken.dtype))
    core = onnx.load_from_string(module_bytes(module, example, taken.name, names))
    written: bytes = with_prefix(core, module.encoder).SerializeToString(deterministic=True)
    return written


def module_bytes(module: "nn.Module", example: "Tensor", taken: str, names: tuple[str, ...]) -> bytes:
    """A module of one tensor `taken` [batch, ...] as ONNX with outputs by `names`; checked."""
    import onnx
    import torch
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    # It warns of every operator of torchvision, which nothing here uses.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "`isinstance.treespec, LeafSpec.` is deprecated", FutureWarning
        )  # torch 2.13 of itself
        program: Any = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            input_names=[taken],
            output_names=list(names),
            verbose=False,
        )
    ClearMetadataAndDocStringPass()(program.model)
    core = program.model_proto
    # Without the prefix: inferring shapes behind an operator that ONNX does not know, such as Tokenizer,
    # crashes onnx 1.23.
    onnx.checker.check_model(core, full_check=True)
    written: bytes = core.SerializeToString(deterministic=True)
    return written


def eager(module: "Model", rows: Rows, names: tuple[str, ...]) -> Answers:
    """The model's own answers to raw rows, by name."""
    import torch

    with torch.inference_mode():
        given = module(torch.from_numpy(module.encoder.encode(rows)))
    return {name: tensor.numpy() for name, tensor in zip(names, given, strict=True)}
