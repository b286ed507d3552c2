"""About how many rows a source has, without reading it: for an estimate of how long a run takes."""

from itertools import islice

import pyarrow.parquet as pq

from configs.source import SourceConfig
from tasks.ingestion.readers.archives import members
from tasks.ingestion.readers.images import ARCHIVES, SUFFIXES, names_of
from tasks.ingestion.readers.location import File, filesystem, location_of, matching_files

HEAD_BYTES = 2**20
"""Of a text file, whose lines say how long lines are."""
MEMBERS = 50
"""Of an archive, whose sizes say how large images are."""


def estimate_rows(source: SourceConfig) -> int | None:
    """Rows of a source and those appended to it; None where that cannot be told without reading it."""
    counts = [rows_of(source), *(estimate_rows(more) for more in source.append)]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def rows_of(source: SourceConfig) -> int | None:
    """Of one source."""
    match source.reader:
        case "csv" | "jsonl":
            counts = [lines_of(file) for file in matching_files(source)]
        case "parquet":
            counts = [rows_of_parquet(file) for file in matching_files(source)]
        case "images":
            counts = [images_of(source)]
        case _:
            return source.rows
    if any(count is None for count in counts):
        return source.rows
    found = sum(count for count in counts if count is not None)
    return min(found, source.rows or found)


def lines_of(file: File) -> int | None:
    """Lines of a text file, by the length of its first ones; None of a packed one."""
    if file.compression():
        return None
    system, path = file.system()
    with file.open() as stream:
        head = stream.read(HEAD_BYTES)
    lines = head.count(b"\n")
    size: int = system.size(path)
    return round(size * lines / max(1, len(head)))


def rows_of_parquet(file: File) -> int:
    """Rows of a Parquet file, as it says itself."""
    with file.open() as stream:
        rows: int = pq.read_metadata(stream).num_rows
    return rows


def images_of(source: SourceConfig) -> int:
    """Images of a folder, or of an archive by the sizes of its first ones."""
    template = location_of(source)
    system, path = filesystem(template, source.options)
    if not template.lower().endswith(ARCHIVES):
        return len(names_of(system, path))
    first = list(islice(members(File(template, path, source.options), SUFFIXES, source.limits), MEMBERS))
    size = sum(len(data) for _, data in first)
    return len(first) if len(first) < MEMBERS else round(system.size(path) * len(first) / max(1, size))
