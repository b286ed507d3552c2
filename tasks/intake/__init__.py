"""What a model takes in.

Everything else is written against `Intake` once and never asks what kind of rows it holds.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from torch import Tensor, nn

from configs.intake import (
    CustomIntakeConfig,
    ImageIntakeConfig,
    IntakeConfig,
    TabularIntakeConfig,
    TextIntakeConfig,
)
from infra.imports import resolve
from tasks.intake.encoder import Encoded, Encoder
from tasks.rows.raw import Rows, TensorSpec

__all__ = ["Encoded", "Encoder", "Intake", "Preprocessing", "Rows", "TensorSpec", "build"]


class Preprocessing(nn.Module):
    """Encoded rows to the network's input, fitted on training rows.

    Everything it learned is in its state dict.
    """

    shape: tuple[int, ...]
    """Of one preprocessed row: what a network is built for."""

    def fit(self, encoded: Encoded) -> None:
        """Learns from encoded training rows."""
        raise NotImplementedError

    def training_values(self) -> dict[str, dict[str, Any]]:
        """What training rows had in an input, as JSON by input, so that the model server can say what it was asked and never saw.

        `categories`: the texts that are told apart; `usual`: the text of what stands for a missing value.
        Nothing by default.
        """
        return {}


class Intake(Protocol):
    """One kind of raw input."""

    inputs: tuple[TensorSpec, ...]
    """What the one graph takes."""
    columns: tuple[str, ...]
    """Columns of a data set that hold the raw input."""
    draws: int
    """Random numbers that the augmentation of one row takes."""

    def rows(self, frame: pd.DataFrame) -> Rows:
        """Raw rows of a data set's frame. Raises ValueError for rows that cannot be read at all."""

    def frame(self, rows: Rows) -> pd.DataFrame:
        """The data set's columns of raw rows: the inverse of `rows`."""

    def decode(self, value: Any) -> Rows:
        """One raw row [1] from what a person or client has: a mapping of columns, a list, or a file's path.

        Raises ValueError naming the value and what is wanted.
        """

    def describe(self, rows: Rows) -> pd.DataFrame:
        """The descriptors whose drift is watched, a column each of float64 or, for what has no order, text.

        One line a row.
        """

    # Optional: describe_encoded(self, encoded: Encoded) -> pd.DataFrame, descriptors of what the fitted encoder made of rows,
    # such as the share of words that it does not know.

    def features(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Numbers [rows, width] that a linear model can learn from, for label QC; NaN where missing."""

    def picture(self, rows: Rows, titles: list[str]) -> bytes:
        """A PNG of some of the rows, each with its title where it is drawn alone."""

    def encoder(self) -> Encoder:
        """An unfitted encoder."""

    def preprocessing(self, encoder: Encoder) -> Preprocessing:
        """An unfitted preprocessing module behind a fitted encoder."""

    def network(
        self, encoder: Encoder, shape: tuple[int, ...], outputs: int, width: float = 1.0
    ) -> nn.Module:
        """The default architecture: preprocessed rows [batch, *shape] -> [batch, outputs] float32.

        `width`: of its layers, as a share of the usual one.
        """

    def augment(self, encoded: Tensor, draws: Tensor) -> Tensor:
        """Encoded training rows, changed by `draws` [rows, draws] in [0, 1): the same numbers change them the same way on any rank."""


def build_intake(section: IntakeConfig) -> Intake:
    """The intake that a project's YAML names."""
    from tasks.intake.image import ImageRows
    from tasks.intake.tabular import TabularRows
    from tasks.intake.text import TextRows

    match section:
        case ImageIntakeConfig():
            return ImageRows(section)
        case TabularIntakeConfig():
            return TabularRows(section)
        case TextIntakeConfig():
            return TextRows(section)
        case CustomIntakeConfig():
            intake: Intake = resolve(section.kind)(**section.options)
            return intake
