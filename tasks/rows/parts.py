"""Rows of the platform: Parquet parts with one layout, whichever stage wrote them.

Every part has the source's key as `id` (text), the intake's columns, its descriptors, the source's other
columns, the label (empty until labeling where the source has annotators alone), `origin` (the file, table or
reader that a row came from, or `feedback`), `origin_line` (its line or number there, from 1) and
`origin_content` (a digest of what is there: tasks/rows/content_hash.py); from versioning on `split` (`train`,
`validation`, `test`).

A stage hands part for part on, row group for row group: memory is bounded by a row group whatever the number
of rows, and a part whose rows did not change keeps its bytes, which is what versions share.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.files import digest, verify, whole_file
from tasks.records import Stored

SplitName = Literal["train", "validation", "test"]
ROWS_A_GROUP = 65_536
"""Bounds, with BYTES_A_GROUP, what one reader holds in memory."""
BYTES_A_GROUP = 64 * 2**20
ROWS_A_PART = 2**20
"""A million rows are few files, and a changed row costs a version one part."""
SEED = 7
PARTS_AT_ONCE = 2
"""Each thread more is a row group more in memory."""


def read(rows: Stored, columns: list[str] | None = None, split: SplitName | None = None) -> pd.DataFrame:
    """The rows of a stored folder in their order, or of one split of it.

    Raises DigestError where the folder was changed.
    """
    folder = verify(rows.uri, rows.digest)
    filters = [("split", "=", split)] if split else None
    parts = [pq.read_table(path, columns=columns, filters=filters) for path in part_paths(folder)]
    frame: pd.DataFrame = pa.concat_tables(parts, promote_options="permissive").to_pandas()
    return frame.reset_index(drop=True)


def sample(
    rows: Stored, most: int, split: SplitName | None = None, columns: list[str] | None = None
) -> pd.DataFrame:
    """At most so many rows of a stored folder, or of one split of it, drawn by a fixed seed evenly over all, in their order.

    Memory is bounded by a row group and the rows that are taken. Raises DigestError where the folder was
    changed.
    """
    paths = part_paths(verify(rows.uri, rows.digest))
    wanted = list(dict.fromkeys([*columns, "split"])) if columns and split else columns
    counts = [pq.read_metadata(path).num_rows for path in paths]
    if split:
        counts = [
            pc.sum(pc.equal(pq.read_table(path, columns=["split"])["split"], split)).as_py() or 0
            for path in paths
        ]
    total = sum(counts)
    places = np.sort(np.random.default_rng(SEED).choice(total, min(most, total), replace=False))
    taken, before = [], 0
    for table in (table for path in paths for table in tables(path, wanted)):
        chosen = table.filter(pc.equal(table["split"], split)) if split else table
        mine = places[(places >= before) & (places < before + len(chosen))] - before
        taken.append(chosen.take(pa.array(mine)))
        before += len(chosen)
    frame: pd.DataFrame = pa.concat_tables(taken, promote_options="permissive").to_pandas()
    return frame.reset_index(drop=True)


def read_places(folder: Path, columns: list[str], places: npt.NDArray[np.intp]) -> pd.DataFrame:
    """The rows at some places of a folder of parts, in the order of the places.

    A row group at a time is in memory.
    """
    wanted, start, found = np.sort(places), 0, []
    for path in part_paths(folder):
        for table in tables(path, columns):
            mine = (
                wanted[np.searchsorted(wanted, start) : np.searchsorted(wanted, start + len(table))] - start
            )
            start += len(table)
            if len(mine):
                found.append(table.select(columns).take(pa.array(mine)))
    if not found:
        return pd.DataFrame(columns=columns)
    frame: pd.DataFrame = pa.concat_tables(found, promote_options="permissive").to_pandas()
    return frame.iloc[np.argsort(np.argsort(places))].reset_index(drop=True)


def part_paths(folder: Path) -> list[Path]:
    """The Parquet parts of a folder, in order."""
    return sorted(folder.glob("part-*.parquet"))


def schema_of(folder: Path) -> pa.Schema:
    """The columns of all parts together.

    Raises ValueError where a column is text in one and a number in another.
    """
    try:
        return pa.unify_schemas(
            [pq.read_schema(path) for path in part_paths(folder)], promote_options="permissive"
        )
    except pa.ArrowTypeError as error:
        raise ValueError(
            f"parts differ in the type of a column; give it one type in the source: {error}"
        ) from None


def tables(path: Path, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """A part's row groups, one at a time."""
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number, columns=columns)


