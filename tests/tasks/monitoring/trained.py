"""A small network that was trained on real rows within seconds, and looks at rows that it is asked."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from configs.intake import IntakeConfig
from configs.monitoring import MonitoringConfig
from configs.result import ClassificationResultConfig
from configs.training import TrainingConfig
from tasks.intake import build_intake
from tasks.model.embedding import see
from tasks.model.model import Model
from tasks.model.onnx_export import graph_bytes
from tasks.monitoring import nearest
from tasks.monitoring.verdict.estimate import estimate
from tasks.production import drift_reference
from tasks.records import DatasetVersion
from tasks.result import build_result
from tasks.rows.parts import record_of, write

BATCH, RATE = 64, 4e-3


class Trained:
    """A project of one version: rows of the first `rows` are trained on, the others held out."""

    def __init__(
        self, folder: Path, intake: IntakeConfig, frame: pd.DataFrame, rows: int, epochs: int
    ) -> None:
        self.intake = build_intake(intake)
        classes = tuple(sorted(frame["label"].unique()))
        self.result = build_result(ClassificationResultConfig(kind="classification", classes=classes))
        self.graph = folder / "model.onnx"
        self.graph.write_bytes(graph_bytes(self.train(frame[:rows], epochs), self.result.names))
        split = np.where(np.arange(len(frame)) < rows, "train", "test")
        (folder / "rows").mkdir()
        write([frame.assign(origin="rows", split=split)], folder / "rows")
        about = {"project": "trained", "version": 1, "tag": "trained/v1", "commit": "0"}
        stored = record_of(folder / "rows").model_dump()
        dataset = DatasetVersion(**stored, **about, rows=len(frame), splits={})
        self.reference = drift_reference.frames(dataset, self.intake, self.result, self.graph)

    def train(self, frame: pd.DataFrame, epochs: int) -> Model:
        """The default network, seeded."""
        torch.manual_seed(0)
        rows, encoder = self.intake.rows(frame), self.intake.encoder()
        encoder.fit(rows)
        model = Model(encoder, self.intake, self.result, TrainingConfig())
        encoded, targets = encoder.encode(rows), self.result.targets(frame["label"])
        model.preprocessing.fit(encoded)
        inputs, targets = torch.from_numpy(encoded), torch.from_numpy(targets)
        steps = torch.optim.AdamW(model.parameters(), RATE)
        for _ in range(epochs):
            for mine in torch.randperm(len(targets)).split(BATCH):
                loss = model.postprocessing.loss(model.outputs(inputs[mine]), targets[mine]).mean()
                steps.zero_grad()
                loss.backward()
                steps.step()
        return model.eval()

    def described(self, frame: pd.DataFrame) -> pd.DataFrame:
        """What a look knows of rows."""
        rows = self.intake.rows(frame)
        seen = see(self.graph, rows)
        answers = drift_reference.answer_descriptors(self.result, seen.answers)
        return pd.concat([drift_reference.seen_descriptors(self.intake, rows, seen), answers], axis=1)

    def judge(self, frame: pd.DataFrame, look: int = 1) -> nearest.Judged:
        """A look at rows, at the defaults of `monitoring:`."""
        return nearest.judge_sides(self.described(frame), self.reference, MonitoringConfig(), look)

    def drifted(self, frame: pd.DataFrame, look: int = 1) -> set[str]:
        """Names of what drifted."""
        return {each.name for each in self.judge(frame, look).found if each.drifted}

    def estimated(self, frame: pd.DataFrame) -> tuple[float, float]:
        """The interval of the estimated share of errors."""
        found = estimate(self.described(frame), self.reference.answers)
        assert found
        return found.low, found.high
