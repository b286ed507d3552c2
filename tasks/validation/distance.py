"""How far a column's values lie from what a version's facts say of it: asked of DuckDB, in one query a column."""

import math
from typing import Any

import duckdb
import numpy as np

from tasks.validation.engine import quoted

SHOWN_CHARACTERS = 60
"""Texts in a version's facts are cut to so many characters (tasks/versioning/statistics.py)."""
FINE = 0.05
"""Edges of a histogram are kept with six digits; where that is a larger share of a bin than this, it says nothing."""


def distance(connection: duckdb.DuckDBPyConnection, column: str, facts: dict[str, Any], sampled: float) -> float | None:
    """Jensen-Shannon distance of a column of the view `rows` from a version's; None where the facts do not say enough.

    0 to 0.83, the square root of nats; missing values count too, and what so many rows differ by chance alone is taken off: two samples
    of n and m rows in k cells have a divergence of (k - 1) / 8 * (1/n + 1/m) in the mean, from the chi-square statistic's.
    sampled: share of the version's rows that its facts are about
    """
    counted = numbers(connection, column, facts) if "histogram" in facts else texts(connection, column, facts, sampled)
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


def numbers(connection: duckdb.DuckDBPyConnection, column: str, facts: dict[str, Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows in the bins of the version's histogram, below it, above it and missing: [bins + 3] of the version, and now."""
    low, high, bins = facts["histogram"]["low"], facts["histogram"]["high"], len(facts["histogram"]["rows"])
    width, blur = (high - low) / bins or 1.0, 1e-5 * max(abs(low), abs(high))
    if blur > FINE * width and high > low:
        return None
    value = f"{quoted(column)}::DOUBLE"
    bin_ = f"least({bins - 1}, greatest(0, floor((v - {low!r}) / {width!r})))::INT"
    cell = f"CASE WHEN v IS NULL OR NOT isfinite(v) THEN {bins + 2} WHEN v < {low - blur!r} THEN {bins} WHEN v > {high + blur!r} THEN {bins + 1} ELSE {bin_} END"  # noqa: E501
    found = dict(connection.execute(f"SELECT {cell} AS cell, count(*) FROM (SELECT {value} AS v FROM rows) GROUP BY 1").fetchall())  # noqa: S608
    binned = np.array(facts["histogram"]["rows"], float)
    missing = binned.sum() * facts["missing"] / max(1, facts["count"])
    return np.array([*binned, 0.0, 0.0, missing]), np.array([found.get(number, 0) for number in range(bins + 3)], float)


def texts(
    connection: duckdb.DuckDBPyConnection, column: str, facts: dict[str, Any], sampled: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows with each of the version's frequent values, with others, and missing: of the version, and now."""
    if not facts.get("top"):
        return None
    names, counts = [value for value, _ in facts["top"]], [rows for _, rows in facts["top"]]
    asked = quoted(column)
    cut = f"CASE WHEN length(v) > {SHOWN_CHARACTERS} THEN left(v, {SHOWN_CHARACTERS - 1}) || '…' ELSE v END"
    query = f"SELECT {cut} AS value, count(*) FROM (SELECT {asked}::VARCHAR AS v FROM rows) WHERE value IS NULL OR value IN (SELECT unnest($1)) GROUP BY 1"  # noqa: E501, S608
    found = dict(connection.execute(query, [names]).fetchall())
    total: int = connection.execute("SELECT count(*) FROM rows").fetchall()[0][0]
    present = [found.get(name, 0) for name in names]
    others = max(0.0, facts["count"] * sampled - sum(counts))
    before = np.array([*counts, others, facts["missing"] * sampled], float)
    return before, np.array([*present, total - sum(found.values()), found.get(None, 0)], float)
