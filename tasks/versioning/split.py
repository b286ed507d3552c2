"""Which split a row belongs to: by hashes of what the source holds about it, or by time.

By content, a row's side follows from its `origin_content` alone (tasks/rows/content_hash.py): from the
source's values, not from what an intake made of them, nor from its key, its label, its place or its
neighbours. So

- another image size, another kind of column or preprocessing moves no row;
- an input more or less moves none either, because the columns that are a row's content are those of the first
version
  (`versioning.split.columns`): rows that are equal in more columns are equal in these;
- copies are on one side, whatever their keys;
- a row that comes back with a corrected label stays, and so does a late-labelled request: its content is what
was served.

A row whose content changes in the source is another row. Where a column that was content is gone, all rows
are split anew, which is a finding of ingestion.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from configs.versioning import SplitConfig
from tasks.rows import content_hash
from tasks.rows.parts import part_paths
from tasks.rows.sql import identifier, open_database

Places = npt.NDArray[np.intp]
NAMES = ("train", "validation", "test")


@dataclass
class Splitter:
    """Writes the split into rows, and counts them."""

    split: SplitConfig
    moments: tuple[Any, Any] | None = None
    """By time: the first moment of validation and of test."""
    counts: list[Places] = field(default_factory=list)
    """Rows a split [3] of each table so far; appended to, which threads may do side by side."""

    def __call__(self, table: pa.Table) -> pa.Table:
        """The rows with their column `split`."""
        places = self.by_time(table, self.moments) if self.moments else self.by_hash(table)
        self.counts.append(np.bincount(places, minlength=len(NAMES)))
        return table.append_column("split", pa.array(NAMES).take(pa.array(places)))

    def by_hash(self, table: pa.Table) -> Places:
        """Places in NAMES [rows], by the digest of the content, or of the group's name."""
        group = self.split.by == "group"
        digests = content_hash.digests([table[self.split.column]]) if group else table[content_hash.COLUMN]
        bounds = (self.split.train, self.split.train + self.split.validation)
        places: Places = np.searchsorted(bounds, digests.to_numpy() / 2.0**64, side="right")
        return places

    def by_time(self, table: pa.Table, moments: tuple[Any, Any]) -> Places:
        """Places in NAMES [rows]: the oldest train, the newest test; rows of one moment stay together."""
        column = table[self.split.column]
        first, second = (
            pc.greater_equal(column, pa.scalar(moment, column.type)).to_numpy() for moment in moments
        )
        places: Places = first.astype(np.intp) + second
        return places

    def checked(self) -> dict[str, int]:
        """Rows a split. Raises ValueError naming one that is empty although it has a share."""
        found = {name: sum(int(counts[place]) for counts in self.counts) for place, name in enumerate(NAMES)}
        shares = {
            "train": self.split.train,
            "validation": self.split.validation,
            "test": 1 - self.split.train - self.split.validation,
        }
        if empty := [name for name in NAMES if shares[name] > 0 and not found[name]]:
            rows, share = sum(found.values()), shares[empty[0]]
            raise ValueError(
                f"versioning.split: no row of {rows} falls into {empty[0]!r} (share {share:.3g}); bring more rows, or rows that differ"
            )
        return found


def splitter(folder: Path, split: SplitConfig) -> Splitter:
    """Of the rows in a folder of parts. Raises ValueError naming a column that is missing or empty."""
    if split.by != "time":
        return Splitter(split)
    import duckdb

    shares = [split.train, split.train + split.validation]
    column = identifier(split.column)
    asked = f"SELECT quantile_disc({column}, {shares}), count(*) - count({column}) FROM read_parquet(?)"
    try:
        with open_database() as connection:
            moments, missing = connection.execute(
                asked, [[str(path) for path in part_paths(folder)]]
            ).fetchall()[0]
    except duckdb.BinderException as error:
        raise ValueError(f"versioning.split.column: {error}") from None
    if missing:
        raise ValueError(
            f"versioning.split.column: {missing} rows have no {split.column!r}; a row without a time belongs to no split"
        )
    return Splitter(split, (moments[0], moments[1]))
