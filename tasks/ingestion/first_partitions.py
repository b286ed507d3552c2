"""A source's files from their beginnings, for a look at few rows.

Unlike a run's partitions they are not told by their content.
"""

from collections.abc import Callable, Iterator
from functools import partial

import pyarrow as pa

from configs.intake import IntakeConfig
from configs.source import SourceConfig
from tasks.ingestion.readers import Partition, csv, functions, images, jsonl, parquet, sql, synthetic
from tasks.ingestion.readers.location import File, filesystem, location_of, matching_files, name_of

IMAGES = 32


def first_partitions(
    source: SourceConfig, intake: IntakeConfig, label: str, rows: int
) -> Iterator[Partition]:
    """The source's files, tables or partitions in their order, each from its beginning, as they are asked for.

    Of images it is a few of all.

    rows: of a database, so many at most
    """
    match source.reader:
        case "images":
            yield first_images(source, intake, label)
        case "sql":
            yield Partition(sql.table_name(source), None, partial(sql.first_rows, source, rows))
        case "csv":
            yield from csv.first_partitions(source)
        case "jsonl":
            yield from files(source, jsonl.read)
        case "parquet":
            yield from files(source, parquet.read)
        case "delta":
            yield from parquet.delta_partitions(source)
        case "synthetic":
            yield from synthetic.partitions(source)
        case _:
            yield from functions.partitions(source)


def files(source: SourceConfig, read: Callable[..., Iterator[pa.Table]]) -> Iterator[Partition]:
    """The files of a source, by a reader's `read`."""
    for file in matching_files(source):
        yield Partition(file.name, None, partial(read, file, source.limits))


def first_images(source: SourceConfig, intake: IntakeConfig, label: str) -> Partition:
    """The first images of a folder or archive."""
    template = location_of(source)
    system, path = filesystem(template, source.options)
    if system.isfile(path) or not system.exists(path):
        return images.partitions(source, intake, label)[0]
    names = images.names_of(system, path)
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
