"""What a data set's columns hold, asked of DuckDB on its Parquet parts.

Memory is bounded whatever the number of rows.

Rows have a place, so that the same ones are looked at however many parts they are in.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.rows.sql import identifier, open_database

VALUES = 20_000
"""Distinct texts of a column that are looked at, the same ones every time."""
ADDED = ("gyre_place",)
NUMBERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
)


@dataclass(frozen=True)
class Profile:
    """One column."""

    name: str
    kind: str
    """`text`, `integer`, `number`, `boolean` or `timestamp`."""
    rows: int
    missing: int
    """Rows without a value."""
    distinct: int
    """About, where there are many."""
    unique: bool
    """No value is there twice."""
    low: Any
    """Smallest value of numbers and timestamps, else the smallest length."""
    high: Any
    values: dict[str, int]
    """Texts and their rows; empty for other kinds. At most VALUES of them."""

    @property
    def complete(self) -> bool:
        """Whether all texts were looked at."""
        return len(self.values) < VALUES


@contextmanager
def open_placed_rows(
    rows: pd.DataFrame | pa.Table | Sequence[Path], threads: int = 2
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the view `rows`, whose column `gyre_place` counts the rows."""
    with open_database(threads) as connection:
        if isinstance(rows, (pd.DataFrame, pa.Table)):
            table = rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows, preserve_index=False)
            connection.register("rows", table.append_column("gyre_place", pa.array(np.arange(len(table)))))
        else:
            connection.execute(
                view([str(path) for path in rows], [pq.read_metadata(path).num_rows for path in rows])
            )
        yield connection


def view(paths: list[str], rows: list[int]) -> str:
    """SQL of the view on Parquet files in their order."""
    before = [sum(rows[:number]) for number in range(len(rows))]
    listed = ", ".join(map(literal, paths))
    offsets = ", ".join(f"({literal(path)}, {offset})" for path, offset in zip(paths, before, strict=True))
    place = "(before + file_row_number)"
    return (
        f"CREATE VIEW rows AS SELECT parts.* EXCLUDE (filename, file_row_number), "
        f"{place} AS gyre_place "
        f"FROM read_parquet([{listed}], file_row_number=true, filename=true, union_by_name=true) AS parts "
        f"JOIN (VALUES {offsets}) AS offsets(name, before) ON parts.filename = offsets.name"
    )


def literal(value: str) -> str:
    """A text in SQL."""
    return "'" + value.replace("'", "''") + "'"


def kinds(connection: duckdb.DuckDBPyConnection, ignore: Sequence[str]) -> dict[str, str]:
    """The columns that rules can be about and their kinds."""
    described = connection.execute("DESCRIBE rows").fetchall()
    named = {name: kind_of(str(found)) for name, found, *_ in described}
    return {name: kind for name, kind in named.items() if kind and name not in (*ignore, *ADDED)}


def kind_of(found: str) -> str:
    """A DuckDB type as the contract calls it; empty for one that has no single values."""
    if found in ("VARCHAR", '"NULL"'):
        return "text"
    if found.startswith(NUMBERS) and "[" not in found:
        return "number" if found.startswith(("FLOAT", "DOUBLE", "DECIMAL")) else "integer"
    if found.startswith(("TIMESTAMP", "DATE")) and "[" not in found:
        return "timestamp"
    return "boolean" if found == "BOOLEAN" else ""


def profile(connection: duckdb.DuckDBPyConnection, name: str, kind: str) -> Profile:
    """One column's profile."""
    column = identifier(name)
    measured = f"length({column})" if kind == "text" else column
    rows, missing, low, high = connection.execute(
        f"SELECT count(*), count(*) - count({column}), min({measured}), max({measured}) FROM rows"
    ).fetchall()[0]
    distinct: int = connection.execute(f"SELECT approx_count_distinct({column}) FROM rows").fetchall()[0][0]
    unique = 0.9 * (rows - missing) < distinct and not has_repeats(connection, column)
    values = texts(connection, column) if kind == "text" else {}
    return Profile(name, kind, rows, missing, distinct, unique, low, high, dict(sorted(values.items())))


def has_repeats(connection: duckdb.DuckDBPyConnection, column: str) -> bool:
    """Whether a value is there twice."""
    return bool(
        connection.execute(f"SELECT count({column}) > count(DISTINCT {column}) FROM rows").fetchall()[0][0]
    )


def texts(connection: duckdb.DuckDBPyConnection, column: str) -> dict[str, int]:
    """Texts and their rows."""
    found = connection.execute(
        f"SELECT {column} AS v, count(*) FROM rows "
        f"WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY hash({column}), 1 LIMIT {VALUES}"
    ).fetchall()
    return dict(found)
