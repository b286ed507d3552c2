"""A row's content: what a decision about it depends on, and values for it as its column's type has them."""

import hashlib
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic_core import to_json

PLACES = ("origin", "origin_line", "origin_content", "reasons")
"""Columns that are not the row's own: one that moved to another line is the same row."""
KEPT = ("id", *PLACES, "split")
"""Columns that no fix may change."""
MOMENT = "2026-01-31T12:00"


def contents(rows: pa.Table) -> list[str]:
    """sha256 of each row's values, in whatever order its columns are.

    A column that it has no value in counts as none.
    """
    return [
        content(row)
        for row in rows.drop_columns([name for name in PLACES if name in rows.column_names]).to_pylist()
    ]


def content(row: dict[str, Any]) -> str:
    """sha256 of a row's values by column."""
    values = {name: value for name, value in sorted(row.items()) if value is not None}
    return hashlib.sha256(to_json(values, bytes_mode="base64", inf_nan_mode="strings")).hexdigest()


def value_of(schema: pa.Schema, column: str, text: str | None) -> pa.Scalar:
    """A text as a value of a column; None is a missing one.

    Raises ValueError naming column, value and what is wanted.
    """
    if column not in schema.names or column in KEPT:
        allowed = ", ".join(name for name in schema.names if name not in KEPT)
        raise ValueError(f"{column!r} is no column that can be set; there are {allowed}")
    kind = schema.field(column).type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise ValueError(
            f"{column}: values of type {kind} cannot be given as a text; mend the row in its source"
        )
    if text is None:
        return pa.scalar(None, kind)
    try:
        return pc.cast(pa.scalar(text), kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        example = f", such as {MOMENT}" if pa.types.is_temporal(kind) else ""
        raise ValueError(f"{column}: {text!r} is no {kind}, the column's type{example} ({error})") from None


def typed_values(values: dict[str, str | None], schema: pa.Schema) -> dict[str, pa.Scalar]:
    """Texts by column as the columns' values. Raises ValueError."""
    return {column: value_of(schema, column, text) for column, text in values.items()}
