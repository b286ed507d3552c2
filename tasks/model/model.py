"""The whole model: fitted preprocessing, network and post-processing in one module, and its checkpoint without pickles."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from configs.training import TrainingConfig
from infra.files import read_json, verify, whole_folder, write_json
from tasks.intake import Encoder, Intake, Preprocessing
from tasks.model.network import build
from tasks.records import Stored
from tasks.result import Result


class Model(nn.Module):
    """Encoded rows in, answers out; `outputs` stops before the post-processing, where the loss begins.

    The encoder is no part of torch.
    """

    def __init__(self, encoder: Encoder, intake: Intake, result: Result, training: TrainingConfig) -> None:
        super().__init__()
        check_names(intake, result)
        self.encoder = encoder
        self.preprocessing = intake.preprocessing(encoder)
        shape, outputs = self.preprocessing.shape, result.outputs
        self.network = build(training, intake, encoder, shape, outputs)
        self.postprocessing = result.postprocessing()

    def outputs(self, encoded: Tensor) -> Tensor:
        """Encoded rows [batch, ...] -> network outputs [batch, outputs] float32."""
        outputs: Tensor = self.network(self.preprocessing(encoded))
        return outputs

    def forward(self, encoded: Tensor) -> tuple[Tensor, ...]:
        """Encoded rows [batch, ...] -> the answers, in the order of the result's `names`."""
        answers: tuple[Tensor, ...] = self.postprocessing(self.outputs(encoded))
        return answers


def check_names(intake: Intake, result: Result) -> None:
    """Raises ValueError for an input that has the name of an output: one graph cannot tell them apart."""
    if both := [spec.name for spec in intake.inputs if spec.name in result.names]:
        raise ValueError(
            f"intake: column {both[0]!r} has the name of one of the graph's outputs; rename it in the source"
        )


def save(encoder: Encoder, tensors: dict[str, Tensor], folder: Path, facts: dict[str, object]) -> None:
    """Writes model.safetensors, encoder.json and checkpoint.json, the folder whole or not at all.

    `tensors`: a model's state.
    """
    with whole_folder(folder) as partial:
        write_json(partial / "encoder.json", encoder.state())
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()}, partial / "model.safetensors"
        )
        write_json(partial / "checkpoint.json", facts)


def load(stored: Stored, intake: Intake, result: Result, training: TrainingConfig) -> Model:
    """The model of a checkpoint, in evaluation mode. Raises DigestError where the checkpoint was changed."""
    folder = verify(stored.uri, stored.digest)
    encoder = intake.encoder()
    encoder.restore(read_json(folder / "encoder.json"))
    model = Model(encoder, intake, result, training)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


def load_preprocessing(stored: Stored, intake: Intake) -> Preprocessing:
    """The fitted preprocessing of a checkpoint, without its network.

    Raises DigestError where the checkpoint was changed.
    """
    folder, before = verify(stored.uri, stored.digest), "preprocessing."
    encoder = intake.encoder()
    encoder.restore(read_json(folder / "encoder.json"))
    preprocessing = intake.preprocessing(encoder)
    tensors = load_file(folder / "model.safetensors")
    preprocessing.load_state_dict(
        {name.removeprefix(before): tensor for name, tensor in tensors.items() if name.startswith(before)}
    )
    return preprocessing


def weights_digest(encoder: Encoder, tensors: dict[str, Tensor]) -> str:
    """sha256 over the encoder, and names, shapes and bytes of a model's state: all parameters and buffers."""
    digest = hashlib.sha256(json.dumps(encoder.state(), sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
