"""A number, in the unit of the labels."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from configs.result import RegressionResultConfig
from tasks.result import Answers, Postprocessing


class Scale(Postprocessing):
    """[batch, 1] standardised -> the number [batch] float32, in the unit of the labels."""

    mean: Tensor
    deviation: Tensor
    highest: Tensor

    def __init__(self, log: bool) -> None:
        super().__init__()
        self.log = log
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))
        self.register_buffer("highest", torch.zeros(()))

    def fit(self, targets: npt.NDArray[Any]) -> None:
        """Mean and deviation of the targets, or of their logarithms; equal ones keep deviation 1."""
        values = np.log1p(targets) if self.log else targets
        self.mean.fill_(float(values.mean()))
        self.deviation.fill_(float(values.std()) or 1.0)
        self.highest.fill_(float(values.max()))

    def forward(self, outputs: Tensor) -> tuple[Tensor]:
        """A logarithm may exceed the largest of training by one, so that a strange row's answer is not astronomic."""
        values = outputs[:, 0] * self.deviation + self.mean
        if self.log:
            values = torch.exp(torch.minimum(torch.relu(values), self.highest + 1)) - 1
        return (values,)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Squared error of the standardised target."""
        return (outputs[:, 0] - self.wanted(targets)) ** 2

    def wanted(self, targets: Tensor) -> Tensor:
        """Targets [batch] standardised, float32 [batch]: what the one output should be."""
        values = torch.log1p(targets) if self.log else targets
        return ((values - self.mean) / self.deviation).to(torch.float32)


class Number:
    """See tasks/result/__init__.py: Result. Targets are the labels themselves, float64."""

    names: tuple[str, ...] = ("prediction",)
    metric = "r2"
    classes: list[str] | None = None
    soft_label: str | None = None
    outputs = 1

    def __init__(self, section: RegressionResultConfig) -> None:
        self.label, self.log = section.label, section.log

    def targets(self, labels: pd.Series) -> npt.NDArray[Any]:
        """Finite numbers, none under 0 where logarithms are learned."""
        numbers = pd.to_numeric(labels, errors="coerce").to_numpy(
            dtype=np.float64, na_value=np.nan, copy=True
        )
        wrong = ~np.isfinite(numbers) | ((numbers < 0) & self.log)
        if wrong.any():
            strange = ", ".join(repr(value) for value in labels[wrong].unique()[:5].tolist())
            wanted = "numbers from 0 on (result.log)" if self.log else "finite numbers"
            raise ValueError(f"column {self.label!r} holds {strange}; result.kind regression wants {wanted}")
        return numbers

    def learned(self, frame: pd.DataFrame) -> npt.NDArray[Any]:
        """The labels."""
        return self.targets(frame[self.label])

    def postprocessing(self) -> Postprocessing:
        """The number in the labels' unit."""
        return Scale(self.log)

    def metrics(self, answers: Answers, targets: npt.NDArray[Any]) -> dict[str, float]:
        """R2 (of the logarithms where they are learned), mean absolute error and root mean squared error in the labels' unit."""
        error = answers["prediction"].astype(np.float64) - targets
        return {
            "r2": float(self.scores(answers, targets).mean()),
            "mae": float(np.abs(error).mean()),
            "rmse": float(np.sqrt((error**2).mean())),
        }

    def scores(self, answers: Answers, targets: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """1 - squared error / variance of the targets.

        The mean is R2, and a resampled difference that of the squared errors.
        """
        given, wanted = (
            self._scaled(values) for values in (answers["prediction"].astype(np.float64), targets)
        )
        # What overflows is no finite score, which whoever compares scores must see and tell.
        with np.errstate(over="ignore", invalid="ignore"):
            scores: npt.NDArray[np.float64] = 1 - (given - wanted) ** 2 / (wanted.var() or 1.0)
        return scores

    def _scaled(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        scaled: npt.NDArray[np.float64] = np.log1p(values) if self.log else values
        return scaled

    def parity(self, mine: Answers, theirs: Answers) -> float:
        """Of the answers on the scale that is learned, in their standard deviations."""
        first, second = (self._scaled(each["prediction"].astype(np.float64)) for each in (mine, theirs))
        return float(np.abs(first - second).max() / (first.std() or 1.0))

    def describe(self, answers: Answers) -> pd.DataFrame:
        """The number."""
        return pd.DataFrame({"answer": answers["prediction"].astype(np.float64)})

    def readable(self, answers: Answers) -> pd.DataFrame:
        """The number."""
        return self.describe(answers)

    def picture(self, answers: Answers, targets: npt.NDArray[Any]) -> bytes:
        """Answers against truth, at most 5,000 rows."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4.8, 4.5), layout="constrained")
        axes = figure.subplots()
        axes.scatter(targets[:5000], answers["prediction"][:5000], s=6, alpha=0.4, linewidths=0)
        low, high = float(targets.min()), float(targets.max())
        axes.plot([low, high], [low, high], color="#777777", linewidth=1)
        if self.log:
            axes.set(xscale="symlog", yscale="symlog")
        axes.set(
            xlabel="truth",
            ylabel="answer",
            title=f"R2 {self.scores(answers, targets).mean():.3f} on {len(targets)} test rows",
        )
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=120)
        return image.getvalue()
