"""What a training reads: rows to learn from and rows to be validated on, encoded."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from infra.files import verify
from tasks.intake import Rows, build_intake
from tasks.result import build_result
from tasks.rows.parts import schema_of
from tasks.training import warm_start
from tasks.training.distillation import teacher_encoder_state
from tasks.training.evaluate import ROWS_A_BATCH
from tasks.training.loader import Loader
from tasks.training.plan import Plan

FITTED_ROWS = 200_000
"""Training rows that encoders, preprocessing and vocabularies are fitted on, all of them where there are
fewer."""


class Batches:
    """The rows of a plan's data set version. Raises ValueError naming a column that is not there."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.training = plan, plan.training
        self.intake, self.result = build_intake(plan.intake), build_result(plan.result)
        self.encoder = self.intake.encoder()
        self.mean_weight = 1.0
        folder = verify(plan.dataset.uri, plan.dataset.digest)
        named = [*self.intake.columns, self.result.label, self.result.soft_label, self.training.sample_weight]
        columns = list(dict.fromkeys(name for name in named if name))
        if missing := set(columns) - set(names := schema_of(folder).names):
            raise ValueError(f"{plan.dataset.tag} has no column {min(missing)!r}; it has {', '.join(names)}")
        self.loader = Loader(
            folder, "train", columns, self.train_batch, self.training.batch_size, self.training.seed
        )
        self.held_out = Loader(folder, "validation", columns, self.eval_batch, ROWS_A_BATCH, 0)

    def fit(self) -> tuple[Rows, npt.NDArray[Any]]:
        """Fits the encoder, or takes that of the model to start from.

        The rows that it saw, and their targets [rows].
        """
        frame = self.loader.sample(FITTED_ROWS).to_pandas()
        rows = self.intake.rows(frame)
        self.mean_weight = float(self.weights(frame).mean()) or 1.0
        if self.plan.start:
            self.encoder.restore(warm_start.encoder_state(self.plan))
        elif self.plan.teacher:
            self.encoder.restore(teacher_encoder_state(self.plan.teacher))
        else:
            self.encoder.fit(rows)
        return rows, self.result.targets(frame[self.result.label])

    def train_batch(self, table: pa.Table) -> tuple[Tensor, Tensor, Tensor]:
        """A table's encoded rows [rows, ...], what is learned of them [rows, ...], and how much each counts [rows] float32."""
        frame = table.to_pandas()
        weights = (self.weights(frame) / self.mean_weight).astype(np.float32)
        return self.encoded(frame), torch.from_numpy(self.result.learned(frame)), torch.from_numpy(weights)

    def eval_batch(self, table: pa.Table) -> tuple[Tensor, Tensor]:
        """A table's encoded rows [rows, ...] and targets [rows]."""
        frame = table.to_pandas()
        return self.encoded(frame), torch.from_numpy(self.result.targets(frame[self.result.label]))

    def encoded(self, frame: pd.DataFrame) -> Tensor:
        """A frame's encoded rows."""
        return torch.from_numpy(self.encoder.encode(self.intake.rows(frame)))

    def weights(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """How much each row counts. Raises ValueError naming a value that is no weight."""
        if (column := self.training.sample_weight) is None:
            return np.ones(len(frame))
        weights = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        if (wrong := ~(weights >= 0) | np.isinf(weights)).any():
            strange = frame[column][wrong].tolist()[0]
            raise ValueError(
                f"training.sample_weight: column {column!r} holds {strange!r}; want finite numbers from 0 on"
            )
        return weights
