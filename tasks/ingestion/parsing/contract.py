"""A table as a source gives it, in the columns and types that the project's contract promises.

Whatever breaks it is named.

All work is Arrow's, column by column, so that millions of rows take a second; nothing is guessed, and no
value is changed in silence.
"""

from collections.abc import Collection, Mapping
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from configs.source import ColumnConfig
from tasks.ingestion.parsing.values import (
    TYPES,
    WANTED,
    advice,
    from_text,
    from_typed,
    is_text,
    without_missing,
)
from tasks.rows.lookalike import lookalike

Extra = Literal["error", "ignore", "keep"]


def conform_table(table: pa.Table, columns: Mapping[str, ColumnConfig], extra: Extra, name: str) -> pa.Table:
    """The contract's columns in its order and types, then, with `keep`, the source's others.

    Without a contract all as they came.

    A column of records becomes one column a field, such as customer.country, unless the contract names the
    record itself. integer is int64, number float64, boolean bool, timestamp timestamp[us] in UTC without a
    zone, text string; `any` is left alone.
    name: how errors call the source. Raises ValueError naming column, row (from 1, in this table), value and
    fix.
    """
    table = flatten_records(table, {spec.source or column for column, spec in columns.items()})
    if not columns:
        return table
    others = check_columns(table.column_names, columns, extra, name)
    kept = {
        column: conform_column(table[spec.source or column], column, spec, name)
        for column, spec in columns.items()
    }
    return pa.table(kept | {column: table[column] for column in others if extra == "keep"})


def flatten_records(table: pa.Table, whole: Collection[str] = ()) -> pa.Table:
    """A column a field, named record.field, in place of each column of records, at any depth.

    Those in `whole` stay as they are.
    """
    while nested := [
        field.name for field in table.schema if pa.types.is_struct(field.type) and field.name not in whole
    ]:
        columns: list[tuple[str, pa.ChunkedArray]] = []
        for name, values in zip(table.column_names, table.columns, strict=True):
            if name not in nested:
                columns.append((name, values))
                continue
            fields = [field.name for field in values.type]
            columns += zip([f"{name}.{field}" for field in fields], values.flatten(), strict=True)
        table = pa.table([values for _, values in columns], names=[name for name, _ in columns])
    return table


def check_columns(
    found: list[str], columns: Mapping[str, ColumnConfig], extra: Extra, name: str
) -> list[str]:
    """The source's columns that the contract does not name.

    Raises ValueError for one that is absent, unknown or there twice.
    """
    wanted = {spec.source or column: column for column, spec in columns.items()}
    others = [column for column in found if column not in wanted]
    if twice := sorted({column for column in found if found.count(column) > 1}):
        raise ValueError(
            f"{name}: column {twice[0]!r} is there {found.count(twice[0])} times; rename one of them in the source"
        )
    if absent := [column for column in wanted if column not in found]:
        raise ValueError(
            f"{name}: {'; '.join(absence(column, wanted[column], others) for column in absent)}{having(found)}"
        )
    if others and extra == "error":
        listed = ", ".join(map(repr, others))
        raise ValueError(
            f"{name}: {listed} not in the contract; add to source.columns, or set source.extra to ignore or keep"
        )
    if clash := [column for column in others if extra == "keep" and column in columns]:
        raise ValueError(
            f"{name}: column {clash[0]!r} of the source is not the contract's, which has source: {columns[clash[0]].source}"
        )
    return others


def absence(source: str, column: str, others: list[str]) -> str:
    """What is said of a column that the source does not have, with the new one that it may have been renamed to."""
    if similar := lookalike(source, others):
        return f"no column {source!r}; {similar!r} is new and looks like it: set source.columns.{column}.source to {similar!r}"
    return f"no column {source!r}; take {column!r} out of source.columns, or set its `source`"


def having(found: list[str]) -> str:
    """The columns there are, for an error."""
    return f" (it has {', '.join(found[:40])}{', ...' if len(found) > 40 else ''})"


def conform_column(values: pa.ChunkedArray, column: str, spec: ColumnConfig, name: str) -> pa.ChunkedArray:
    """One column in the contract's type. Raises ValueError naming the first row that does not fit."""
    given, made = typed_column(values, column, spec, name)
    if made.null_count > given.null_count:
        raise ValueError(f"{name}: {unfit_message(values, given, made, column, spec)}")
    if spec.required and made.null_count:
        row = first(pc.is_null(made)) + 1
        raise ValueError(
            f"{name}: column {column!r}, row {row}: a value is missing ({made.null_count} of {len(made)}); "
            f"the contract says required; set source.columns.{column}.required to false if it may be"
        )
    return made


def typed_column(
    values: pa.ChunkedArray, column: str, spec: ColumnConfig, name: str
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """A column's values, null where one stands for none, and the same in the contract's type, null also where one does not fit.

    Raises ValueError for a column none of whose values could ever fit.
    """
    values = plain_values(values)
    if spec.type == "any":
        return values, values
    if pa.types.is_null(values.type):
        empty = pa.chunked_array([pa.nulls(len(values), TYPES[spec.type])])
        return empty, empty
    given = without_missing(values, spec)
    made = from_text(given, spec) if is_text(given.type) else from_typed(given, spec.type)
    if made is None:
        raise ValueError(
            f"{name}: column {column!r} is {values.type}, the contract says {spec.type}; {type_fix(values.type, column)}"
        )
    return given, made


def plain_values(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values themselves where a dictionary or another text layout holds them."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return (
        values.cast(pa.string())
        if pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type)
        else values
    )


def unfit_message(
    values: pa.ChunkedArray, given: pa.ChunkedArray, made: pa.ChunkedArray, column: str, spec: ColumnConfig
) -> str:
    """What is said of a column with values that do not fit: the first of them, how many, and the fix."""
    bad = pc.and_(pc.is_valid(given), pc.is_null(made))
    row = first(bad)
    value: Any = values[row].as_py()
    count = f"{pc.sum(bad).as_py()} of {len(made)} values"
    fix = advice(str(value), column, spec)
    return f"column {column!r}, row {row + 1}: {value!r:.120} is no {WANTED[spec.type]}{wanted_format(spec)} ({count}); {fix}"


def wanted_format(spec: ColumnConfig) -> str:
    """How a timestamp was to be written."""
    if spec.type != "timestamp":
        return ""
    return f" as {spec.format}" if spec.format else " in ISO 8601"


def type_fix(found: pa.DataType, column: str) -> str:
    """The fix where a column's type cannot become the contract's without loss."""
    named = {
        "int": "integer",
        "uint": "integer",
        "float": "number",
        "double": "number",
        "decimal": "number",
        "bool": "boolean",
    }
    named |= {"timestamp": "timestamp", "date": "timestamp"}
    kind = next((kind for prefix, kind in named.items() if str(found).startswith(prefix)), "any")
    return f"if the source is right, set source.columns.{column}.type to {kind}"


def first(mask: pa.ChunkedArray) -> int:
    """Position of the first true."""
    position: int = pc.index(mask, pa.scalar(True)).as_py()
    return position
