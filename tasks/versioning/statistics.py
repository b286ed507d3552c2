"""What is found in a version's rows, asked of DuckDB on its parts.

Out of core, and the same whatever the number of threads.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from tasks.rows.histogram import cell
from tasks.rows.sql import identifier, open_rows

SAMPLE_ROWS = 200_000
"""Quantiles, histograms and the most frequent values are those of about so many rows, chosen by a hash of
their ids."""
BINS = 20
TOP = 10
SHOWN_CHARACTERS = 60
MOST_CLASSES = 100
"""A label with more different values is a number, not a class."""
NAMES_OF_ROWS = ("id", "origin_line", "origin_content")
"""Columns whose values differ in every row."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
SHARES = tuple(number / BINS for number in range(1, BINS + 1))


def statistics(parts: Sequence[Path], label: str) -> dict[str, Any]:
    """`schema` (DuckDB's type of each column), `columns` (see `column`), `labels` (rows of each class by split) and `sampled`."""
    with open_rows(parts) as connection:
        schema = {str(name): str(kind) for name, kind, *_ in connection.execute("DESCRIBE rows").fetchall()}
        total = connection.execute("SELECT count(*) FROM rows").fetchall()[0][0]
        step = max(1, math.ceil(total / SAMPLE_ROWS))
        names = [name for name, kind in schema.items() if name not in NAMES_OF_ROWS and is_plain(kind)]
        chosen = ", ".join(map(identifier, names))
        connection.execute(
            f"CREATE TEMP TABLE sample AS SELECT {chosen} FROM rows WHERE hash(id) % {step} = 0"
        )
        columns = {name: column_statistics(connection, name, schema[name]) for name in names}
        return {
            "schema": schema,
            "columns": columns,
            "labels": balance(connection, label, schema),
            "sampled": 1 / step,
        }


def column_statistics(connection: duckdb.DuckDBPyConnection, name: str, kind: str) -> dict[str, Any]:
    """count, missing, distinct (about), min, max.

    Of numbers mean, std, quantiles and histogram too, of others the top values.
    """
    asked = identifier(name)
    number = f"{asked}::DOUBLE" if numeric(kind) else f"epoch({asked}::TIMESTAMP)" if temporal(kind) else None
    counted = f"count({asked}), count(*) - count({asked}), approx_count_distinct({asked}), min({asked})::VARCHAR, max({asked})::VARCHAR"
    moments = f", avg({number}), stddev_pop({number})" if number and numeric(kind) else ", NULL, NULL"
    count, missing, distinct, least, most, mean, spread = connection.execute(
        f"SELECT {counted}{moments} FROM rows"
    ).fetchall()[0]
    found = {
        "type": kind,
        "count": count,
        "missing": missing,
        "distinct": min(distinct, count),
        "min": shorten(least),
        "max": shorten(most),
    }
    if number is None:
        return found | {"top": top(connection, asked)}
    if numeric(kind):
        found |= {
            "min": round_stably(least),
            "max": round_stably(most),
            "mean": round_stably(mean),
            "std": round_stably(spread),
        }
    return found | number_statistics(connection, number)


def number_statistics(connection: duckdb.DuckDBPyConnection, number: str) -> dict[str, Any]:
    """Of the sample: quantiles, a histogram (BINS even bins), and cells (tasks/rows/histogram.py).

    Nothing where no value is finite.
    """
    finite = f"SELECT {number} AS value FROM sample WHERE isfinite({number})"
    found, low, high = connection.execute(
        f"SELECT quantile_disc(value, {[*SHARES]}), min(value), max(value) FROM ({finite})"
    ).fetchall()[0]
    if low is None:
        return {}
    quantiles = dict(zip(SHARES, map(round_stably, found), strict=True))
    width = (high - low) / BINS or 1.0
    bins = count_cells(connection, f"least({BINS - 1}, floor((value - {low!r}) / {width!r}))::INT", finite)
    edges = [edge for edge in (round_stably(low), *dict.fromkeys(quantiles.values())) if edge is not None]
    cells = count_cells(connection, cell("value", edges), finite)
    return {
        "quantiles": {str(share): quantiles[share] for share in QUANTILES},
        "histogram": {
            "low": round_stably(low),
            "high": round_stably(high),
            "rows": [bins.get(place, 0) for place in range(BINS)],
        },
        "cells": {"edges": edges, "rows": [cells.get(place, 0) for place in range(len(edges) + 1)]},
    }


