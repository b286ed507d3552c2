"""How far a column's values lie from what a version's facts say of it.

Asked of DuckDB, in one query a column.
"""

import math
from typing import Any

import duckdb
import numpy as np

from tasks.rows.histogram import cell
from tasks.rows.sql import identifier

SHOWN_CHARACTERS = 60
"""Texts in a version's facts are cut to so many characters (tasks/versioning/statistics.py)."""


def distance(
    connection: duckdb.DuckDBPyConnection, column: str, facts: dict[str, Any], sampled: float
) -> float | None:
    """Jensen-Shannon distance of a column of the view `rows` from a version's.

    None where the facts do not say enough.

    0 to 0.83, the square root of nats; missing values count too, and what so many rows differ by chance alone
    is taken off: two samples of n and m rows in k cells have a divergence of (k - 1) / 8 * (1/n + 1/m) in the
    mean, from the chi-square statistic's.
    sampled: share of the version's rows that its facts are about
    """
    counted = (
        number_shares(connection, column, facts)
        if "cells" in facts
        else text_shares(connection, column, facts, sampled)
    )
    if counted is None:
        return None
    before, now = counted
    if not before.sum() or not now.sum():
        return None
    chance = (np.count_nonzero(before + now) - 1) / 8 * (1 / before.sum() + 1 / now.sum())
    return math.sqrt(max(0.0, divergence(before / before.sum(), now / now.sum()) - chance))


def divergence(one: np.ndarray, other: np.ndarray) -> float:
    """Jensen-Shannon divergence of two distributions over the same cells, in nats."""
    middle = (one + other) / 2
    parts = [shares[shares > 0] * np.log(shares[shares > 0] / middle[shares > 0]) for shares in (one, other)]
    return float(sum(part.sum() for part in parts) / 2)


def number_shares(
    connection: duckdb.DuckDBPyConnection, column: str, facts: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows in the cells between the version's quantiles, and missing: [edges + 2] of the version, and now.

    Cells of equal shares tell where most values are, however far away a few others lie.
    """
    edges, rows = facts["cells"]["edges"], facts["cells"]["rows"]
    place = f"CASE WHEN isfinite(v) THEN {cell('v', edges)} ELSE {len(rows)} END"
    moments = facts["type"].startswith(("TIMESTAMP", "DATE"))
    value = f"epoch({identifier(column)}::TIMESTAMP)" if moments else f"{identifier(column)}::DOUBLE"
    asked = f"SELECT {place} AS cell, count(*) FROM (SELECT {value} AS v FROM rows) GROUP BY 1"
    found = dict(connection.execute(asked).fetchall())
    missing = sum(rows) * facts["missing"] / max(1, facts["count"])
    return np.array([*rows, missing], float), np.array(
        [found.get(number, 0) for number in range(len(rows) + 1)], float
    )


def text_shares(
    connection: duckdb.DuckDBPyConnection, column: str, facts: dict[str, Any], sampled: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows with each of the version's frequent values, with others, and missing: of the version, and now."""
    if not facts.get("top"):
        return None
    names, counts = [value for value, _ in facts["top"]], [rows for _, rows in facts["top"]]
    asked = identifier(column)
    cut = f"CASE WHEN length(v) > {SHOWN_CHARACTERS} THEN left(v, {SHOWN_CHARACTERS - 1}) || '…' ELSE v END"
    query = f"SELECT {cut} AS value, count(*) FROM (SELECT {asked}::VARCHAR AS v FROM rows) WHERE value IS NULL OR value IN (SELECT unnest($1)) GROUP BY 1"  # noqa: E501
    found = dict(connection.execute(query, [names]).fetchall())
    total: int = connection.execute("SELECT count(*) FROM rows").fetchall()[0][0]
    present = [found.get(name, 0) for name in names]
    others = max(0.0, facts["count"] * sampled - sum(counts))
    before = np.array([*counts, others, facts["missing"] * sampled], float)
    return before, np.array([*present, total - sum(found.values()), found.get(None, 0)], float)
