"""A history to replay: rows in the order of their time, the oldest first, cut into blocks."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from configs.backtest import BacktestConfig
from configs.intake import IntakeConfig
from configs.result import ResultConfig
from infra.files import read_json, whole_file, write_json
from tasks.records import DatasetVersion
from tasks.rows import parts

DAY_S = 86_400.0


@dataclass(frozen=True)
class History:
    """The rows before `starts[0]` are what the first model learns.

    Each block after it is one look at production.
    """

    frame: pd.DataFrame
    """The intake's columns and the label, by time."""
    starts: tuple[int, ...]
    """First row of each block, and the number of all rows as the last."""
    days: npt.NDArray[np.float64]
    """[blocks] when each block ends, in days since the first row; without dates a block is a day."""
    described: pd.DataFrame
    """The intake's descriptors of each row."""
    key: str
    """Digest of the rows and of where they are cut."""

    @property
    def blocks(self) -> int:
        """Looks."""
        return len(self.starts) - 1

    def block(self, number: int) -> pd.DataFrame:
        """The rows of one block."""
        return self.frame.iloc[self.starts[number] : self.starts[number + 1]]

    def keep(self, store: Path) -> None:
        """Writes it, for workers and for the next time.

        `frame`, `described` and `cut` are files of the store.
        """
        for name, frame in (("frame", self.frame), ("described", self.described)):
            with whole_file(store / f"{name}.parquet") as temporary:
                frame.to_parquet(temporary)
        write_json(store / "cut.json", {"starts": self.starts, "days": self.days.tolist(), "key": self.key})

    @classmethod
    def read(cls, store: Path) -> "History":
        """As it was kept."""
        cut = read_json(store / "cut.json")
        frame, described = (pd.read_parquet(store / f"{name}.parquet") for name in ("frame", "described"))
        return cls(frame, tuple(cut["starts"]), np.array(cut["days"]), described, cut["key"])

    def first(self, blocks: int) -> "History":
        """The same history as far as so many blocks: what was trained for it holds here too."""
        return replace(self, starts=self.starts[: blocks + 1], days=self.days[:blocks])


def digest(frame: pd.DataFrame, starts: Sequence[int]) -> str:
    """Of all rows and of where they are cut."""
    told = hashlib.sha256(str(list(starts)).encode())
    told.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return told.hexdigest()


def cut(frame: pd.DataFrame, intake: IntakeConfig, time: str | None, first: float, looks: int) -> History:
    """Sorts rows by a column of dates, or takes them as they come, and cuts them into blocks of equal size.

    first: share of the rows that the first model learns from
    Raises ValueError where there are fewer rows than blocks, or a row has no date.
    """
    from tasks.intake import build_intake

    moments = None
    if time is not None:
        moments = pd.to_datetime(frame[time], utc=True)
        if missing := int(moments.isna().sum()):
            raise ValueError(f"backtest.time: {missing} of {len(frame)} rows have no {time!r}")
        order = np.argsort(moments.to_numpy(), kind="stable")
        frame, moments = frame.iloc[order].reset_index(drop=True), moments.iloc[order]
    begin = round(first * len(frame))
    if begin < 1 or len(frame) - begin < looks:
        raise ValueError(
            f"backtest: {len(frame)} rows are too few for {looks} looks after a first share of {first:g}"
        )
    starts = np.linspace(begin, len(frame), looks + 1).astype(int)
    days = np.arange(1.0, looks + 1)
    if moments is not None:
        elapsed = (moments - moments.iloc[0]).dt.total_seconds().to_numpy()
        days = elapsed[starts[1:] - 1] / DAY_S
    rows = build_intake(intake)
    described = rows.describe(rows.rows(frame)).reset_index(drop=True)
    key = digest(frame, starts.tolist())
    return History(frame, tuple(starts.tolist()), np.asarray(days, np.float64), described, key)


def of_dataset(
    dataset: DatasetVersion, intake: IntakeConfig, result: ResultConfig, backtest: BacktestConfig
) -> History:
    """The rows of a version. Raises ValueError naming a column that is not there."""
    from tasks.intake import build_intake

    frame = parts.read(dataset)
    if backtest.time is not None and backtest.time not in frame:
        raise ValueError(
            f"backtest.time: {dataset.tag} has no column {backtest.time!r}; it has {', '.join(map(str, frame))}"
        )
    columns = dict.fromkeys([*build_intake(intake).columns, result.label, *filter(None, [backtest.time])])
    return cut(frame[list(columns)], intake, backtest.time, backtest.first, backtest.looks)
