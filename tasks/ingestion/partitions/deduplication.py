"""Rows that repeat a key: the last stays.

Found by DuckDB on disk and in bounded memory, whatever the number of rows.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.rows.parts import part_paths, tables, write_tables
from tasks.rows.sql import identifier, open_database

Hashes = npt.NDArray[np.uint64]
ROWS_A_PASS = 2_000_000
"""Ids whose hashes are sorted at once; more rows are more passes, not more memory."""
ROWS_A_RUN = 2**20
MEMORY = "384MiB"
EXAMPLES = 3
MOST_CLASSES = 100
"""A label with more different values is a number, not a class."""
LEAST_MOVE = 0.0005
"""Of a class's share that is worth a word."""


@dataclass(frozen=True)
class Move:
    """A class whose share of the rows changed, 0 to 1."""

    name: str
    before: float
    after: float

    @property
    def text(self) -> str:
        """For people."""
        points = 100 * (self.after - self.before)
        return f"class {self.name!r} goes from {self.before:.1%} to {self.after:.1%} of the rows ({points:+.1f} points)"


@dataclass(frozen=True)
class Repeats:
    """Rows that were left out because a later one has the same key."""

    count: int = 0
    examples: tuple[tuple[str, int, str], ...] = ()
    """Keys that come most often: the key, how often, and the place of its first row."""
    moved: Move | None = None
    """The class whose share moved most; None where the label has no classes, or none moved."""


def open_on_disk(folder: Path) -> AbstractContextManager[Any]:
    """A database whose tables may be larger than memory, in a file below `folder` that is removed at the end."""
    return open_database(memory=MEMORY, scratch=folder, file=True, preserve_insertion_order=False)


@contextmanager
def hasher() -> Iterator[Callable[[pa.ChunkedArray], Hashes]]:
    """A function that gives the hashes of a column of ids [rows]."""
    with open_database(threads=1) as opened:

        def hashes(ids: pa.ChunkedArray) -> Hashes:
            opened.register("ids", pa.table({"id": ids}))
            return np.asarray(opened.execute("SELECT hash(id) AS hash FROM ids").fetchnumpy()["hash"])

        yield hashes


def drop_repeated(folder: Path, hashes: list[Path], label: str) -> Repeats:
    """Leaves only the last row of every `id` in a folder of parts; says which went.

    Parts without one keep their bytes.

    hashes: files with the hash of every id in the folder, in sorted runs
    label: column whose classes are compared before and after
    """
    doubtful = repeated_hashes(hashes)
    if not len(doubtful):
        return Repeats()
    paths = part_paths(folder)
    with open_on_disk(folder.parent) as opened:
        opened.register("doubtful", pa.table({"hash": doubtful}))
        mark_losers(opened, paths)
        examples, moved = most_repeated(opened), largest_move(opened, paths, label)
        count = sum(without(path, losers(opened, path)) for path in paths)
    return Repeats(count, examples, moved if count else None)


def most_repeated(opened: Any) -> tuple[tuple[str, int, str], ...]:
    """The keys that lose most rows, with how often they come and where first."""
    query = (
        "SELECT id, count(*) + 1 AS times, arg_min('line ' || origin_line || ' of ' || origin, (filename, number)) AS place "
        f"FROM losers GROUP BY id ORDER BY times DESC, id LIMIT {EXAMPLES}"
    )
    return tuple((str(key), int(times), str(first)) for key, times, first in opened.execute(query).fetchall())


