"""What a model gives.

Everything else is written against `Result` once and never asks what kind of answer it is.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import Tensor, nn

from configs.result import (
    ClassificationResultConfig,
    CustomResultConfig,
    RegressionResultConfig,
    ResultConfig,
)
from infra.imports import resolve

Answers = dict[str, npt.NDArray[Any]]
"""The graph's outputs by name, [rows, ...]."""


class Postprocessing(nn.Module):
    """Network outputs [batch, outputs] float32 to the graph's outputs.

    Where the scale of the truth is known, and so the loss.

    Everything that it learned is in its state dict.
    """

    def fit(self, targets: npt.NDArray[Any]) -> None:
        """Learns from the targets [rows] of the training rows."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Loss of each row, [batch, outputs] float32 and [batch, ...], as the result learns them, -> [batch].

        Training takes their mean.
        """
        raise NotImplementedError

    def distance(self, outputs: Tensor, taught: Tensor, temperature: float) -> Tensor:
        """How far each row's outputs lie from those of a network that teaches.

        Both [batch, outputs] float32 -> [batch].

        On the scale of `loss`. By default the mean squared difference.
        """
        squared: Tensor = (outputs - taught).square()
        return squared.mean(dim=1)

    def wanted(self, targets: Tensor) -> Tensor:
        """Of a number: targets [batch] as the one output should be, [batch] float32."""
        raise NotImplementedError


class Result(Protocol):
    """One kind of answer."""

    label: str
    """Column with the truth."""
    soft_label: str | None
    """Column that says how probable each class is, for training alone; None where the label says it all."""
    outputs: int
    """Width of the network's last layer."""
    names: tuple[str, ...]
    """Names of the graph's outputs; the first is the answer, shaped [rows]."""
    classes: list[str] | None
    """What the integers of the first output mean; None where the answer is a number."""
    metric: str
    """What the gate compares; larger is better."""

    def targets(self, labels: pd.Series) -> npt.NDArray[Any]:
        """Truth as answers are compared with it, [rows].

        Raises ValueError naming labels that are not allowed.
        """

    def learned(self, frame: pd.DataFrame) -> npt.NDArray[Any]:
        """Truth as the loss takes it, [rows, ...], from the columns `label` and `soft_label`.

        Raises ValueError as `targets` does.
        """

    def postprocessing(self) -> Postprocessing:
        """An unfitted module from network outputs to the graph's outputs, in the order of `names`."""

    def metrics(self, answers: Answers, targets: npt.NDArray[Any]) -> dict[str, float]:
        """All metrics, `metric` first."""

    def scores(self, answers: Answers, targets: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Each row's part of `metric` [rows], whose mean it is: what a paired comparison resamples."""

    def parity(self, mine: Answers, theirs: Answers) -> float:
        """Largest difference between two graphs' answers to the same rows, where 1 is as far as answers lie apart."""

    def describe(self, answers: Answers) -> pd.DataFrame:
        """The descriptors of answers whose drift is watched, one line a row."""

    def readable(self, answers: Answers) -> pd.DataFrame:
        """Answers as a person reads them, one line a row.

        The first column, `answer`, can be compared with labels.
        """

    def picture(self, answers: Answers, targets: npt.NDArray[Any]) -> bytes:
        """A PNG that shows where the answers are wrong."""


def build_result(section: ResultConfig) -> Result:
    """The result that a project's YAML names."""
    from tasks.result.classification import Classes
    from tasks.result.regression import Number

    match section:
        case ClassificationResultConfig():
            return Classes(section)
        case RegressionResultConfig():
            return Number(section)
        case CustomResultConfig():
            result: Result = resolve(section.kind)(label=section.label, **section.options)
            return result
