"""Which split a row belongs to: by hashes of what it holds, or by time. It depends on the row alone, not on its place or its neighbours."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from configs.data import Split
from tasks.dataset import part_paths

Places = npt.NDArray[np.intp]
NAMES = ("train", "validation", "test")
BETWEEN = b"\x1f"
"""Between the values of a row, so that `ab, c` is not `a, bc`."""


@dataclass
class Splitter:
    """Writes the split into rows, and counts them."""

    split: Split
    columns: tuple[str, ...]
    """The intake's: rows that are equal in them fall on one side, where rows are split by content."""
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
        """Places in NAMES [rows], by sha256 of the content, or of the group's name."""
        columns = self.columns if self.split.by == "content" else (str(self.split.column),)
        bounds = (self.split.train, self.split.train + self.split.validation)
        keys = pc.binary_join_element_wise(*(content(table[name]) for name in columns), pa.scalar(BETWEEN, pa.large_binary()))
        places: Places = np.searchsorted(bounds, fractions(keys), side="right")
        return places

    def by_time(self, table: pa.Table, moments: tuple[Any, Any]) -> Places:
        """Places in NAMES [rows]: the oldest train, the newest test; rows of one moment stay together."""
        column = table[self.split.column]
        first, second = (pc.greater_equal(column, pa.scalar(moment, column.type)).to_numpy() for moment in moments)
        places: Places = first.astype(np.intp) + second
        return places

    def checked(self) -> dict[str, int]:
        """Rows a split. Raises ValueError naming one that is empty although it has a share."""
        found = {name: sum(int(counts[place]) for counts in self.counts) for place, name in enumerate(NAMES)}
        shares = {"train": self.split.train, "validation": self.split.validation, "test": 1 - self.split.train - self.split.validation}
        if empty := [name for name in NAMES if shares[name] > 0 and not found[name]]:
            rows, share = sum(found.values()), shares[empty[0]]
            raise ValueError(f"versioning.split: no row of {rows} falls into {empty[0]!r} (share {share:.3g}); bring more rows")
        return found


def splitter(folder: Path, split: Split, columns: tuple[str, ...]) -> Splitter:
    """Of the rows in a folder of parts. Raises ValueError naming a column that is missing or empty."""
    if split.by != "time":
        return Splitter(split, columns)
    import duckdb

    shares = [split.train, split.train + split.validation]
    asked = f'SELECT quantile_disc("{split.column}", {shares}), count(*) - count("{split.column}") FROM read_parquet(?)'  # noqa: S608
    try:
        with duckdb.connect() as connection:
            moments, missing = connection.execute(asked, [[str(path) for path in part_paths(folder)]]).fetchall()[0]
    except duckdb.BinderException as error:
        raise ValueError(f"versioning.split.column: {error}") from None
    if missing:
        raise ValueError(f"versioning.split.column: {missing} rows have no {split.column!r}; a row without a time belongs to no split")
    return Splitter(split, columns, (moments[0], moments[1]))


def content(column: pa.ChunkedArray) -> pa.LargeBinaryArray:
    """A column's values as bytes; texts in small letters with single blanks, so that a copy that differs in these is a copy."""
    values = column.combine_chunks()
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        items = values.flatten().to_numpy(zero_copy_only=False)
        ends = np.cumsum([0, *pc.list_value_length(values).fill_null(0).to_numpy()], dtype=np.int64) * items.itemsize
        return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(values), [None, pa.py_buffer(ends), pa.py_buffer(items.tobytes())])
    distinct = values.dictionary_encode()  # to write each value once is a third of the work
    texts = pc.cast(distinct.dictionary, pa.string())
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        texts = pc.utf8_trim_whitespace(pc.replace_substring_regex(pc.utf8_lower(texts), r"\s+", " "))
    return texts.take(distinct.indices).fill_null("").cast(pa.large_binary())


def fractions(keys: pa.LargeBinaryArray) -> npt.NDArray[np.float64]:
    """An even number in [0, 1) for the bytes of each row."""
    digests = b"".join([hashlib.sha256(key).digest()[:8] for key in keys.to_pylist()])
    return np.frombuffer(digests, ">u8") / 2.0**64
