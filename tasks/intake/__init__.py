"""What a model takes in. Everything else is written against `Intake` once and never asks what kind of rows it holds."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt
import pandas as pd
from torch import Tensor, nn

from configs.project import CustomIntake, ImageIntake, TabularIntake
from configs.project import Intake as Section
from infra.imports import resolve

Rows = npt.NDArray[Any]
"""Raw rows, [rows, *row_shape], in the dtype that the one graph takes."""


@dataclass(frozen=True)
class TensorSpec:
    """The graph's input: raw rows."""

    name: str
    dtype: str
    """A numpy dtype, such as uint8."""
    shape: tuple[int, ...]
    """Of one row."""


class Preprocessing(nn.Module):
    """Raw rows to the network's input, fitted on training rows; everything it learned is in its state dict."""

    def fit(self, rows: Rows) -> None:
        """Learns from raw training rows."""
        raise NotImplementedError


class Intake(Protocol):
    """One kind of raw input."""

    input: TensorSpec
    columns: tuple[str, ...]
    """Columns of a data set that hold the raw input."""
    network_shape: tuple[int, ...]
    """Shape of one preprocessed row: what a network is built for."""
    draws: int
    """Random numbers that the augmentation of one row takes."""

    def rows(self, frame: pd.DataFrame) -> Rows:
        """Raw rows of a data set's frame."""

    def frame(self, rows: Rows) -> pd.DataFrame:
        """The data set's columns of raw rows: the inverse of `rows`."""

    def decode(self, value: Any) -> Rows:
        """One raw row [*row_shape] from what a person or client has: a mapping of columns, nested numbers, or a file's path.

        Raises ValueError naming the value and what is wanted.
        """

    def describe(self, rows: Rows) -> pd.DataFrame:
        """The descriptors whose drift is watched, a float column each, one line a row."""

    def picture(self, rows: Rows, titles: list[str]) -> bytes:
        """A PNG of some of the rows, each with its title where it is drawn alone."""

    def preprocessing(self) -> Preprocessing:
        """An unfitted preprocessing module."""

    def network(self, outputs: int) -> nn.Module:
        """The default architecture: [batch, *network_shape] float32 -> [batch, outputs]."""

    def augment(self, rows: Tensor, draws: Tensor) -> Tensor:
        """Raw training rows, changed by `draws` [rows, draws] in [0, 1): the same numbers change them the same way on any rank."""


def build(section: Section) -> Intake:
    """The intake that a project's YAML names."""
    from tasks.intake.image import ImageRows
    from tasks.intake.tabular import TabularRows

    match section:
        case ImageIntake():
            return ImageRows(section)
        case TabularIntake():
            return TabularRows(section)
        case CustomIntake():
            intake: Intake = resolve(section.kind)(**section.options)
            return intake
