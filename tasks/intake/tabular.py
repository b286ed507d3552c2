"""Numbers in named columns."""

import io
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from configs.project import TabularIntake
from tasks.intake import Preprocessing, Rows, TensorSpec


class Standardize(Preprocessing):
    """[batch, columns] float32 with NaN for missing -> the same shape, the median in place of NaN, zero mean and unit deviation."""

    median: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.register_buffer("median", torch.zeros(columns))
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("deviation", torch.ones(columns))

    def fit(self, rows: Rows) -> None:
        """Median, mean and deviation of each column; a column without any value counts as 0, a constant one keeps deviation 1."""
        values = np.where(np.isnan(rows).all(axis=0), 0.0, rows.astype(np.float64))
        median = np.nanmedian(values, axis=0)
        filled = np.where(np.isnan(values), median, values)
        deviation = filled.std(axis=0)
        self.median.copy_(torch.from_numpy(median))
        self.mean.copy_(torch.from_numpy(filled.mean(axis=0)))
        self.deviation.copy_(torch.from_numpy(np.where(deviation > 0, deviation, 1.0)))

    def forward(self, rows: Tensor) -> Tensor:
        """Imputes, then standardises, in float32."""
        return (torch.where(torch.isnan(rows), self.median, rows) - self.mean) / self.deviation


class TabularRows:
    """See tasks/intake/__init__.py: Intake."""

    draws = 0

    def __init__(self, section: TabularIntake) -> None:
        self.columns = section.columns
        self.input = TensorSpec("features", "float32", (len(section.columns),))
        self.network_shape = self.input.shape

    def rows(self, frame: pd.DataFrame) -> Rows:
        """[rows, columns] float32, NaN where a value is missing or no number."""
        numbers: pd.DataFrame = frame[list(self.columns)].apply(pd.to_numeric, errors="coerce")
        return numbers.to_numpy(dtype=np.float32, na_value=np.nan)

    def frame(self, rows: Rows) -> pd.DataFrame:
        """A float column a name."""
        return pd.DataFrame(rows, columns=list(self.columns))

    def decode(self, value: Any) -> Rows:
        """From a mapping of column to number (None or absent: missing), or a list of numbers in the columns' order."""
        values = [value.get(column) for column in self.columns] if isinstance(value, dict) else value
        try:
            row = np.asarray([np.nan if item in (None, "") else item for item in values], dtype=np.float32)
        except (TypeError, ValueError):
            raise ValueError(f"{str(value)[:80]}: want a number (or nothing) for each of {', '.join(self.columns)}") from None
        if row.shape != self.input.shape:
            raise ValueError(f"{str(value)[:80]}: has {row.size} values; want {len(self.columns)}: {', '.join(self.columns)}")
        return row

    def describe(self, rows: Rows) -> pd.DataFrame:
        """The columns themselves."""
        return self.frame(rows).astype(np.float64)

    def picture(self, rows: Rows, titles: list[str]) -> bytes:
        """A histogram of each column, the first twelve at most; missing values are not drawn."""
        from matplotlib.figure import Figure

        shown = self.columns[:12]
        figure = Figure(figsize=(2.4 * min(4, len(shown)), 1.8 * -(-len(shown) // 4)), layout="constrained")
        panels = figure.subplots(-(-len(shown) // 4), min(4, len(shown)), squeeze=False).ravel()
        for axes in panels:
            axes.axis("off")
        for number, (column, axes) in enumerate(zip(shown, panels, strict=False)):
            values = rows[:, number].astype(np.float64)
            axes.axis("on")
            axes.hist(values[np.isfinite(values)], bins=20)
            axes.set_title(column, fontsize=8)
            axes.tick_params(labelsize=7)
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=100)
        return image.getvalue()

    def preprocessing(self) -> Preprocessing:
        """Median imputation and standardisation."""
        return Standardize(len(self.columns))

    def network(self, outputs: int) -> nn.Module:
        """Two hidden layers of 128."""
        return nn.Sequential(nn.Linear(len(self.columns), 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, outputs))

    def augment(self, rows: Tensor, draws: Tensor) -> Tensor:
        """None: there is no change of numbers that keeps every label."""
        return rows
