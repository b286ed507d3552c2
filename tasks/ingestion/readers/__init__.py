"""One module a kind of source.

Each gives partitions: a file, a block of a large file, a range of a table, a reader's partition.

A partition is what is read once and kept: a new run reads only partitions that it does not have.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from tasks.ingestion.parsing.conversions import Conversions

LINE = "origin_line"
"""Column that every reader adds: the line of a text file, else the row's number in the partition's file or table,
from 1."""


class ChangedError(ValueError):
    """The source is not what it was when it was looked at."""


@dataclass(frozen=True)
class Partition:
    """Rows that are read in one go, on a Dask worker; it is pickled, so it holds a path or a range and no secret."""

    origin: str
    """File name, table or reader that its rows came from."""
    content: Any
    """JSON value that changes with the rows."""
    tables: Callable[..., Iterator[pa.Table]]
    """The rows in bounded tables, with LINE."""
    counting: bool = False
    """Whether `tables` takes Conversions, to note what it leaves out or changes."""

    @property
    def id(self) -> str:
        """Digest of where the rows are from and what they are."""
        return hashlib.sha256(
            json.dumps([self.origin, self.content], sort_keys=True, default=str).encode()
        ).hexdigest()

    def read(self, conversions: "Conversions") -> Iterator[pa.Table]:
        """The tables, what they lost noted in `conversions`."""
        return self.tables(conversions) if self.counting else self.tables()


def number_lines(table: pa.Table, first: int) -> pa.Table:
    """A table with LINE, counted on from `first`."""
    return table.append_column(LINE, pa.array(range(first, first + len(table)), pa.int64()))


def count_lines(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Tables with LINE, counted from 1."""
    first = 1
    for table in tables:
        yield number_lines(table, first)
        first += len(table)
