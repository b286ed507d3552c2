"""Training rows, streamed from Parquet.

Every rank its share of every global batch, in an order that no number of ranks changes.

An epoch's order is drawn from (seed, epoch): row groups are shuffled and read in windows, and rows are
shuffled within a window. Up to two windows are in memory, whatever the data set's size; one that fits into a
window is read once and shuffled as a whole. Decoding runs ahead of the training in a thread.
"""

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from torch import Tensor

from tasks.rows.parts import SplitName, part_paths

T = TypeVar("T")
Decoded = tuple[Tensor, ...]
"""Decoded rows, as what is made of them: each tensor has one entry a row."""
Window = tuple[pa.Table, npt.NDArray[np.int64]]
"""Row groups that were read together, and which of their rows are the split's."""
WINDOW_BYTES = 128 * 2**20
"""Of decoded columns; rows are shuffled within it."""
AHEAD = 8
"""Batches that are decoded before they are asked for."""
DECODED_ROWS = 1024
"""Decoded in one go where a rank's share of a batch has fewer: what a call costs by itself is little then."""
WAIT_S = 0.1
"""How soon a reader thread notices that nobody listens any more."""


@dataclass(frozen=True)
class Share:
    """One rank's part of a global batch."""

    rows: Decoded
    """Decoded; one row that counts nothing where the share is empty, since every rank takes part in the
    averaging."""
    number: int
    """Of the batch in its epoch, from 0."""
    size: int
    """Rows of the global batch."""
    start: int
    end: int
    """The share is rows `start` to `end` of the global batch."""


@dataclass(frozen=True)
class Group:
    """A row group of a part."""

    path: Path
    number: int
    rows: int
    """Of the split."""
    size: int
    """Bytes of its columns, uncompressed."""


