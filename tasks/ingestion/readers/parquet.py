"""Parquet files, here or in an object store, one row group after the other.

And Delta Lake tables, which are such files with a log.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from configs.source import LimitsConfig, SourceConfig
from tasks.ingestion.lines import count_lines, number_lines
from tasks.ingestion.readers import Partition
from tasks.ingestion.readers.location import (
    File,
    expand_variables,
    expanded_value,
    location_of,
    matching_files,
    name_of,
)
from tasks.rows.parts import ROWS_A_GROUP

BYTES_A_ROW_GROUP = 4 * 2**30
"""More than this in one row group is a lie or a bomb: pages are unpacked whole."""


def partitions(source: SourceConfig) -> list[Partition]:
    """A partition a file."""
    return [
        Partition(file.name, file.content(), partial(read, file, source.limits))
        for file in matching_files(source)
    ]


def row_group_partitions(source: SourceConfig, rows: int) -> list[Partition]:
    """Partitions of whole row groups, of about `rows` rows each.

    A large file's rows are read side by side.
    """
    found = []
    for file in matching_files(source):
        content = file.content()
        for groups, first in row_group_ranges(file, source.limits, rows):
            facts = [content, groups.start, groups.stop]
            found.append(
                Partition(file.name, facts, partial(read_groups, file, source.limits, groups, first))
            )
    return found


def row_group_ranges(file: File, limits: LimitsConfig, rows: int) -> Iterator[tuple[range, int]]:
    """Ranges of row groups with about `rows` rows, and the number of the first row of each, from 1."""
    with opened(file, limits) as parquet:
        sizes = [
            parquet.metadata.row_group(number).num_rows for number in range(parquet.metadata.num_row_groups)
        ]
    begin, first, size = 0, 1, 0
    for number, count in enumerate(sizes):
        size += count
        if size >= rows or number + 1 == len(sizes):
            yield range(begin, number + 1), first
            begin, first, size = number + 1, first + size, 0
    if not sizes:
        yield range(0), 1


def read_groups(file: File, limits: LimitsConfig, groups: range, first: int) -> Iterator[pa.Table]:
    """The rows of some row groups, numbered as they are in the file."""
    for table in tables(file, limits, groups):
        yield number_lines(table, first)
        first += len(table)


def delta_partitions(source: SourceConfig) -> list[Partition]:
    """A partition a file of the table's newest version.

    A file of a Delta table never changes, so its name stands for its content.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        table = DeltaTable(
            expand_variables(location_of(source)),
            storage_options={key: expanded_value(value) for key, value in source.options.items()},
        )
    except DeltaError as error:
        raise ValueError(
            f"{name_of(source)}: {str(error)[:200]}; set source.path to the folder of a Delta table"
        ) from None
    actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    found = []
    for action in sorted(actions, key=lambda action: str(action["path"])):
        values = {
            key.removeprefix("partition."): value
            for key, value in action.items()
            if key.startswith("partition.")
        }
        file = File(
            location_of(source), f"{location_of(source).rstrip('/')}/{action['path']}", source.options
        )
        facts = [action["path"], action["size_bytes"], str(action["modification_time"])]
        found.append(Partition(str(action["path"]), facts, partial(read, file, source.limits, values)))
    return found


def read(file: File, limits: LimitsConfig, values: dict[str, Any] | None = None) -> Iterator[pa.Table]:
    """A file's rows, in tables of at most ROWS_A_GROUP; `values` are columns that a Delta table keeps in its log."""
    for table in count_lines(tables(file, limits)):
        for name, value in (values or {}).items():
            table = table.append_column(name, pa.array([value] * len(table)))  # noqa: PLW2901
        yield table


def tables(file: File, limits: LimitsConfig, groups: range | None = None) -> Iterator[pa.Table]:
    """A file's rows, or those of some row groups.

    Raises ValueError for a file that is cut off or whose metadata cannot be true.
    """
    with opened(file, limits) as parquet:
        chosen = None if groups is None else list(groups)
        for batch in parquet.iter_batches(ROWS_A_GROUP, row_groups=chosen, use_threads=False):
            yield pa.Table.from_batches([batch]).replace_schema_metadata(None)


@contextmanager
def opened(file: File, limits: LimitsConfig) -> Iterator[pq.ParquetFile]:
    """A file whose metadata was checked. Raises ValueError for one that cannot be read."""
    try:
        with file.open() as stream, pq.ParquetFile(stream, pre_buffer=False) as parquet:
            check_metadata(parquet.metadata, file, limits)
            yield parquet
    except (pa.ArrowException, OSError, MemoryError) as error:
        raise ValueError(
            f"{file.name}: cannot be read as Parquet: {str(error)[:200]}; it may be cut off or damaged, write it again"
        ) from None


def check_metadata(metadata: Any, file: File, limits: LimitsConfig) -> None:
    """Raises ValueError where the metadata promises more than is read, or other rows than its row groups have."""
    if metadata.num_columns > limits.columns:
        raise ValueError(
            f"{file.name}: has {metadata.num_columns:,} columns; at most {limits.columns:,} are read (source.limits.columns)"
        )
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    if sum(group.num_rows for group in groups) != metadata.num_rows:
        raise ValueError(
            f"{file.name}: says {metadata.num_rows:,} rows, its row groups have others; write it again"
        )
    for number, group in enumerate(groups):
        if not 0 <= group.total_byte_size <= BYTES_A_ROW_GROUP or group.num_rows < 0:
            raise ValueError(
                f"{file.name}: row group {number} says {group.num_rows:,} rows of {group.total_byte_size:,} bytes; "
                f"at most {BYTES_A_ROW_GROUP:,} are read; write it with smaller row groups"
            )
