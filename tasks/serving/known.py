"""Which requests the prediction log holds, so that a late label of none of them is refused and not quietly lost.

The newest are kept in memory; older ones are looked for in the log's files, the newest day first.
"""

import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

KEPT = 50_000
"""Ids of rows in memory, over all projects: about 10 MB."""
LOOK_S = 5.0
"""How long the files are looked through for one client's labels. A busy server writes thousands a day."""


@dataclass(frozen=True)
class Sought:
    """What became of ids that were looked for."""

    found: frozenset[str]
    complete: bool
    """Whether the whole log was looked through; if not, what was not found may still be there."""


@dataclass
class KnownRequests:
    """The ids of logged rows. `add` and `among` belong to the event loop, `sought` to a thread."""

    folder: Path
    """`<home>/predictions`."""
    _newest: dict[tuple[str, str], None] = field(default_factory=dict)

    def add(self, project: str, ids: list[str]) -> None:
        """Remembers rows that are on their way to the log."""
        for each in ids:
            self._newest[project, each] = None
        while len(self._newest) > KEPT:
            del self._newest[next(iter(self._newest))]

    def among(self, project: str, ids: Collection[str]) -> set[str]:
        """Those of the ids that are remembered."""
        return {each for each in ids if (project, each) in self._newest}

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
