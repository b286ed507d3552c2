"""A source's first rows in the platform's layout, read as a run reads them, without a cluster and without looking at the rest.

first_partitions.py reads the beginning of a source, joined_preview.py what is joined to it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from configs.intake import IntakeConfig
from configs.source import SourceConfig
from tasks.ingestion.first_partitions import first_partitions
from tasks.ingestion.joined_preview import Joined, joined_tables
from tasks.ingestion.parsing.dates import with_first_formats
from tasks.ingestion.parsing.totals_rows import totals_rows
from tasks.ingestion.parsing.undeclared_missing import undeclared_missing
from tasks.ingestion.partitions import watermarks
from tasks.ingestion.partitions.sources import SourcePartition, inherit
from tasks.ingestion.partitions.store import Notes, PartitionJob, layout_tables
from tasks.ingestion.readers import Partition
from tasks.records import Finding

ROWS = 1000
UNMATCHED = ("unmatched_kept", "unmatched_dropped")
"""Checks that need all rows of a joined source."""


@dataclass(frozen=True)
class Preview:
    """The first rows of one source, appended ones being sources of their own."""

    name: str
    """How messages call the source."""
    rows: pa.Table | None
    """With the columns of joined sources; None where one of these is too large to be read for a look, and what was
    read of it belongs to none of these rows."""
    findings: tuple[Finding, ...]


def preview(source: SourceConfig, intake: IntakeConfig, label: str) -> Iterator[Preview]:
    """The first rows of a source and of those appended to it, each with the joined columns.

    Raises ValueError naming what cannot be read, and where.
    """
    with TemporaryDirectory(prefix="gyre-") as folder:
        joined = joined_tables(source.join, intake, label, Path(folder))
        yield from previews(source, joined, intake, label)


def previews(source: SourceConfig, joined: Joined, intake: IntakeConfig, label: str) -> Iterator[Preview]:
    """See `preview`."""
    notes = Notes()
    notes.conversions.take(joined.conversions.as_json())
    conversions = notes.conversions
    looked = source.model_copy(update={"rows": min(source.rows or ROWS, ROWS)})
    entry = SourcePartition(looked, next(first_partitions(looked, intake, label, ROWS)))
    if source.watermark:
        read = partial(watermarks.rows_with_watermark, entry.partition, source)
        entry = replace(entry, partition=Partition(entry.partition.origin, None, read, counting=True))
    job = PartitionJob(entry, with_first_formats(entry, intake), label, joined.tables, code="")
    rows = next(layout_tables(job, notes), None)
    if rows is None or not len(rows):
        if joined.whole:
            fix = "bring some, or set source.path to a file that has them"
            raise ValueError(f"{entry.name}: holds no rows; {fix}{conversions.told()}")
        rows = None
    findings = [each for each in conversions.findings() if joined.whole or each.check not in UNMATCHED]
    findings += totals_rows(entry.partition.origin, notes.profile)
    findings += undeclared_missing(notes.profile, source.columns)
    yield Preview(entry.name, rows, tuple(findings))
    for more in source.append:
        yield from previews(inherit(more, source), joined, intake, label)
