"""A student learns from another network's answers as well as from labels.

The teacher answers the very rows that the student sees, augmented ones too, so that their number is not
bounded by how many are labelled.
"""

from typing import Any

import torch
from torch import Tensor

from infra.files import read_json, verify
from tasks.intake import Intake
from tasks.model.model import load
from tasks.result import Postprocessing, Result
from tasks.training.plan import Teacher


def teacher_encoder_state(teacher: Teacher) -> dict[str, Any]:
    """How the teacher encodes rows: its student is shown the same."""
    folder = verify(teacher.checkpoint.uri, teacher.checkpoint.digest)
    state: dict[str, Any] = read_json(folder / "encoder.json")
    return state


class Distillation:
    """A teacher on a device; it does not learn."""

    def __init__(self, teacher: Teacher, intake: Intake, result: Result, device: torch.device) -> None:
        """Raises DigestError where its checkpoint was changed."""
        self.weight, self.temperature = teacher.weight, teacher.temperature
        model = load(teacher.checkpoint, intake, result, teacher.training)
        self.model = model.requires_grad_(requires_grad=False).to(device)

    def blend(self, losses: Tensor, outputs: Tensor, rows: Tensor, postprocessing: Postprocessing) -> Tensor:
        """Losses of the labels [batch] and distances from the teacher's answers to the same rows, weighed.

        [batch].
        """
        with torch.no_grad():
            taught = self.model.outputs(rows).float()
        distance = postprocessing.distance(outputs, taught, self.temperature)
        return (1 - self.weight) * losses + self.weight * distance
