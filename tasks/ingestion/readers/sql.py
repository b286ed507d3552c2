"""Rows of a database by SQLAlchemy, through a server-side cursor.

A table may be cut into ranges that are read side by side.

What was read is known by its content; with a `watermark`, by its range alone: each run adds one range above
the last, which never changes.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from configs.source import SourceConfig, SqlConfig
from infra.files import read_json, write_json
from tasks.ingestion.lines import count_lines
from tasks.ingestion.parsing.conversions import Conversions
from tasks.ingestion.partitions.watermarks import from_json_value, ledger_path, no_watermark, to_json_value
from tasks.ingestion.readers import ChangedError, Partition
from tasks.ingestion.readers.location import (
    expand_variables,
    expanded_value,
    hide_values,
    location_of,
    name_of,
)

ROWS_A_FETCH = 10_000
Range = tuple[Any, Any, bool]
"""Above or from (the third: whether from is included), up to and including; None: no end."""
ALL: Range = (None, None, True)


def partitions(source: SourceConfig, kept: Path, conversions: Conversions) -> list[Partition]:
    """A partition a range; rows without a watermark are noted.

    Raises ValueError naming the source without its password where the database does not answer or has no such
    rows.
    """
    sql, origin = form(source), table_name(source)
    if source.watermark:
        path = ledger_path(source, kept)
        return [
            Partition(origin, [path.name, *map(str, each)], partial(read, source, each, None))
            for each in watermark_ranges(path, source, conversions)
        ]
    with connection(source) as connected:
        ranges = list_ranges(connected, source, sql)
        digests = [digest(fetch_rows(connected, source, each)) for each in ranges]
    return [
        Partition(origin, [content, each], partial(read, source, each, content))
        for each, content in zip(ranges, digests, strict=True)
    ]


def form(source: SourceConfig) -> SqlConfig:
    """What is read."""
    assert source.sql is not None  # noqa: S101 - the schema says so
    return source.sql


def table_name(source: SourceConfig) -> str:
    """The `origin` of rows: the table, or that it was a query."""
    return form(source).table or "query"


@contextmanager
def connection(source: SourceConfig) -> Iterator[sa.Connection]:
    """An open connection; what goes wrong is a ValueError that names the source and holds no password."""
    template = location_of(source)
    try:
        engine = sa.create_engine(
            expand_variables(template), poolclass=sa.NullPool, connect_args=expanded_value(source.options)
        )
        with engine.connect() as connected:
            yield connected.execution_options(stream_results=True, yield_per=ROWS_A_FETCH)
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        reason = hide_values(str(getattr(error, "orig", None) or error), template).strip().splitlines()
        raise ValueError(
            f"{name_of(source)}: {' '.join(reason)[:300]}; look at source.path and source.sql"
        ) from None


def selectable(source: SourceConfig) -> Any:
    """The table or query that rows come from."""
    sql = form(source)
    if sql.query:
        return sa.text(
            f"({sql.query.rstrip().rstrip(';')}) AS gyre_query"
        )  # the project's own query, not a stranger's
    schema, _, table = str(sql.table).rpartition(".")
    return sa.table(table, schema=schema or None)


def limits_of(connected: sa.Connection, source: SourceConfig, column: str) -> tuple[Any, Any]:
    """The least and the greatest value of a column; None for no rows."""
    named: sa.ColumnClause[Any] = sa.column(column)
    low, high = connected.execute(
        sa.select(sa.func.min(named), sa.func.max(named)).select_from(selectable(source))
    ).one()
    return low, high


def list_ranges(connected: sa.Connection, source: SourceConfig, sql: SqlConfig) -> list[Range]:
    """The ranges of `partition_on`, all of one width; the first holds the rows without a value."""
    if not sql.partition_on or source.partitions == 1:
        return [ALL]
    low, high = limits_of(connected, source, sql.partition_on)
    if low is None or low == high:
        return [ALL]
    try:
        step = (high - low) / source.partitions
        cuts = sorted(
            {
                low + type(low)(step * number) if isinstance(low, int) else low + step * number
                for number in range(1, source.partitions)
            }
        )
    except TypeError:
        raise ValueError(
            f"{name_of(source)}: {sql.partition_on} holds {low!r}; partition_on wants a number or time column"
        ) from None
    edges = [None, *cuts, None]
    return [(edges[number], edges[number + 1], False) for number in range(len(edges) - 1)]


def watermark_ranges(path: Path, source: SourceConfig, conversions: Conversions) -> list[Range]:
    """The ranges of the watermark that runs have seen, with one more where rows came since.

    The list `path` only grows.

    Rows without a value are noted. Raises ValueError where none has one.
    """
    with connection(source) as connected:
        _, newest = limits_of(connected, source, str(source.watermark))
        unmarked = sa.column(str(source.watermark)).is_(None)
        without = count_rows(connected, source, unmarked)
        if without:  # all rows are counted only where that is needed: a large table takes long
            conversions.add("unmarked_rows", str(source.watermark), without, count_rows(connected, source))
    if without and newest is None:
        raise ValueError(no_watermark(source))
    seen = read_json(path) if path.exists() else []
    watermarks = [from_json_value(watermark) for watermark in seen]
    if newest is not None and (not watermarks or newest > watermarks[-1]):
        watermarks.append(newest)
        write_json(path, [*seen, to_json_value(newest)])
    return [(low, high, False) for low, high in zip([None, *watermarks], watermarks, strict=False)]


def count_rows(connected: sa.Connection, source: SourceConfig, *where: sa.ColumnElement[bool]) -> int:
    """Rows of a table or query that fulfil the conditions."""
    return int(
        connected.execute(
            sa.select(sa.func.count()).select_from(selectable(source)).where(*where)
        ).scalar_one()
    )


def fetch_rows(
    connected: sa.Connection, source: SourceConfig, span: Range
) -> Iterator[tuple[list[str], list[tuple[Any, ...]]]]:
    """Column names and rows, ROWS_A_FETCH at a time, ordered by the key, so that equal rows come in equal order."""
    low, high, included = span
    query: sa.Select[Any] = sa.select(sa.literal_column("*")).select_from(selectable(source))
    column: sa.ColumnClause[Any] = sa.column(source.watermark or form(source).partition_on or "")
    if low is not None:
        query = query.where(column >= low if included else column > low)
    if high is not None:
        query = query.where(
            column <= high
            if low is not None or source.watermark
            else sa.or_(column <= high, column.is_(None))
        )
    keys = [source.key] if isinstance(source.key, str) else source.key
    order: list[sa.ColumnClause[Any]] = [
        sa.column(key if (spec := source.columns.get(key)) is None else spec.source or key)
        for key in keys
        if key != "*"
    ]
    result = connected.execute(query.order_by(*order) if order else query)
    names = list(result.keys())
    empty = True
    for rows in result.partitions(ROWS_A_FETCH):
        empty = False
        yield names, [tuple(row) for row in rows]
    if empty:
        yield names, []


def first_rows(source: SourceConfig, count: int) -> Iterator[pa.Table]:
    """A few rows, whichever the database gives first."""
    with connection(source) as connected:
        query: sa.Select[Any] = sa.select(sa.literal_column("*")).select_from(selectable(source)).limit(count)
        result = connected.execute(query)
        names, rows = list(result.keys()), [tuple(row) for row in result]
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    yield from count_lines(
        iter([pa.table({name: array(values) for name, values in zip(names, columns, strict=True)})])
    )


def digest(batches: Iterable[tuple[list[str], list[tuple[Any, ...]]]]) -> str:
    """sha256 of rows."""
    found = hashlib.sha256()
    for names, rows in batches:
        found.update(repr((names, rows)).encode())
    return found.hexdigest()


def read(source: SourceConfig, span: Range, content: str | None) -> Iterator[pa.Table]:
    """A range's rows. Raises ChangedError where they are no longer those that were looked at."""
    return count_lines(tables(source, span, content))


def tables(source: SourceConfig, span: Range, content: str | None) -> Iterator[pa.Table]:
    """A range's rows, fetch for fetch."""
    found = hashlib.sha256()
    with connection(source) as connected:
        for names, rows in fetch_rows(connected, source, span):
            if content:
                found.update(repr((names, rows)).encode())
            if len(names) > source.limits.columns:
                raise ValueError(
                    f"{name_of(source)}: has {len(names):,} columns; at most {source.limits.columns:,} are read"
                )
            columns = zip(*rows, strict=True) if rows else [()] * len(names)
            yield pa.table({name: array(values) for name, values in zip(names, columns, strict=True)})
    if content and found.hexdigest() != content:
        raise ChangedError(f"{name_of(source)}: changed while it was read; run the cycle again")


def array(values: Iterable[Any]) -> pa.Array:
    """A column's values; decimals are numbers, and what Arrow has no type for is text."""
    from decimal import Decimal

    listed = [float(value) if isinstance(value, Decimal) else value for value in values]
    try:
        made = pa.array(listed)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        made = pa.array([None if value is None else str(value) for value in listed], pa.string())
    return made.cast(pa.string()) if pa.types.is_null(made.type) else made
