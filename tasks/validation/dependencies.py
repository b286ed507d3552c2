"""Columns that determine others, such as a zip code its city: found on one half of the rows, tried on the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb

from tasks.validation.profile import EARLY, EVEN, Profile, quoted

ROWS = 200_000
"""About so many rows are looked at, spread evenly."""
COLUMNS = 40
"""Of the columns with repeated values, so many with the most different values are looked at; the work grows with their square."""
COVERED = 0.3
"""Share of the rows that a column must say something about."""
SURPRISE = 0.02
"""Share of the rows that must not have the most frequent value; a column that hardly changes is determined by anything."""
KNOWN = 1000
"""Pairs that a rule names at most."""
DETERMINANTS = 2
"""Rules a determined column; where the determinant is wrong itself, the other speaks."""


@dataclass(frozen=True)
class Dependency:
    """`column` determines `other`."""

    column: str
    other: str
    wrong: int
    """Rows that contradict what others say."""
    covered: int
    """Rows that could."""
    values: int
    """Of `column`."""


def dependencies(connection: duckdb.DuckDBPyConnection, profiles: Sequence[Profile], allowed: float) -> list[Dependency]:
    """The best determinants of each column, those with the fewest contradictions first.

    allowed: contradictions that chance may bring, beside one
    """
    columns = candidates(profiles)
    if len(columns) < 2:
        return []
    listed = ", ".join(f"{quoted(profile.name)}::VARCHAR AS c{number}" for number, profile in enumerate(columns))
    step = (max(profile.rows for profile in columns) // ROWS) | 1  # odd, or every second fold would be empty
    connection.execute(f"CREATE OR REPLACE TEMP TABLE sampled AS SELECT gyre_fold, {listed} FROM rows WHERE gyre_place % {step} = 0")  # noqa: S608
    rows: int = connection.execute("SELECT count(*) FROM sampled").fetchall()[0][0]
    surprising = {number for number in range(len(columns)) if surprise(connection, number) >= SURPRISE}
    found = [pair for pair in pairs(connection, columns, surprising) if pair.wrong <= allowed and pair.covered >= COVERED * rows]
    best: list[Dependency] = []
    for profile in columns:
        of_column = sorted((pair for pair in found if pair.other == profile.name), key=lambda p: (p.wrong, -p.covered, p.values, p.column))
        best += of_column[:DETERMINANTS]
    return best


def candidates(profiles: Sequence[Profile]) -> list[Profile]:
    """Columns with repeated values, numbers with a fraction aside."""
    repeating = [
        profile for profile in profiles if profile.kind in ("text", "integer", "boolean") and 2 <= profile.distinct <= 0.6 * profile.rows
    ]
    kept = sorted(repeating, key=lambda profile: -profile.distinct)[:COLUMNS]
    return [profile for profile in repeating if profile in kept]


def surprise(connection: duckdb.DuckDBPyConnection, number: int) -> float:
    """Share of the rows that do not have a column's most frequent value."""
    found = connection.execute(
        f"SELECT 1 - max(n) / sum(n) FROM (SELECT count(*) AS n FROM sampled WHERE c{number} IS NOT NULL GROUP BY c{number})"  # noqa: S608
    ).fetchall()[0][0]
    return float(found or 0)


def pairs(connection: duckdb.DuckDBPyConnection, columns: Sequence[Profile], surprising: set[int]) -> Iterator[Dependency]:
    """Every pair that could be, with its contradictions."""
    for first, column in enumerate(columns):
        for second in sorted(surprising - {first}):
            other = columns[second]
            if column.distinct >= 0.9 * other.distinct:
                wrong, covered = contradictions(connection, first, second, EVEN)
                later, _ = contradictions(connection, first, second, EARLY)
                yield Dependency(column.name, other.name, max(wrong, later), covered, column.distinct)


def contradictions(connection: duckdb.DuckDBPyConnection, first: int, second: int, folds: tuple[int, ...]) -> tuple[int, int]:
    """Rows that contradict what most of the other half's rows say, of both halves, and the rows they say something about."""
    wrong, covered = connection.execute(
        f"WITH counted AS (SELECT gyre_fold IN {folds} AS half, c{first} AS a, c{second} AS b, count(*) AS n FROM sampled "  # noqa: S608
        f"WHERE c{first} IS NOT NULL AND c{second} IS NOT NULL GROUP BY ALL), "
        "told AS (SELECT half, a, arg_max(b, (n, b)) AS b FROM counted GROUP BY half, a) "
        "SELECT coalesce(sum(n) FILTER (counted.b <> told.b), 0), coalesce(sum(n), 0) "
        "FROM counted JOIN told ON counted.a = told.a AND counted.half <> told.half"
    ).fetchall()[0]
    return int(wrong), int(covered)


def known(connection: duckdb.DuckDBPyConnection, column: str, other: str) -> dict[str, str]:
    """What `other` is for each value of `column`, where nearly all rows agree; nothing where that is too much to write down."""
    found = connection.execute(
        "SELECT a, arg_max(b, (n, b)), max(n) / sum(n), sum(n) FROM "  # noqa: S608
        f"(SELECT {quoted(column)}::VARCHAR AS a, {quoted(other)}::VARCHAR AS b, count(*) AS n FROM rows "
        f"WHERE {quoted(column)} IS NOT NULL AND {quoted(other)} IS NOT NULL GROUP BY ALL) GROUP BY a ORDER BY a LIMIT {KNOWN + 1}"
    ).fetchall()
    return {a: b for a, b, share, _ in found if share > 0.8} if len(found) <= KNOWN else {}
