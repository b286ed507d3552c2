"""Which requests the prediction log holds, so that a late label of none of them is refused and not quietly lost.

The newest are kept in memory that all processes of a model server share, since a label comes to any of them;
older ones are looked for in the log's files, the newest day first.
"""

import mmap
import struct
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

BUCKETS, WAYS = 2**16, 4
"""Ids of rows in memory, over all projects: the newest WAYS that fall into each bucket. Of ids that came within
the last half second, and may not be on the disk yet, less than one in a million has been displaced at 5,000
rows a second."""
ID = struct.Struct("<Q")
LOOK_S = 5.0
"""How long the files are looked through for one client's labels. A busy server writes thousands a day."""


@dataclass(frozen=True)
class Sought:
    """What became of ids that were looked for."""

    found: frozenset[str]
    complete: bool
    """Whether the whole log was looked through; if not, what was not found may still be there."""


class NewestIds:
    """A set of ids that forgets the oldest ones; processes that are forked from this one share it.

    It holds 64 bits of each id, by Python's hash: its seed is a secret of the process, which those that are
    forked have too, so nobody can make up an id that is taken for another.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, BUCKETS * WAYS * ID.size)

    def add(self, project: str, each: str) -> None:
        """One more, in front of its bucket.

        Where two processes meet in one, an id may be lost and is sought on disk.
        """
        found = id_of(project, each)
        begin, size = bucket_of(found), ID.size * (WAYS - 1)
        self._memory[begin + ID.size : begin + ID.size + size] = self._memory[begin : begin + size]
        ID.pack_into(self._memory, begin, found)

    def has(self, project: str, each: str) -> bool:
        """Whether it is remembered."""
        found = id_of(project, each)
        begin = bucket_of(found)
        return any(ID.unpack_from(self._memory, begin + way * ID.size)[0] == found for way in range(WAYS))


def id_of(project: str, each: str) -> int:
    """What is kept of an id; never 0, which is an empty place."""
    return hash((project, each)) & (2**64 - 1) or 1


def bucket_of(found: int) -> int:
    """Where a bucket begins."""
    return found % BUCKETS * WAYS * ID.size


@dataclass
class KnownRequests:
    """The ids of logged rows. `add` and `among` belong to the event loop, `sought` to a thread."""

    folder: Path
    """`<home>/predictions`."""
    newest: NewestIds = field(default_factory=NewestIds)

    def add(self, project: str, ids: list[str]) -> None:
        """Remembers rows that are on their way to the log."""
        for each in ids:
            self.newest.add(project, each)

    def among(self, project: str, ids: Collection[str]) -> set[str]:
        """Those of the ids that are remembered."""
        return {each for each in ids if self.newest.has(project, each)}

    def sought(self, project: str, ids: Collection[str]) -> Sought:
        """Those of the ids that the log's files hold."""
        until = time.monotonic() + LOOK_S
        while True:
            # A file that was merged meanwhile is missing: what it held is in one that the next look finds.
            with suppress(FileNotFoundError):
                return self._look_through(project, set(ids), until)

    def _look_through(self, project: str, wanted: set[str], until: float) -> Sought:
        found, sought = set[str](), pa.array(wanted, pa.string())
        for path in sorted((self.folder / project).glob("*/predictions-*.parquet"), reverse=True):
            if wanted <= found:
                break
            if time.monotonic() > until:
                return Sought(frozenset(found), complete=False)
            ids = pq.read_table(path, columns=["request_id"])["request_id"]
            # Compared by Arrow, which lets go of Python's lock: a large file would hold up whoever is served.
            found.update(ids.filter(pc.is_in(ids, sought)).to_pylist())
        return Sought(frozenset(found), complete=True)
