"""Which split a row belongs to: by hashes of what it holds, or by time. It depends on the row alone, not on its place or its neighbours."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from configs.data import Split
from tasks.dataset import part_paths

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
    counts: Counter[str] = field(default_factory=Counter)

    def __call__(self, table: pa.Table) -> pa.Table:
        """The rows with their column `split`."""
        names = self.by_time(table) if self.moments else self.by_hash(table)
        self.counts.update(names)
        return table.append_column("split", pa.array(names, pa.string()))

    def by_hash(self, table: pa.Table) -> list[str]:
        """By sha256 of the content, or of the group's name."""
        columns = self.columns if self.split.by == "content" else (str(self.split.column),)
        bounds = (self.split.train, self.split.train + self.split.validation)
        fractions = map(fraction, map(BETWEEN.join, zip(*(content(table[name]) for name in columns), strict=True)))
        return [NAMES[sum(each >= bound for bound in bounds)] for each in fractions]

    def by_time(self, table: pa.Table) -> list[str]:
        """The oldest train, the newest test; rows of one moment stay together."""
        assert self.moments  # noqa: S101 - see __call__
        later = [pc.greater_equal(table[self.split.column], pa.scalar(moment, table[self.split.column].type)) for moment in self.moments]
        return [NAMES[bool(first) + bool(second)] for first, second in zip(*(each.to_pylist() for each in later), strict=True)]

    def checked(self) -> dict[str, int]:
        """Rows a split. Raises ValueError naming one that is empty although it has a share."""
        found = {name: self.counts[name] for name in NAMES}
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


def content(column: pa.ChunkedArray) -> list[bytes]:
    """A column's values as bytes; texts in small letters with single blanks, so that a copy that differs in these is a copy."""
    values = column.combine_chunks()
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        raw, size = memoryview(values.flatten().to_numpy(zero_copy_only=False).tobytes()), values.type.value_type.bit_width // 8
        ends = pc.list_value_length(values).fill_null(0).to_numpy().cumsum() * size
        return [bytes(raw[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    texts = pc.cast(values, pa.string())
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        texts = pc.utf8_trim_whitespace(pc.replace_substring_regex(pc.utf8_lower(texts), r"\s+", " "))
    return [text.encode() for text in texts.fill_null("").to_pylist()]


def fraction(key: bytes) -> float:
    """An even number in [0, 1) for some bytes."""
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") / 2**64
