"""What changed from one version to another, asked of DuckDB: rows by id, columns, labels."""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from tasks.rows.parts import schema_of
from tasks.rows.sql import open_database

COLUMNS_ADDED = ("origin_content", "split")
"""Columns that are no part of a row's content."""
MOST_CHANGES = 20


@dataclass(frozen=True)
class Difference:
    """From a version to another."""

    added: int
    removed: int
    changed: int
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    labels: tuple[tuple[str, str, int], ...]
    """Label before, label now, rows: the most frequent changes."""
    statistics: tuple[dict[str, object], ...]
    """Of each column, before and now: missing share, distinct values, mean."""

    @property
    def summary(self) -> str:
        """In a few words."""
        return f"{self.added} rows added, {self.removed} removed, {self.changed} changed"


def difference(before: Path, now: Path, label: str) -> Difference:
    """Between two folders of parts.

    Rows are the same by `id`, and changed where any column that both have differs.
    """
    old, new = (set(schema_of(folder).names) for folder in (before, now))
    both = sorted((old & new) - {*COLUMNS_ADDED, "id"})
    with open_database() as connection:
        for name, folder in (("before", before), ("now", now)):
            files = f"{folder}/part-*.parquet".replace("'", "''")
            connection.execute(
                f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{files}', union_by_name = true)"
            )
        content = "hash(ROW({}))".format(", ".join(f'"{name}"' for name in both))
        for name in ("before", "now"):
            connection.execute(
                f"CREATE TEMP TABLE {name}_rows AS SELECT id, {content} AS content FROM {name}"
            )
        added, removed, changed = connection.execute(
            """SELECT count(*) FILTER (b.id IS NULL), count(*) FILTER (n.id IS NULL), count(*) FILTER (b.content <> n.content)
            FROM before_rows b FULL JOIN now_rows n USING (id)"""
        ).fetchall()[0]
        labels = []
        if label in both:
            column = f'"{label}"::VARCHAR'
            labels = connection.execute(
                f"""SELECT b.{column}, n.{column}, count(*) FROM before b JOIN now n USING (id)
                WHERE b.{column} IS DISTINCT FROM n.{column} GROUP BY ALL ORDER BY 3 DESC, 1, 2 LIMIT {MOST_CHANGES}"""
            ).fetchall()
        plain = [
            field.name
            for field in schema_of(now)
            if field.name in both and not str(field.type).startswith(("list", "large_list"))
        ]
        statistics = [column_change(connection, name) for name in plain]
    changes = tuple((str(was), str(now_is), int(rows)) for was, now_is, rows in labels)
    return Difference(
        added,
        removed,
        changed,
        tuple(sorted(new - old)),
        tuple(sorted(old - new)),
        changes,
        tuple(statistics),
    )


def column_change(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, object]:
    """A column before and now."""
    found: dict[str, object] = {"column": name}
    for view in ("before", "now"):
        asked = f"""SELECT 1 - count("{name}") / greatest(count(*), 1), approx_count_distinct("{name}"), avg(TRY_CAST("{name}" AS DOUBLE))
            FROM {view}"""
        missing, distinct, mean = connection.execute(asked).fetchall()[0]
        found |= {f"missing {view}": f"{missing:.2%}", f"distinct {view}": distinct}
        found |= {f"mean {view}": None if mean is None else round(mean, 4)}
    return found
