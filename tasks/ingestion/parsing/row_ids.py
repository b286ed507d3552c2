"""The `id` of a row.

Its key's value, several values together, a digest of all of them, or its place in the source.
"""

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

from tasks.ingestion.lines import LINE

EVERY = "*"
Key = str | tuple[str, ...]


def row_ids(table: pa.Table, key: Key, origin: str, source: str) -> pa.Array:
    """Text ids [rows]. Raises ValueError where a key column is absent, or has no value in some row.

    origin: the file, table or reader that all rows came from
    """
    if key == LINE:
        return pc.binary_join_element_wise(
            pa.scalar(origin), table[LINE].combine_chunks().cast(pa.string()), ":"
        )
    if key == EVERY:
        joined = join_escaped([table[name] for name in table.column_names if name != LINE])
        return pa.array(
            [hashlib.sha256(text.encode()).hexdigest() for text in joined.to_pylist()], pa.string()
        )
    names = (key,) if isinstance(key, str) else key
    for name in names:
        check_key(table, name, source)
    columns = [as_text(table[name]) for name in names]
    return columns[0] if len(columns) == 1 else join_escaped(columns)


def check_key(table: pa.Table, name: str, source: str) -> None:
    """Raises ValueError where a key column is absent or has gaps."""
    if name not in table.column_names:
        there = ", ".join(column for column in table.column_names if column != LINE)
        raise ValueError(
            f"{source}: no column {name!r} (source.key); it has {there}; set source.key to the column that names a row"
        )
    if missing := table[name].null_count:
        line = table[LINE][pc.index(pc.is_null(table[name]), value=True).as_py()].as_py()
        raise ValueError(
            f"{source}: {missing} rows have no {name!r} (the first in line {line}); a key must name every row"
        )


def as_text(column: pa.ChunkedArray) -> pa.Array:
    """Values as text; lists as Python writes them."""
    column = column.combine_chunks()
    try:
        made = column.cast(pa.string())
    except pa.ArrowNotImplementedError:
        made = pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
    return made.combine_chunks() if isinstance(made, pa.ChunkedArray) else made


def join_escaped(columns: list[pa.ChunkedArray]) -> pa.Array:
    r"""Columns joined by `|`, a `|` inside a value as `\|`, a missing value as `\N`: different rows never give the same text."""
    texts = [as_text(column) if isinstance(column, pa.ChunkedArray) else column for column in columns]
    clean = [pc.replace_substring(pc.replace_substring(text, "\\", "\\\\"), "|", "\\|") for text in texts]
    return pc.binary_join_element_wise(*(pc.fill_null(text, "\\N") for text in clean), "|")
