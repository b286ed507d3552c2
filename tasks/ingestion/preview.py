"""A source's first rows in the platform's layout, read as a run reads them, without a cluster and without looking at the rest."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from configs.intake import IntakeConfig
from configs.source import SourceConfig
from tasks.ingestion.parsing.dates import with_first_formats
from tasks.ingestion.parsing.totals_rows import totals_rows
from tasks.ingestion.parsing.undeclared_missing import undeclared_missing
from tasks.ingestion.partitions import watermarks
from tasks.ingestion.partitions.sources import SourcePartition, inherit
from tasks.ingestion.partitions.store import Notes, PartitionJob, layout_tables
from tasks.ingestion.readers import Partition, csv, functions, images, jsonl, parquet, sql, synthetic
from tasks.ingestion.readers.location import File, filesystem, location_of, matching_files, name_of
from tasks.records import Finding

ROWS = 1000
IMAGES = 32


@dataclass(frozen=True)
class Preview:
    """The first rows of one source, appended ones being sources of their own."""

    name: str
    """How messages call the source."""
    rows: pa.Table | None
    """None where the rows need columns of `source.join`, which is not read for a look."""
    findings: tuple[Finding, ...]


def preview(source: SourceConfig, intake: IntakeConfig, label: str) -> Iterator[Preview]:
    """The first rows of a source and of those appended to it.

    Raises ValueError naming what cannot be read, and where.
    """
    notes = Notes()
    conversions = notes.conversions
    looked = source.model_copy(update={"rows": min(source.rows or ROWS, ROWS)})
    entry = SourcePartition(looked, first_partition(looked, intake, label))
    if source.watermark:
        entry = replace(
            entry,
            partition=Partition(
                entry.partition.origin,
                None,
                partial(watermarks.rows_with_watermark, entry.partition, source),
                counting=True,
            ),
        )
    rows = None
    if not source.join:
        read_by = with_first_formats(entry, intake)
        rows = next(layout_tables(PartitionJob(entry, read_by, label, (), code=""), notes), None)
        if rows is None or not len(rows):
            fix = "bring some, or set source.path to a file that has them"
            raise ValueError(f"{entry.name}: holds no rows; {fix}{conversions.told()}")
    profile = notes.profile
    shape = (*totals_rows(entry.partition.origin, profile), *undeclared_missing(profile, source.columns))
    yield Preview(entry.name, rows, (*conversions.findings(), *shape))
    for more in source.append:
        yield from preview(inherit(more, source), intake, label)


def first_partition(source: SourceConfig, intake: IntakeConfig, label: str) -> Partition:
    """The beginning of the source's first file, table or partition; unlike a run's partitions it is not told by its content."""
    if source.reader == "images":
        return first_images(source, intake, label)
    first: Callable[[SourceConfig], Partition] = FIRST_SLICES.get(
        source.reader, lambda source: functions.partitions(source)[0]
    )
    return first(source)


def first_of_files(read: Callable[..., Iterator[pa.Table]]) -> Callable[[SourceConfig], Partition]:
    """The first file of a source, by a reader's `read`."""

    def first(source: SourceConfig) -> Partition:
        file = matching_files(source)[0]
        return Partition(file.name, None, partial(read, file, source.limits))

    return first


FIRST_SLICES: dict[str, Callable[[SourceConfig], Partition]] = {
    "csv": csv.first_partition,
    "jsonl": first_of_files(jsonl.read),
    "parquet": first_of_files(parquet.read),
    "delta": lambda source: parquet.delta_partitions(source)[0],
    "sql": lambda source: Partition(sql.table_name(source), None, partial(sql.first_rows, source, ROWS)),
    "synthetic": lambda source: synthetic.partitions(source)[0],
}


def first_images(source: SourceConfig, intake: IntakeConfig, label: str) -> Partition:
    """The first images of a folder or archive."""
    template = location_of(source)
    system, path = filesystem(template, source.options)
    if system.isfile(path) or not system.exists(path):
        return images.partitions(source, intake, label)[0]
    names = sorted(
        name[len(path.rstrip("/")) + 1 :]
        for name in system.find(path)
        if name.lower().endswith(images.SUFFIXES)
    )
    few = names[:: max(1, len(names) // IMAGES)]
    if not few:
        return images.partitions(source, intake, label)[0]
    files = [File(template, f"{template.rstrip('/')}/{name}", source.options) for name in few]
    beside = images.labels_beside(source, template.rstrip("/") + "/x")
    return Partition(
        name_of(source),
        None,
        partial(images.read_folder, files, few, beside, source, intake, label),
        counting=True,
    )