class Loader:
    """The batches of one split.

    folder: of Parquet parts with the column `split`, already verified
    decode: from a pyarrow Table of `columns` to what the training takes; called in the reader thread
    batch_size: rows of all ranks together
    """

    def __init__(
        self,
        folder: Path,
        split: SplitName,
        columns: list[str],
        decode: Callable[[pa.Table], Decoded],
        batch_size: int,
        seed: int,
        window_bytes: int = WINDOW_BYTES,
    ) -> None:
        self.split, self.columns, self.decode = split, columns, decode
        self.batch_size, self.seed, self.window_bytes = batch_size, seed, window_bytes
        self.groups = [
            group for path in part_paths(folder) for group in groups_of(path, split, columns) if group.rows
        ]
        self.rows = sum(group.rows for group in self.groups)
        self.steps = -(-self.rows // batch_size)
        """Batches of an epoch; the last one is smaller where the rows do not divide."""
        self.whole: Window | None = None
        """All row groups as they were read, where they fit into a window."""

    def epoch(self, number: int, rank: int, ranks: int, first: int = 0) -> Generator[Share]:
        """The rank's shares of an epoch's batches from batch `first` on.

        Close it (or run it to its end) to end its thread.
        """
        return prefetch(self.shares(number, rank, ranks, first), AHEAD)

    def shares(self, epoch: int, rank: int, ranks: int, first: int) -> Iterator[Share]:
        """As `epoch`, in the caller's thread. Small shares are decoded together."""
        waiting, rows = list[tuple[int, pa.Table]](), 0
        for batch, table in self.tables(epoch, rank, ranks, first):
            waiting.append((batch, table))
            rows += len(table)
            # The training waits for the first.
            if rows >= DECODED_ROWS or batch == first:
                yield from self.decoded(waiting, rank, ranks)
                waiting, rows = [], 0
        yield from self.decoded(waiting, rank, ranks)

    def decoded(self, tables: list[tuple[int, pa.Table]], rank: int, ranks: int) -> Iterator[Share]:
        """The shares of some batches."""
        rows = self.decode(pa.concat_tables(table for _, table in tables)) if tables else ()
        at = 0
        for batch, table in tables:
            size = min(self.batch_size, self.rows - batch * self.batch_size)
            start, end = (size * each // ranks for each in (rank, rank + 1))
            yield Share(tuple(each[at : at + len(table)] for each in rows), batch, size, start, end)
            at += len(table)

    def tables(self, epoch: int, rank: int, ranks: int, first: int) -> Iterator[tuple[int, pa.Table]]:
        """Batches and the rank's rows of each."""
        begin, batch, pieces = 0, first, list[pa.Table]()
        for groups, order in self.windows(epoch):
            end = begin + len(order)
            if end > batch * self.batch_size:
                table, rows = self.read(groups)
                while batch < self.steps and batch * self.batch_size < end:
                    start, stop = self.bounds(batch, rank, ranks)
                    if start < end and stop > begin:
                        pieces.append(
                            table.take(
                                pa.array(rows[order[max(start, begin) - begin : min(stop, end) - begin]])
                            )
                        )
                    if stop > end:
                        break
                    if pieces:
                        yield batch, pa.concat_tables(pieces)
                    batch, pieces = batch + 1, []
            begin = end

    def bounds(self, batch: int, rank: int, ranks: int) -> tuple[int, int]:
        """Where a rank's rows of a batch begin and end in the epoch's order; at least one row."""
        size = min(self.batch_size, self.rows - batch * self.batch_size)
        start, end = (batch * self.batch_size + size * each // ranks for each in (rank, rank + 1))
        return start, max(end, start + 1)

    def windows(self, epoch: int) -> Iterator[tuple[list[Group], npt.NDArray[np.int64]]]:
        """Row groups that are read together, and the order of their rows."""
        draw = np.random.default_rng((self.seed, epoch))
        window, size = list[Group](), 0
        for place in draw.permutation(len(self.groups)):
            group = self.groups[place]
            if window and size + group.size > self.window_bytes:
                yield window, draw.permutation(sum(each.rows for each in window))
                window, size = [], 0
            window.append(group)
            size += group.size
        yield window, draw.permutation(sum(each.rows for each in window))

    def read(self, groups: list[Group]) -> Window:
        """Some row groups; all of them are in the same order in every epoch, which shuffles them as one."""
        if len(groups) < len(self.groups):
            return self.window(groups)
        self.whole = self.whole or self.window(self.groups)
        return self.whole

    def window(self, groups: list[Group]) -> Window:
        """Some row groups, read."""
        table = pa.concat_tables(
            [read_group(group, self.columns) for group in groups], promote_options="permissive"
        )
        return table, np.flatnonzero(pc.equal(table["split"], self.split))

    def rows_of(self, group: Group) -> pa.Table:
        """A row group's rows of the split."""
        table = read_group(group, self.columns)
        return table.filter(pc.equal(table["split"], self.split))

    def sample(self, most: int) -> pa.Table:
        """All rows in their order, or about `most` of them, the first of every row group.

        What preprocessing is fitted on.
        """
        share = min(1.0, most / max(1, self.rows))
        taken = [self.rows_of(group).slice(0, max(1, round(group.rows * share))) for group in self.groups]
        return pa.concat_tables(taken, promote_options="permissive")

    def share_of_all(self, rank: int, ranks: int) -> Iterator[Decoded]:
        """The rank's share of all rows in the order of the data, `batch_size` at most at a time.

        Every row on one rank.
        """
        for group, start, end in self.pieces_of_all(rank, ranks):
            table = self.rows_of(group).slice(start, end - start)
            yield from (
                self.decode(table.slice(begin, self.batch_size))
                for begin in range(0, len(table), self.batch_size)
            )

    def batches_of_all(self, rank: int, ranks: int) -> int:
        """How many batches `share_of_all` gives."""
        return sum(-(-(end - start) // self.batch_size) for _, start, end in self.pieces_of_all(rank, ranks))

    def pieces_of_all(self, rank: int, ranks: int) -> Iterator[tuple[Group, int, int]]:
        """Row groups with the rank's rows of them, from start to end."""
        first, last = (self.rows * each // ranks for each in (rank, rank + 1))
        before = 0
        for group in self.groups:
            start, end = max(first - before, 0), min(last - before, group.rows)
            before += group.rows
            if start < end:
                yield group, start, end


def groups_of(path: Path, split: SplitName, columns: list[str]) -> Iterator[Group]:
    """The row groups of a part, with their rows of a split."""
    with pq.ParquetFile(path) as file:
        places = [place for place in range(file.metadata.num_columns) if root(file, place) in columns]
        for number in range(file.num_row_groups):
            labels = file.read_row_group(number, columns=["split"])["split"]
            size = sum(
                file.metadata.row_group(number).column(place).total_uncompressed_size for place in places
            )
            yield Group(path, number, pc.sum(pc.equal(labels, split)).as_py() or 0, size)


def root(file: pq.ParquetFile, place: int) -> str:
    """The column that a Parquet leaf belongs to."""
    return str(file.metadata.schema.column(place).path).partition(".")[0]


def read_group(group: Group, columns: list[str]) -> pa.Table:
    """A row group, with its column `split`."""
    with pq.ParquetFile(group.path) as file:
        return file.read_row_group(group.number, columns=[*columns, "split"])


def prefetch(items: Iterator[T], most: int) -> Generator[T]:
    """The items, made by a thread of their own up to `most` in advance.

    What it raises is raised here; closing ends it.
    """
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(most)
    over = threading.Event()

    def put(item: tuple[str, Any]) -> None:
        while not over.is_set():
            with suppress(queue.Full):
                ready.put(item, timeout=WAIT_S)
                return

    def work() -> None:
        try:
            for item in items:
                put(("item", item))
                if over.is_set():
                    return
            put(("end", None))
        except BaseException as error:  # whatever it is, the training must hear of it
            put(("error", error))

    thread = threading.Thread(target=work, name="loader", daemon=True)
    thread.start()
    try:
        while (found := ready.get())[0] == "item":
            yield found[1]
        if found[0] == "error":
            raise found[1]
    finally:
        over.set()
        thread.join()