def largest_move(opened: Any, paths: list[Path], label: str) -> Move | None:
    """The class whose share of all rows moves most once the losers are gone."""
    column = identifier(label)
    rows = (
        f"SELECT {column}::VARCHAR AS class, filename, file_row_number AS number "
        "FROM read_parquet(?, filename = true, file_row_number = true, union_by_name = true)"
    )
    query = (
        "SELECT class, count(*) AS here, count(losers.number) AS gone "
        f"FROM ({rows}) AS rows LEFT JOIN losers USING (filename, number) WHERE class IS NOT NULL GROUP BY class LIMIT {MOST_CLASSES + 1}"
    )
    found = opened.execute(query, [[str(path) for path in paths]]).fetchall()
    here, gone = sum(each[1] for each in found), sum(each[2] for each in found)
    if not 1 < len(found) <= MOST_CLASSES or here == gone:
        return None
    moves = [Move(name, rows / here, (rows - lost) / (here - gone)) for name, rows, lost in found]
    largest = max(moves, key=lambda move: (round(abs(move.after - move.before), 9), move.before))
    return largest if abs(largest.after - largest.before) >= LEAST_MOVE else None


def sort_runs(path: Path) -> None:
    """Sorts a file of hashes in runs of ROWS_A_RUN: what one pass needs of a run then lies together, and the rest of it is not read."""
    if path.stat().st_size:  # an empty file cannot be mapped
        for run in runs(path, "r+"):
            run.sort()


def runs(path: Path, mode: Literal["r", "r+"] = "r") -> list[Hashes]:
    """The runs of a file."""
    hashes = np.memmap(path, np.uint64, mode)
    return [hashes[start : start + ROWS_A_RUN] for start in range(0, len(hashes), ROWS_A_RUN)]


def repeated_hashes(files: list[Path]) -> Hashes:
    """The hashes that come more than once, each once.

    Different ids may share one, which is for the ids themselves to tell.
    """
    rows = sum(path.stat().st_size // 8 for path in files)
    bits = max(0, (rows // ROWS_A_PASS).bit_length())
    found = []
    for number in range(2**bits):
        mine = np.sort(np.concatenate([run for path in files for run in hashes_of_pass(path, bits, number)]))
        found.append(np.unique(mine[1:][mine[1:] == mine[:-1]]))
    return np.concatenate(found)


def hashes_of_pass(path: Path, bits: int, number: int) -> list[Hashes]:
    """A file's hashes whose first bits are `number`, run by run."""
    first, last = (np.uint64(edge) for edge in (number << (64 - bits), ((number + 1) << (64 - bits)) - 1))
    return [
        np.array(run[np.searchsorted(run, first) : np.searchsorted(run, last, side="right")])
        for run in runs(path)
    ]


def mark_losers(opened: Any, paths: list[Path]) -> None:
    """The table `losers`: the file and row of every row that a later one repeats."""
    opened.execute(
        "CREATE TABLE losers AS SELECT filename, file_row_number AS number, id, origin, origin_line FROM ("
        "SELECT filename, file_row_number, id, origin, origin_line, "
        "row_number() OVER (PARTITION BY id ORDER BY filename DESC, file_row_number DESC) AS place "
        "FROM read_parquet(?, filename = true, file_row_number = true) WHERE hash(id) IN (SELECT hash FROM doubtful)) WHERE place > 1",
        [[str(path) for path in paths]],
    )


def losers(opened: Any, path: Path) -> "np.ndarray[Any, Any]":
    """The rows of a part that go."""
    query = "SELECT number FROM losers WHERE filename = ? ORDER BY number"
    found: np.ndarray[Any, Any] = opened.execute(query, [str(path)]).fetchnumpy()["number"]
    return found


def without(path: Path, rows: "np.ndarray[Any, Any]") -> int:
    """Writes a part again without some of its rows; returns how many."""
    if len(rows):
        write_tables(remaining(path, rows), path)
    return len(rows)


def remaining(path: Path, rows: "np.ndarray[Any, Any]") -> Iterator[pa.Table]:
    """A part's row groups without some rows."""
    start = 0
    for table in tables(path):
        mine = rows[(rows >= start) & (rows < start + len(table))] - start
        mask = np.ones(len(table), bool)
        mask[mine] = False
        start += len(table)
        yield table.filter(pa.array(mask))
