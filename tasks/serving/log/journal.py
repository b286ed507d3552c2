"""Puts predictions and late labels on the disk, many at a time, away from the event loop."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar
from uuid import uuid4

import numpy as np
import pyarrow as pa

from tasks.production.log_compaction import FEWEST, compact
from tasks.production.prediction_log import PredictionLog, input_columns
from tasks.rows.raw import Rows

log = logging.getLogger("gyre.serving")
T = TypeVar("T")


@dataclass
class GroupCommit(Generic[T]):
    """Collects items for `wait_s`, or until they weigh `full`, and writes them in one go."""

    write: Callable[[list[T]], None]
    """Runs in `executor`; what it was given is durable when it returns."""
    executor: Executor
    wait_s: float
    full: int
    """Bytes that are written without waiting longer."""
    limit: int
    """Bytes that may wait or be under way at once."""
    waiting_bytes: int = 0
    _items: list[T] = field(default_factory=list)
    _bytes: int = 0
    _since: list[float] = field(default_factory=list)
    """When each commit's first item came, the oldest first; time.monotonic's."""
    _committed: "asyncio.Future[None] | None" = None
    _hurry: asyncio.Event = field(default_factory=asyncio.Event)
    _running: "set[asyncio.Task[None]]" = field(default_factory=set)

    def add(self, items: list[T], size: int) -> "asyncio.Future[None]":
        """A future that is done when the items are durable, or has the reason why they are not.

        Raises BufferError over the limit.
        """
        if self.waiting_bytes + size > self.limit:
            raise BufferError(f"{self.waiting_bytes} bytes wait for the disk")
        self.waiting_bytes += size
        self._bytes += size
        self._items += items
        if self._committed is None:
            loop = asyncio.get_running_loop()
            self._since.append(time.monotonic())
            self._committed, self._hurry = loop.create_future(), asyncio.Event()
            task = loop.create_task(self._commit(self._committed, self._hurry))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        if self._bytes >= self.full:
            self._hurry.set()
        return self._committed

    def lag_s(self) -> float:
        """How long the oldest item has waited; 0 where none does."""
        return time.monotonic() - self._since[0] if self._since else 0.0

    async def close(self) -> None:
        """Writes what waits, without waiting longer."""
        self._hurry.set()
        if self._running:
            await asyncio.wait(list(self._running))

    async def _commit(self, committed: "asyncio.Future[None]", hurry: asyncio.Event) -> None:
        """Writes what was collected, and tells those who wait for it."""
        with suppress(TimeoutError):
            await asyncio.wait_for(hurry.wait(), self.wait_s)
        items, size = self._items, self._bytes
        self._items, self._bytes, self._committed = [], 0, None
        try:
            await asyncio.get_running_loop().run_in_executor(self.executor, self.write, items)
        except Exception as error:
            log.exception("%d lines could not be written", len(items))
            committed.set_exception(error)
            committed.exception()
        else:
            committed.set_result(None)
        finally:
            self.waiting_bytes -= size
            # One thread writes, so commits end in their order.
            self._since.pop(0)


@dataclass(frozen=True)
class Prediction:
    """One request that was answered."""

    project: str
    ids: list[str]
    """A name a row."""
    time: datetime
    """Naive UTC."""
    version: int
    role: str
    rows: Rows
    """A field an input."""
    answers: list[str]


@dataclass(frozen=True)
class Label:
    """One late label."""

    project: str
    request_id: str
    time: datetime
    """Naive UTC."""
    label: str


@dataclass(frozen=True)
class Journal:
    """The prediction logs of one installation."""

    folder: Path
    """`<home>/predictions`."""
    _written: Counter[tuple[Path, str]] = field(default_factory=Counter)
    """Files since the last merge, by day's folder and kind."""

    def write_predictions(self, predictions: list[Prediction]) -> None:
        """One file for each project, day and kind of rows among them."""
        for group in group_by_key(
            predictions, lambda each: (each.project, each.time.date(), each.rows.dtype)
        ):
            PredictionLog(self.folder / group[0].project).append_predictions(
                prediction_table(group), day(group[0].time), file_name()
            )
            self._merge(group[0].project, day(group[0].time), "predictions")

    def write_labels(self, labels: list[Label]) -> None:
        """One file for each project and day among them."""
        for group in group_by_key(labels, lambda each: (each.project, each.time.date())):
            PredictionLog(self.folder / group[0].project).append_labels(
                label_table(group), day(group[0].time), file_name()
            )
            self._merge(group[0].project, day(group[0].time), "labels")

    def _merge(self, project: str, today: str, kind: str) -> None:
        """Merges a day's small files when many have come, and what is left of the days before when a new one begins.

        A merge that fails costs nothing but time: the files stay as they are.
        """
        folder = self.folder / project
        self._written[folder / today, kind] += 1
        try:
            if self._written[folder / today, kind] == 1:
                for before in sorted(folder.glob("*/")):
                    if before.name < today:
                        compact(before, kind, fewest=2)
            if self._written[folder / today, kind] % FEWEST == 0:
                compact(folder / today, kind)
        except Exception:
            log.exception("the files of %s could not be merged", folder)


def group_by_key(items: list[T], key: Callable[[T], object]) -> list[list[T]]:
    """Items of one key together, in their order."""
    groups: dict[object, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def day(time: datetime) -> str:
    """The log's folder of a moment."""
    return f"{time:%Y-%m-%d}"


def prediction_table(predictions: list[Prediction]) -> pa.Table:
    """A line a row served; see tasks/production/prediction_log.py."""
    counts = [len(each.ids) for each in predictions]
    return pa.table(
        {
            "request_id": [name for each in predictions for name in each.ids],
            "time": pa.array(
                np.repeat([np.datetime64(each.time, "us") for each in predictions], counts),
                pa.timestamp("us"),
            ),
            "version": pa.array(np.repeat([each.version for each in predictions], counts), pa.int64()),
            "role": [each.role for each in predictions for _ in each.ids],
            **input_columns(np.concatenate([each.rows for each in predictions])),
            "answer": [answer for each in predictions for answer in each.answers],
        }
    )


def label_table(labels: list[Label]) -> pa.Table:
    """A line a label; see tasks/production/prediction_log.py."""
    return pa.table(
        {
            "request_id": [each.request_id for each in labels],
            "time": pa.array([each.time for each in labels], pa.timestamp("us")),
            "label": [each.label for each in labels],
        }
    )


def file_name() -> str:
    """New, and sorting by time."""
    return f"{datetime.now(UTC):%H%M%S%f}-{uuid4().hex[:8]}"
