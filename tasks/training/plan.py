"""What one training is asked to do: sent to every rank as JSON, so it imports no torch."""

from pathlib import Path

from configs.intake import IntakeConfig
from configs.result import ResultConfig
from configs.training import TrainingConfig
from tasks.records import DatasetVersion, Record, Stored


class Plan(Record):
    """The inputs of one training; equal plans end in equal checkpoints, byte for byte."""

    dataset: DatasetVersion
    intake: IntakeConfig
    result: ResultConfig
    training: TrainingConfig
    start: Stored | None = None
    """Checkpoint of the model that `training.warm_start` names."""
    folder: Path
    """Where the checkpoint is written; workers see it under the same path."""

    @property
    def checkpoint(self) -> Path:
        """The checkpoint's folder."""
        return self.folder / "checkpoint"
