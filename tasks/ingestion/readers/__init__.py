"""One module a kind of source.

Each gives partitions: a file, a block of a large file, a range of a table, a reader's partition.

A partition is what is read once and kept: a new run reads only partitions that it does not have.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tasks.ingestion.parsing.conversions import Conversions


class ChangedError(ValueError):
    """The source is not what it was when it was looked at."""


@dataclass(frozen=True)
class Partition:
    """Rows that are read in one go, on a Dask worker.

    It is pickled, so it holds a path or a range and no secret.
    """

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

    def read(self, conversions: Conversions) -> Iterator[pa.Table]:
        """The tables, what they lost noted in `conversions`."""
        return self.tables(conversions) if self.counting else self.tables()
