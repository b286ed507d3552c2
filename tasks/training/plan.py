"""What one training is asked to do: sent to every rank as JSON, so it imports no torch."""

from pathlib import Path

from configs.intake import IntakeConfig
from configs.result import ResultConfig
from configs.training import TrainingConfig
from tasks.records import DatasetVersion, Record, Stored


class Teacher(Record):
    """A trained network whose answers a student learns from, beside the labels."""

    checkpoint: Stored
    training: TrainingConfig
    """That it was trained by, which says how it is built."""
    weight: float
    """Of its answers in the loss; the labels have the rest."""
    temperature: float
    """Its answers are softened by."""


class Plan(Record):
    """The inputs of one training; equal plans end in equal checkpoints, byte for byte."""

    dataset: DatasetVersion
    intake: IntakeConfig
    result: ResultConfig
    training: TrainingConfig
    start: Stored | None = None
    """Checkpoint of the model that `training.warm_start` names."""
    student: str | None = None
    """Name of the smaller network that this is the training of; None for the main one."""
    teacher: Teacher | None = None
    folder: Path
    """Where the checkpoint is written; workers see it under the same path."""

    @property
    def checkpoint(self) -> Path:
        """The checkpoint's folder."""
        return self.folder / "checkpoint"
