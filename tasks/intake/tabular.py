"""Columns of numbers, categories and dates, each an input of its own."""

import io
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor, nn

from configs.intake import TabularIntakeConfig
from tasks.intake import Encoder, Preprocessing, Rows, TensorSpec
from tasks.intake.columns import ColumnEncoder, Features
from tasks.intake.residual import ResidualNetwork
from tasks.rows.raw import rows_from
from tasks.rows.timestamps import LATEST_S, read

HIDDEN = 0.02
"""Share of categories that training hides, so that the network learns what to do with one it never saw."""
SHOWN = 12


class TabularRows:
    """See tasks/intake/__init__.py: Intake."""

    def __init__(self, section: TabularIntakeConfig) -> None:
        self.section = section
        numeric, dates, categorical = section.numeric, section.dates, section.categorical
        self.columns: tuple[str, ...] = (*numeric, *dates, *categorical)
        dtypes = ["float32"] * len(numeric) + ["float64"] * len(dates) + ["str"] * len(categorical)
        self.inputs = tuple(
            TensorSpec(name, dtype, ()) for name, dtype in zip(self.columns, dtypes, strict=True)
        )
        self.draws = len(categorical)

    def rows(self, frame: pd.DataFrame) -> Rows:
        """Numbers float32 and dates float64 seconds since the epoch, NaN where missing or unreadable.

        Categories as text, "" if missing.
        """
        columns: dict[str, npt.NDArray[Any]] = {name: numbers(frame[name]) for name in self.section.numeric}
        columns |= {
            name: seconds(frame[name], self.section.date_formats.get(name)) for name in self.section.dates
        }
        columns |= {name: categories(frame[name]) for name in self.section.categorical}
        return rows_from(self.inputs, columns)

    def frame(self, rows: Rows) -> pd.DataFrame:
        """A float column a number, a timestamp (UTC, without zone) a date, a text column a category, empty where missing."""
        columns: dict[str, Any] = {name: rows[name] for name in self.section.numeric}
        columns |= {name: timestamps(rows[name]) for name in self.section.dates}
        columns |= {
            name: pd.Series([value or None for value in rows[name]], dtype="str")
            for name in self.section.categorical
        }
        return pd.DataFrame(columns)

    def decode(self, value: Any) -> Rows:
        """From a mapping of columns (None, empty or absent: missing), or a list of values in the order of `columns`."""
        if not isinstance(value, dict):
            values = list(value) if isinstance(value, (list, tuple, np.ndarray)) else [value]
            if len(values) != len(self.columns):
                raise ValueError(
                    f"{str(value)[:80]}: has {len(values)} values; want {len(self.columns)}: {', '.join(self.columns)}"
                )
            value = dict(zip(self.columns, values, strict=True))
        given = {name: None if value.get(name) == "" else value.get(name) for name in self.columns}
        rows = self.rows(
            pd.DataFrame({name: pd.Series([item], dtype=object) for name, item in given.items()})
        )
        for name in self.section.numeric:
            if np.isnan(rows[name][0]) and not missing(given[name]):
                wanted = f"want a number (or nothing) for each of {', '.join(self.section.numeric)}"
                raise ValueError(f"{name} {str(given[name])[:80]!r}: {wanted}")
        for name in self.section.dates:
            if np.isnan(rows[name][0]) and not missing(given[name]):
                rows[name][0] = self._iso_date(name, given[name])
        return rows

    def _iso_date(self, name: str, value: Any) -> float:
        """Seconds of a date that is not written as the column is: ISO 8601 is never mistaken.

        Raises ValueError for any other.
        """
        found = second(value, None) if isinstance(value, str) else np.nan
        if np.isnan(found):
            form = self.section.date_formats.get(name)
            wanted = f"a date as {form}, or in ISO 8601" if form else "a date in ISO 8601"
            raise ValueError(
                f"{name} {str(value)[:80]!r}: want {wanted} such as 2026-01-31T12:00 (or nothing)"
            )
        return found

    def describe(self, rows: Rows) -> pd.DataFrame:
        """The numbers and categories themselves.

        Of a date hour and weekday, since its day is always newer than any in training.
        """
        found = pd.DataFrame(
            {name: rows[name].astype(np.float64) for name in self.section.numeric}, index=range(len(rows))
        )
        for name in self.section.dates:
            when = timestamps(rows[name]).dt
            found[f"hour of {name}"] = when.hour.astype(np.float64)
            found[f"weekday of {name}"] = when.day_name()
        return found.assign(**{name: pd.Series(rows[name], dtype="str") for name in self.section.categorical})

    def features(self, rows: Rows) -> npt.NDArray[np.float32]:
        """What the network is shown, preprocessing fitted on these rows."""
        encoder = self.encoder()
        encoder.fit(rows)
        encoded, preprocessing = encoder.encode(rows), self.preprocessing(encoder)
        preprocessing.fit(encoded)
        with torch.inference_mode():
            made: npt.NDArray[np.float32] = preprocessing(torch.from_numpy(encoded)).numpy()
        return made

    def picture(self, rows: Rows, titles: list[str]) -> bytes:
        """A histogram of each number and date and the most frequent categories, the first twelve columns.

        Missing values are not drawn.
        """
        from matplotlib.figure import Figure

        shown = self.columns[:SHOWN]
        figure = Figure(figsize=(2.4 * min(4, len(shown)), 1.8 * -(-len(shown) // 4)), layout="constrained")
        panels = figure.subplots(-(-len(shown) // 4), min(4, len(shown)), squeeze=False).ravel()
        for axes in panels:
            axes.axis("off")
        for column, axes in zip(shown, panels, strict=False):
            axes.axis("on")
            axes.set_title(column, fontsize=8)
            axes.tick_params(labelsize=7)
            if column in self.section.categorical:
                counts = pd.Series(rows[column]).replace("", np.nan).value_counts().head(8)
                axes.barh([str(name)[:16] for name in counts.index][::-1], counts.to_list()[::-1])
            else:
                values = rows[column].astype(np.float64)
                known = values[np.isfinite(values)]
                axes.hist(known.astype("datetime64[s]") if column in self.section.dates else known, bins=20)
                axes.tick_params(axis="x", rotation=30 if column in self.section.dates else 0)
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=100)
        return image.getvalue()

    def encoder(self) -> Encoder:
        """Categories as numbers."""
        return ColumnEncoder(self.section)

    def preprocessing(self, encoder: Encoder) -> Preprocessing:
        """Standardised and piecewise linear numbers, cyclic dates, categories one by one."""
        assert isinstance(encoder, ColumnEncoder)  # noqa: S101 - the one that it made itself
        return Features(self.section, encoder.known)

    def network(
        self, encoder: Encoder, shape: tuple[int, ...], outputs: int, width: float = 1.0
    ) -> nn.Module:
        """A residual network; its first layer is an embedding for the categories, which come one by one."""
        return ResidualNetwork(shape[0], outputs, width)

    def augment(self, encoded: Tensor, draws: Tensor) -> Tensor:
        """Hides a few categories; there is no change of numbers that keeps every label."""
        start = encoded.shape[1] - self.draws
        shown = torch.where(draws < HIDDEN, 0.0, encoded[:, start:])
        return torch.cat([encoded[:, :start], shown], dim=1)


def missing(value: Any) -> bool:
    """Whether a cell holds nothing."""
    return value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value))


def numbers(column: pd.Series) -> npt.NDArray[np.float32]:
    """float32, NaN where a value is missing or no number; what float32 cannot hold is infinite."""
    with np.errstate(over="ignore"):
        return (
            pd.to_numeric(column, errors="coerce")
            .to_numpy(dtype=np.float64, na_value=np.nan)
            .astype(np.float32)
        )


def seconds(column: pd.Series, form: str | None) -> npt.NDArray[np.float64]:
    """Seconds since the epoch in UTC of timestamps, numbers or texts in a format of tasks/rows/timestamps.py.

    NaN where one is none.
    """
    if pd.api.types.is_datetime64_any_dtype(column):
        elapsed = pd.to_datetime(column, utc=True) - pd.Timestamp(0, tz="UTC")
        return np.asarray((elapsed / pd.Timedelta(seconds=1)).to_numpy(dtype=np.float64, na_value=np.nan))
    if pd.api.types.is_numeric_dtype(column):
        return read_seconds(pa.array(column.to_numpy(dtype=np.float64, na_value=np.nan)), form)
    # A day is read once, however many rows have it.
    codes, distinct = pd.factorize(column.astype(object), use_na_sentinel=True)
    if all(isinstance(value, str) for value in distinct):
        known = read_seconds(pa.array(list(distinct), pa.string()), form)
    else:
        known = np.array([second(value, form) for value in distinct], np.float64)
    every: npt.NDArray[np.float64] = np.append(known, np.nan)
    return every[codes]


def second(value: Any, form: str | None) -> float:
    """Seconds since the epoch of one text, number or date; NaN where it is none."""
    if isinstance(value, (date, np.datetime64)):
        return float(seconds(pd.Series([pd.Timestamp(value)]), None)[0])
    single = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return float(read_seconds(pa.array([value]), form)[0]) if single else np.nan


def read_seconds(values: pa.Array, form: str | None) -> npt.NDArray[np.float64]:
    """Seconds since the epoch of an Arrow array of texts or numbers."""
    found = read(pa.chunked_array([values]), form)
    if found is None:
        return np.full(len(values), np.nan)
    micro = found.cast(pa.int64()).cast(pa.float64()).to_numpy()
    return np.asarray(micro / 1e6, dtype=np.float64)


def timestamps(values: npt.NDArray[np.float64]) -> pd.Series:
    """Seconds since the epoch as timestamps to the microsecond, NaT where there is none."""
    known = np.where(np.abs(values) < LATEST_S, values, np.nan)
    micro = np.where(np.isnan(known), 0, np.round(known * 1e6)).astype(np.int64).astype("datetime64[us]")
    return pd.Series(np.where(np.isnan(known), np.datetime64("NaT", "us"), micro))


def categories(column: pd.Series) -> npt.NDArray[np.object_]:
    """Texts; a whole number is the same text whether its column has gaps (and so is float) or not.

    Missing is empty.
    """
    codes, distinct = pd.factorize(column.astype(object), use_na_sentinel=True)
    texts = np.array([*map(category, distinct), ""], dtype=object)
    found: npt.NDArray[np.object_] = texts[codes]
    return found


def category(value: Any) -> str:
    """One category's text."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
