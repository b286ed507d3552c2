"""Rows of the platform: Parquet parts with one layout, whichever stage wrote them.

Every part has the source's key as `id` (text), the intake's columns, its descriptors, the source's other columns, the label (empty
until labeling where the source has annotators alone), and `origin` (`source` or `feedback`); from versioning on `split` (`train`,
`validation`, `test`).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from infra.files import digest, verified, whole_file
from tasks.records import Stored

SplitName = Literal["train", "validation", "test"]
ROWS_A_PART = 50_000
"""Bounds what one reader holds in memory."""


def read(rows: Stored, columns: list[str] | None = None, split: SplitName | None = None) -> pd.DataFrame:
    """The rows of a stored folder in their order, or of one split of it. Raises DigestError where the folder was changed."""
    folder = verified(rows.uri, rows.digest)
    filters = [("split", "=", split)] if split else None
    parts = [pq.read_table(path, columns=columns, filters=filters) for path in part_paths(folder)]
    frame: pd.DataFrame = pa.concat_tables(parts, promote_options="permissive").to_pandas()
    return frame.reset_index(drop=True)


def part_paths(folder: Path) -> list[Path]:
    """The Parquet parts of a folder, in order."""
    return sorted(folder.glob("part-*.parquet"))


def write(frames: Iterable[pd.DataFrame | pa.Table], folder: Path) -> None:
    """Frames as part-00000.parquet, part-00001.parquet, ... in a folder that exists; equal frames give equal bytes."""
    for number, frame in enumerate(frames):
        write_part(frame, folder, number)


def write_part(rows: pd.DataFrame | pa.Table, folder: Path, number: int) -> None:
    """One part; the parts of a folder may be written in any order, by several processes."""
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows, preserve_index=False)
    with whole_file(folder / part_name(number)) as temporary:
        pq.write_table(table.replace_schema_metadata(None), temporary, row_group_size=ROWS_A_PART, compression="zstd")


def part_name(number: int) -> str:
    """The file name of a part; names sort as their numbers do."""
    return f"part-{number:05d}.parquet"


def stored(path: Path) -> Stored:
    """The record of a file or folder as it is now."""
    return Stored(uri=str(path), digest=digest(path))


def read_file(table: Stored) -> pd.DataFrame:
    """A single stored Parquet file. Raises DigestError where it was changed."""
    frame: pd.DataFrame = pq.read_table(verified(table.uri, table.digest)).to_pandas()
    return frame