def write(frames: Iterable[pd.DataFrame | pa.Table], folder: Path) -> None:
    """Frames as part-00000.parquet, part-00001.parquet, ... in a folder that exists.

    Equal frames give equal bytes.
    """
    for number, frame in enumerate(frames):
        write_part(frame, folder, number)


def write_part(rows: pd.DataFrame | pa.Table, folder: Path, number: int) -> None:
    """One part; the parts of a folder may be written in any order, by several processes."""
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows, preserve_index=False)
    write_tables([table], folder / part_name(number))


def write_tables(pieces: Iterable[pa.Table], path: Path) -> int:
    """Tables one after the other in a part, whole or not at all; returns the rows.

    Without a table there is no part.

    The schema is the first piece's; the others are cast to it (ValueError where a column does not fit).
    """
    counts = []
    with whole_file(path) as temporary, part_writer(temporary) as add:
        for piece in pieces:
            add(piece)
            counts.append(len(piece))
    if not counts:
        path.unlink()
    return sum(counts)


@contextmanager
def part_writer(path: Path) -> Iterator[Callable[[pa.Table], None]]:
    """A function that appends a table to the Parquet file `path`, in bounded row groups."""
    writer: pq.ParquetWriter | None = None

    def add(table: pa.Table) -> None:
        nonlocal writer
        table = without_metadata(table)
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema, compression="zstd", **encodings(table.schema))
        if len(table):
            writer.write_table(cast(table, writer.schema), row_group_size=group_size(table))

    try:
        yield add
    finally:
        if writer is not None:
            writer.close()


def encodings(schema: pa.Schema) -> dict[str, Any]:
    """Parquet's encoding of each column.

    A dictionary helps neither names that differ in every row nor what is measured, as times are.
    """
    measured = {
        field.name
        for field in schema
        if pa.types.is_floating(field.type) or pa.types.is_timestamp(field.type)
    }
    plain = {"id", "origin_line", "origin_content", *measured}
    lines = {"origin_line": "DELTA_BINARY_PACKED"} if "origin_line" in schema.names else {}
    return {
        "use_dictionary": [name for name in schema.names if name not in plain],
        "column_encoding": lines or None,
    }


def without_metadata(table: pa.Table) -> pa.Table:
    """A table without what its origin noted in its schema (pandas' index, Parquet's field numbers), so that equal rows are equal bytes."""
    return table.cast(pa.schema([pa.field(field.name, plain_type(field.type)) for field in table.schema]))


def plain_type(kind: pa.DataType) -> pa.DataType:
    """A type whose list items have one name: Parquet calls them `element`, pandas `item`."""
    return pa.list_(plain_type(kind.value_type)) if pa.types.is_list(kind) else kind


def cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table in the schema of those before it. Raises ValueError naming the column that does not fit."""
    if table.schema.equals(schema):
        return table
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError) as error:
        raise ValueError(
            f"rows differ in their columns: {error}; the first have {schema.to_string(truncate_metadata=True)}"
        ) from None


def group_size(table: pa.Table) -> int:
    """Rows of a row group, so that it has at most ROWS_A_GROUP rows and about BYTES_A_GROUP bytes."""
    return max(1, min(ROWS_A_GROUP, int(BYTES_A_GROUP * len(table) / max(1, table.nbytes))))


def rewrite(rows: Stored, folder: Path, change: Callable[[pa.Table], pa.Table]) -> int:
    """A stored folder's parts through `change`, a row group at a time, into a folder that exists.

    Returns the rows.

    PARTS_AT_ONCE threads call `change`. A part keeps its name, also where it loses all its rows. Raises
    DigestError where the rows were changed.
    """
    paths = part_paths(verify(rows.uri, rows.digest))
    with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
        return sum(pool.map(lambda path: write_tables(map(change, tables(path)), folder / path.name), paths))


def part_name(number: int) -> str:
    """The file name of a part; names sort as their numbers do."""
    return f"part-{number:05d}.parquet"


def record_of(path: Path) -> Stored:
    """The record of a file or folder as it is now."""
    return Stored(uri=str(path), digest=digest(path))


def read_file(table: Stored) -> pd.DataFrame:
    """A single stored Parquet file. Raises DigestError where it was changed."""
    frame: pd.DataFrame = pq.read_table(verify(table.uri, table.digest)).to_pandas()
    return frame
