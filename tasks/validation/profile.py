"""What a data set's columns hold, asked of DuckDB on its Parquet parts: memory is bounded whatever the number of rows.

Rows are dealt into two folds in turn, so that what is learned from one can be tried on the other.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

VALUES = 20_000
"""Distinct texts of a column that are looked at, the same ones every time."""
MEMORY = "1GB"
NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE", "DECIMAL")


@dataclass(frozen=True)
class Profile:
    """One column."""

    name: str
    kind: str
    """`text`, `integer`, `number`, `boolean` or `timestamp`."""
    rows: tuple[int, int]
    """Of each fold."""
    missing: tuple[int, int]
    """Rows of each fold without a value."""
    distinct: int
    """About, where there are many."""
    unique: bool
    """No value is there twice."""
    low: Any
    """Smallest value of numbers and timestamps, else the smallest length."""
    high: Any
    folds: tuple[dict[str, int], dict[str, int]]
    """Texts and their rows, by fold; empty for other kinds. At most VALUES of them."""

    @property
    def values(self) -> dict[str, int]:
        """Texts and their rows."""
        first, second = self.folds
        return {text: first.get(text, 0) + second.get(text, 0) for text in sorted(first | second)}

    @property
    def complete(self) -> bool:
        """Whether all texts were looked at."""
        return len(self.values) < VALUES


@contextmanager
def opened(rows: pd.DataFrame | pa.Table | Sequence[Path], threads: int = 2) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the view `rows`, whose column `fold` is 0 and 1 in turn."""
    with duckdb.connect(config={"threads": threads, "memory_limit": MEMORY, "preserve_insertion_order": True}) as connection:
        if isinstance(rows, (pd.DataFrame, pa.Table)):
            table = rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows, preserve_index=False)
            numbered = table.append_column("fold", pa.array([number % 2 for number in range(len(table))], pa.int8()))
            connection.register("rows", numbered)
        else:
            paths = ", ".join("'" + str(path).replace("'", "''") + "'" for path in rows)
            read = f"read_parquet([{paths}], file_row_number=true, union_by_name=true)"
            connection.execute(f"CREATE VIEW rows AS SELECT * EXCLUDE (file_row_number), (file_row_number % 2)::TINYINT AS fold FROM {read}")  # noqa: S608
        yield connection


def kinds(connection: duckdb.DuckDBPyConnection, ignore: Sequence[str]) -> dict[str, str]:
    """The columns that rules can be about and their kinds."""
    described = connection.execute("DESCRIBE rows").fetchall()
    named = {name: kind_of(str(found)) for name, found, *_ in described}
    return {name: kind for name, kind in named.items() if kind and name not in (*ignore, "fold")}


def kind_of(found: str) -> str:
    """A DuckDB type as the contract calls it; empty for one that has no single values."""
    if found == "VARCHAR":
        return "text"
    if found.startswith(NUMBERS) and "[" not in found:
        return "number" if found.startswith(("FLOAT", "DOUBLE", "DECIMAL")) else "integer"
    if found.startswith(("TIMESTAMP", "DATE")) and "[" not in found:
        return "timestamp"
    return "boolean" if found == "BOOLEAN" else ""


def profile(connection: duckdb.DuckDBPyConnection, name: str, kind: str) -> Profile:
    """One column's profile."""
    column = quoted(name)
    measured = f"length({column})" if kind == "text" else column
    found = connection.execute(
        "SELECT fold, count(*), count(*) - count(v), min(m), max(m) "  # noqa: S608
        f"FROM (SELECT fold, {column} AS v, {measured} AS m FROM rows) GROUP BY fold ORDER BY fold"
    ).fetchall()
    found = [*found, *[(1, 0, 0, None, None)] * (2 - len(found))]
    rows, missing = (found[0][1], found[1][1]), (found[0][2], found[1][2])
    present = sum(rows) - sum(missing)
    distinct: int = connection.execute(f"SELECT approx_count_distinct({column}) FROM rows").fetchall()[0][0]  # noqa: S608
    unique = 0.9 * present < distinct and not repeated(connection, column)
    folds = texts(connection, column) if kind in ("text", "boolean") else ({}, {})
    lows, highs = ([row[place] for row in found if row[place] is not None] for place in (3, 4))
    return Profile(name, kind, rows, missing, distinct, unique, min(lows, default=None), max(highs, default=None), folds)


def repeated(connection: duckdb.DuckDBPyConnection, column: str) -> bool:
    """Whether a value is there twice."""
    return bool(connection.execute(f"SELECT count({column}) > count(DISTINCT {column}) FROM rows").fetchall()[0][0])  # noqa: S608


def texts(connection: duckdb.DuckDBPyConnection, column: str) -> tuple[dict[str, int], dict[str, int]]:
    """Texts and their rows, by fold."""
    found = connection.execute(
        f"SELECT {column}::VARCHAR AS v, count(*) FILTER (fold = 0), count(*) FILTER (fold = 1) FROM rows "  # noqa: S608
        f"WHERE {column} IS NOT NULL GROUP BY v ORDER BY hash(v), v LIMIT {VALUES}"
    ).fetchall()
    return {text: rows for text, rows, _ in found if rows}, {text: rows for text, _, rows in found if rows}


def quoted(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'