def count_cells(connection: duckdb.DuckDBPyConnection, place: str, values: str) -> dict[int, int]:
    """Rows of each place that an expression puts values in."""
    return dict(connection.execute(f"SELECT {place}, count(*) FROM ({values}) GROUP BY 1").fetchall())


def top(connection: duckdb.DuckDBPyConnection, asked: str) -> list[list[Any]]:
    """The most frequent values and their rows in the sample; of texts that never repeat there are none."""
    counted = f"SELECT {asked}::VARCHAR, count(*) FROM sample WHERE {asked} IS NOT NULL GROUP BY 1 HAVING count(*) > 1"
    return [
        [shorten(value), rows]
        for value, rows in connection.execute(f"{counted} ORDER BY 2 DESC, 1 LIMIT {TOP}").fetchall()
    ]


def balance(
    connection: duckdb.DuckDBPyConnection, label: str, schema: dict[str, str]
) -> dict[str, dict[str, int]]:
    """Rows of each class by split; nothing for a label that is a number."""
    if label not in schema or schema[label].startswith(("DOUBLE", "FLOAT", "DECIMAL")):
        return {}
    asked = f"SELECT split, {identifier(label)}::VARCHAR, count(*) FROM rows GROUP BY ALL ORDER BY ALL LIMIT {3 * MOST_CLASSES + 1}"
    counted = connection.execute(asked).fetchall()
    if len({value for _, value, _ in counted}) > MOST_CLASSES:
        return {}
    found: dict[str, dict[str, int]] = {}
    for split, value, rows in counted:
        found.setdefault(split, {})[shorten(value) or ""] = rows
    return found


def leaks(parts: Sequence[Path], columns: Sequence[str]) -> int:
    """Rows of validation and test whose input is also a training row's.

    Texts are compared without case and in single blanks.
    """
    with open_rows(parts) as connection:
        kinds = {str(name): str(kind) for name, kind, *_ in connection.execute("DESCRIBE rows").fetchall()}
        values = [
            f"trim(regexp_replace(lower({identifier(name)}), '\\s+', ' ', 'g'))"
            if kinds[name] == "VARCHAR"
            else identifier(name)
            for name in columns
        ]
        connection.execute(
            f"CREATE TEMP TABLE inputs AS SELECT split = 'train' AS trains, hash({', '.join(values)}) AS input FROM rows"
        )
        asked = "SELECT count(*) FROM inputs WHERE NOT trains AND input IN (SELECT input FROM inputs WHERE trains)"
        return int(connection.execute(asked).fetchall()[0][0])


def numeric(kind: str) -> bool:
    """Whether a type of DuckDB's is a number."""
    return kind.startswith(("DOUBLE", "FLOAT", "DECIMAL")) or kind.endswith(("INT", "INTEGER"))


def temporal(kind: str) -> bool:
    """Whether it is a date or a moment."""
    return kind.startswith(("TIMESTAMP", "DATE"))


def is_plain(kind: str) -> bool:
    """Whether it is a single value; pixels are none."""
    return not kind.endswith("]") and not kind.startswith(("STRUCT", "MAP", "UNION", "BLOB"))


def round_stably(value: Any) -> float | None:
    """Six digits: what is left is the same whatever the order in which rows were added up.

    None for what is not finite.
    """
    number = None if value is None else float(value)
    return float(f"{number:.6g}") if number is not None and math.isfinite(number) else None


def shorten(value: str | None) -> str | None:
    """A value of a bounded length."""
    return value if value is None or len(value) <= SHOWN_CHARACTERS else value[: SHOWN_CHARACTERS - 1] + "…"
