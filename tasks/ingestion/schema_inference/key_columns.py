"""A key for rows that nobody has named.

Columns that really are unique, whole rows where hardly any repeat, else their place.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from tasks.ingestion.lines import LINE
from tasks.ingestion.parsing.row_ids import EVERY, Key
from tasks.rows.sql import identifier, open_database

NAMED = re.compile(r"(^|_)(id|key|uuid|index|number|instant)$|ID$|Id$")
TOGETHER = 8
"""Columns with most different values, among which sets of two and three are tried."""
LIKELY_REPEATS = 10.0
"""Repeats that independent columns would be expected to have: where there are none, the columns together are
made to name a row."""
TOLERATED = 0.01
"""Share of repeated rows above which whole rows are no key: the default of checks.repeated_keys."""


@dataclass(frozen=True)
class KeyChoice:
    """A key and what is said of it."""

    key: Key
    remark: str


def choose_key(table: pa.Table, places: bool) -> KeyChoice:
    """The columns that most likely name a row of a table.

    places: whether rows of this source can be named by their file and line
    """
    if single := unique_columns(table):
        return KeyChoice(single, "")
    rows = len(table)
    if together := unique_set(table):
        return KeyChoice(
            together,
            f"no single column names a row; {' and '.join(together)} together do, in all {rows:,} rows",
        )
    with open_database() as connection:
        connection.register("looked", table)
        repeats = rows - distinct(connection, table.column_names)
    place = (
        f"; key: {LINE} keeps every row, by its file and line, as long as files are only appended to"
        if places
        else ""
    )
    told = f"no column names a row, and {repeats:,} of {rows:,} rows ({repeats / rows:.2%}) are the same as another"
    if not repeats:
        return KeyChoice(EVERY, f"no column names a row, so whole rows do; none of {rows:,} repeats{place}")
    if repeats <= TOLERATED * rows or not places:
        return KeyChoice(EVERY, f'{told}: key: "*" leaves them out{place}')
    kept = 'whole rows as key ("*") would leave them out'
    return KeyChoice(
        LINE,
        f"{told}: {kept}, so rows are named by file and line, which lasts as long as files are only appended to",
    )


def unique_columns(table: pa.Table) -> str | None:
    """The column that most likely names a row.

    Of those without gaps and repeats one with the name of a key, else the first column.
    """
    unique = [
        name
        for name in table.column_names
        if can_be_key(table[name]) and pc.count_distinct(table[name]).as_py() == len(table)
    ]
    named = [name for name in unique if NAMED.search(name)]
    return next(iter([*named, *(name for name in unique if name == table.column_names[0])]), None)


def can_be_key(values: pa.ChunkedArray) -> bool:
    """Whether values are codes or names, not measures or prose, and none is missing."""
    text = pa.types.is_string(values.type)
    if values.null_count or not (text or pa.types.is_integer(values.type)):
        return False
    return not (text and pc.any(pc.match_substring(values, " ")).as_py())


def unique_set(table: pa.Table) -> tuple[str, ...] | None:
    """Two or three columns that together name a row, where that cannot be chance.

    Independent columns would have repeats.
    """
    codes = [name for name in table.column_names if can_be_part(table[name])]
    many = sorted(codes, key=lambda name: -pc.count_distinct(table[name]).as_py())[:TOGETHER]
    alike = {name: chance_alike(table[name]) for name in many}
    pairs = len(table) * (len(table) - 1) / 2
    with open_database() as connection:
        connection.register("looked", table)
        for size in (2, 3):
            for names in combinations([name for name in codes if name in many], size):
                expected = pairs
                for name in names:
                    expected *= alike[name]
                if expected >= LIKELY_REPEATS and distinct(connection, names) == len(table):
                    return names
    return None


def can_be_part(values: pa.ChunkedArray) -> bool:
    """Whether values may be a part of a key: codes, names, days; fractions are measured."""
    kind = values.type
    if values.null_count or not (
        pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_temporal(kind)
    ):
        return False
    return not (
        pa.types.is_string(kind)
        and pc.any(pc.match_substring_regex(values, r"^[+-]?\d*[.,]\d+([eE][+-]?\d+)?$")).as_py()
    )


def chance_alike(values: pa.ChunkedArray) -> float:
    """How likely two rows have the same value."""
    counts = pc.value_counts(values.combine_chunks()).field("counts").to_numpy().astype(float)
    return float(((counts / counts.sum()) ** 2).sum())


def distinct(connection: duckdb.DuckDBPyConnection, names: Iterable[str]) -> int:
    """Different rows of some columns of the table `looked`."""
    columns = ", ".join(identifier(name) for name in names)
    found: Any = connection.execute(
        f"SELECT count(*) FROM (SELECT DISTINCT {columns} FROM looked)"
    ).fetchone()
    return int(found[0])
