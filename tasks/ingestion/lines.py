"""Where a row stands in what it was read from.

A column that every reader adds, and that rows keep up to the data set.
"""

from collections.abc import Iterator

import pyarrow as pa

LINE = "origin_line"
"""The line of a text file, else the row's number in the partition's file or table, from 1."""


def number_lines(table: pa.Table, first: int) -> pa.Table:
    """A table with LINE, counted on from `first`."""
    return table.append_column(LINE, pa.array(range(first, first + len(table)), pa.int64()))


def count_lines(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Tables with LINE, counted from 1."""
    first = 1
    for table in tables:
        yield number_lines(table, first)
        first += len(table)
