"""Merges the many small files of a prediction log while others read and append.

A busy server writes two files a second: a look at production that opened each of them took seconds before it
had read a row. Files of one day, kind and schema become one, sorted by time and request id.

Readers see each line once, at every moment and after every crash: the merged file appears by rename, and a
hidden list beside it, written before, names the files in whose place it stands, which readers leave out until
they are gone. A reader that listed them before, and finds one gone, lists again
(tasks/production/prediction_log.py).
"""

import fcntl
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from infra.files import whole_file

log = logging.getLogger("gyre.predictions")

FEWEST = 64
"""Files are merged by so many at once.

Each line is then written about three times in a day of 86,400 files.
"""
LARGE_VALUES = 8 * 2**20
"""Single values of a file that is large enough to be left alone. Bytes on the disk would not do: rows that repeat
take next to none there, and gigabytes in memory."""
MOST_VALUES = 32 * 2**20
"""Of files that are merged at once: it bounds the memory of a merge, to a quarter of a gigabyte a copy."""
REPLACES = ".replaces"
"""Ending of the hidden list."""


def visible_files(folder: Path, kind: str) -> list[Path]:
    """The files that hold a log's lines of a kind (`predictions`, `labels`), each line in one of them.

    By day and time.
    """
    found = sorted(folder.glob(f"*/{kind}-*.parquet"))
    present, replaced = set(found), set[Path]()
    for listing in folder.glob(f"*/.{kind}-*{REPLACES}"):
        if merged_file(listing) in present:
            replaced.update(replaced_files(listing))
    return [path for path in found if path not in replaced]


def compact(day: Path, kind: str, fewest: int = FEWEST) -> int:
    """Merges the small files of a day's folder where there are `fewest` of one schema; how many it replaced.

    One process at a time; another finds nothing to do.
    """
    if not day.is_dir():
        return 0
    with locked(day) as alone:
        if not alone:
            return 0
        finish_interrupted(day, kind)
        replaced = 0
        for group in groups(day, kind):
            if len(group.files) >= (2 if group.is_full else max(2, fewest)):
                merge(group.files, kind)
                replaced += len(group.files)
    return replaced


@dataclass
class Group:
    """Files that may be merged at once."""

    files: list[Path] = field(default_factory=list)
    values: int = 0
    is_full: bool = False
    """Whether the next file had no room: then nothing is gained by waiting for more."""


def groups(day: Path, kind: str) -> list[Group]:
    """Small files of equal schema, the oldest first, as many as may be merged at once."""
    by_schema: dict[str, list[Group]] = {}
    for path in sorted(day.glob(f"{kind}-*.parquet")):
        metadata = pq.read_metadata(path)
        values = values_of(metadata)
        if values >= LARGE_VALUES:
            continue
        found = by_schema.setdefault(str(metadata.schema.to_arrow_schema().remove_metadata()), [Group()])
        if found[-1].values + values > MOST_VALUES:
            found[-1].is_full = True
            found.append(Group())
        found[-1].files.append(path)
        found[-1].values += values
    return [group for found in by_schema.values() for group in found]


def values_of(metadata: pq.FileMetaData) -> int:
    """Single values of a file, those of lists one by one."""
    row_groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    return sum(each.column(place).num_values for each in row_groups for place in range(each.num_columns))


def merge(files: Sequence[Path], kind: str) -> None:
    """Puts one file in the place of several; at every moment readers see their lines once."""
    table = pa.concat_tables([pq.read_table(path) for path in files])
    table = table.sort_by([("time", "ascending"), ("request_id", "ascending")])
    # Named after the last one, so that names still sort by time.
    merged = files[-1].with_name(f"{files[-1].stem}m.parquet")
    listing = merged.with_name(f".{merged.stem}{REPLACES}")
    with whole_file(listing) as temporary:
        temporary.write_text(json.dumps([path.name for path in files]), encoding="utf-8")
    with whole_file(merged) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    remove_replaced(listing)
    log.info("%s: %d files of %s are one", merged, len(files), kind)


def finish_interrupted(day: Path, kind: str) -> None:
    """Ends what a killed process began: its merged file stands, or its list means nothing."""
    for listing in day.glob(f".{kind}-*{REPLACES}"):
        if merged_file(listing).exists():
            remove_replaced(listing)
        else:
            listing.unlink()


def remove_replaced(listing: Path) -> None:
    """Removes the files that a list names, then the list."""
    for path in replaced_files(listing):
        path.unlink(missing_ok=True)
    listing.unlink(missing_ok=True)


def merged_file(listing: Path) -> Path:
    """The file whose list it is."""
    return listing.with_name(f"{listing.name.removeprefix('.').removesuffix(REPLACES)}.parquet")


def replaced_files(listing: Path) -> list[Path]:
    """The files that a list names; none where it has just been removed, since then they are gone too."""
    try:
        names = json.loads(listing.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return [listing.with_name(name) for name in names]


@contextmanager
def locked(day: Path) -> Iterator[bool]:
    """Whether this process alone merges files of a day; a killed one lets go by dying."""
    with (day / ".compaction").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
