"""What a data set's columns hold, asked of DuckDB on its Parquet parts: memory is bounded whatever the number of rows.

Rows are dealt into four folds, by whether their place is even and whether it is in the first half, so that what is learned from some
rows can be tried on others: on every second row, and on rows that came later, which in sorted data are of other kinds.
"""

from collections import Counter
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

VALUES = 20_000
"""Distinct texts of a column that are looked at, the same ones every time."""
EVEN, EARLY = (0, 2), (0, 1)
"""Folds of every second row, and of the first half."""
ADDED = ("gyre_fold", "gyre_place")
MEMORY = "1GB"
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
    folds: tuple[dict[str, int], ...]
    """The same, by fold."""

    @property
    def complete(self) -> bool:
        """Whether all texts were looked at."""
        return len(self.values) < VALUES

    def trials(self, places: tuple[int, ...]) -> list[tuple[dict[str, int], dict[str, int]]]:
        """What some folds hold beside what the others do, and the other way round."""
        some, others = self.together(places), self.together(tuple({0, 1, 2, 3} - {*places}))
        return [(some, others), (others, some)]

    def together(self, places: tuple[int, ...]) -> dict[str, int]:
        """Texts and their rows in several folds."""
        added = Counter[str]()
        for place in places:
            added.update(self.folds[place])
        return dict(sorted(added.items()))


@contextmanager
def opened(rows: pd.DataFrame | pa.Table | Sequence[Path], threads: int = 2) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the view `rows`, whose columns `gyre_fold` is 0 to 3 and `gyre_place` counts the rows."""
    with duckdb.connect(config={"threads": threads, "memory_limit": MEMORY}) as connection:
        if isinstance(rows, (pd.DataFrame, pa.Table)):
            table = rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows, preserve_index=False)
            place = np.arange(len(table))
            folds = place % 2 + 2 * (2 * place >= len(table))
            connection.register(
                "rows", table.append_column("gyre_fold", pa.array(folds.astype(np.int8))).append_column("gyre_place", pa.array(place))
            )
        else:
            connection.execute(view([str(path) for path in rows], [pq.read_metadata(path).num_rows for path in rows]))
        yield connection


def view(paths: list[str], rows: list[int]) -> str:
    """SQL of the view on Parquet files in their order."""
    before = [sum(rows[:number]) for number in range(len(rows))]
    listed = ", ".join(map(literal, paths))
    offsets = ", ".join(f"({literal(path)}, {offset})" for path, offset in zip(paths, before, strict=True))
    place = "(before + file_row_number)"
    return (
        f"CREATE VIEW rows AS SELECT parts.* EXCLUDE (filename, file_row_number), "  # noqa: S608
        f"({place} % 2 + CASE WHEN 2 * {place} >= {sum(rows)} THEN 2 ELSE 0 END)::TINYINT AS gyre_fold, {place} AS gyre_place "
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
    column = quoted(name)
    measured = f"length({column})" if kind == "text" else column
    rows, missing, low, high = connection.execute(
        f"SELECT count(*), count(*) - count({column}), min({measured}), max({measured}) FROM rows"  # noqa: S608
    ).fetchall()[0]
    distinct: int = connection.execute(f"SELECT approx_count_distinct({column}) FROM rows").fetchall()[0][0]  # noqa: S608
    unique = 0.9 * (rows - missing) < distinct and not repeated(connection, column)
    folds = texts(connection, column) if kind == "text" else ({}, {}, {}, {})
    values = Counter[str]()
    for fold in folds:
        values.update(fold)
    return Profile(name, kind, rows, missing, distinct, unique, low, high, dict(sorted(values.items())), folds)


def repeated(connection: duckdb.DuckDBPyConnection, column: str) -> bool:
    """Whether a value is there twice."""
    return bool(connection.execute(f"SELECT count({column}) > count(DISTINCT {column}) FROM rows").fetchall()[0][0])  # noqa: S608


def texts(connection: duckdb.DuckDBPyConnection, column: str) -> tuple[dict[str, int], ...]:
    """Texts and their rows, by fold."""
    counts = ", ".join(f"count(*) FILTER (gyre_fold = {fold})" for fold in range(4))
    found = connection.execute(
        f"SELECT {column} AS v, {counts} FROM rows "  # noqa: S608
        f"WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY hash({column}), 1 LIMIT {VALUES}"
    ).fetchall()
    return tuple({row[0]: row[fold + 1] for row in found if row[fold + 1]} for fold in range(4))


def quoted(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'
