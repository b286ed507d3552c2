"""The whole model: fitted preprocessing, network and post-processing in one module, and its checkpoint without pickles."""

import hashlib
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from configs.project import Training
from infra.files import verified, whole_folder, write_json
from infra.imports import resolve
from tasks.intake import Intake
from tasks.records import Stored
from tasks.result import Result


class Model(nn.Module):
    """Raw rows in, answers out; `outputs` stops before the post-processing, where the loss begins."""

    def __init__(self, intake: Intake, result: Result, training: Training) -> None:
        super().__init__()
        self.preprocessing = intake.preprocessing()
        self.network: nn.Module = (
            resolve(training.network)(intake.network_shape, result.outputs) if training.network else intake.network(result.outputs)
        )
        self.postprocessing = result.postprocessing()

    def outputs(self, rows: Tensor) -> Tensor:
        """Raw rows [batch, *row_shape] -> network outputs [batch, outputs] float32."""
        outputs: Tensor = self.network(self.preprocessing(rows))
        return outputs

    def forward(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Raw rows [batch, *row_shape] -> the answers, in the order of the result's `names`."""
        answers: tuple[Tensor, ...] = self.postprocessing(self.outputs(rows))
        return answers


def save(model: Model, folder: Path, facts: dict[str, object]) -> None:
    """Writes model.safetensors and checkpoint.json, the folder whole or not at all."""
    with whole_folder(folder) as partial:
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, partial / "model.safetensors")
        write_json(partial / "checkpoint.json", facts)


def load(stored: Stored, intake: Intake, result: Result, training: Training) -> Model:
    """The model of a checkpoint, in evaluation mode. Raises DigestError where the checkpoint was changed."""
    folder = verified(stored.uri, stored.digest)
    model = Model(intake, result, training)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


def weights_digest(model: nn.Module) -> str:
    """sha256 over names, shapes and bytes of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
