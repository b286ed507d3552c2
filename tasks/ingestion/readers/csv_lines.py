"""Lines of a CSV file one by one, where they do not all have a field for every column.

Slower than Arrow, and only then needed.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from configs.source import CsvConfig

SHOWN = 3
SHOWN_CHARACTERS = 60


@dataclass
class SortedLines:
    """What some lines hold."""

    whole: list[str] = field(default_factory=list)
    """Text of the rows that have a field for every column, without delimiters behind the last."""
    numbers: list[int] = field(default_factory=list)
    """The line that each of them begins in."""
    lines: int = 0
    blank: int = 0
    trailing: int = 0
    """Rows that ended with delimiters behind the last column, which are cut: nothing stands behind them."""
    ragged: int = 0
    """Lines of rows with fewer fields than columns, or with values behind the last: nobody can tell which
    value belongs where."""
    examples: list[str] = field(default_factory=list)
    left_out: list[tuple[int, str, str]] = field(default_factory=list)
    """Each ragged row: the line that it begins in, how many fields it has, its text."""


def reader(lines: Iterable[str], form: CsvConfig) -> Any:
    """The values of lines; a quoted value may hold line breaks."""
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if form.quote else csv.QUOTE_NONE
    csv.field_size_limit(2**31 - 1)
    return csv.reader(lines, delimiter=form.delimiter, quotechar=form.quote or None, quoting=quoting)


def fields(line: str, form: CsvConfig) -> list[str]:
    """The values of one line."""
    return next(reader([line], form), [])


def named_columns(header: list[str], below: list[str], form: CsvConfig) -> list[str]:
    """A header line without the empty names at its end, where the lines below hold nothing there.

    They end with a delimiter.
    """
    size = len(header)
    while size and not header[size - 1].strip():
        size -= 1
    if size == len(header):
        return header
    values = [value for line in below for value in fields(line, form)[size:]]
    return header if any(value.strip() for value in values) else header[:size]


def sort_lines(chunk: bytes, form: CsvConfig, columns: int, first: int) -> SortedLines | None:
    """Whole lines, the first of which has the number `first`, by what they are.

    None where they cannot be told apart.
    """
    found = SortedLines()
    try:
        for start, lines, values in rows(chunk.decode(form.encoding), form):
            found.lines += len(lines)
            behind = [value for value in values[columns:] if value.strip()]
            if not any(line.strip() for line in lines):
                found.blank += len(lines)
            elif len(values) < columns or behind:
                found.ragged += len(lines)
                told = f"{len(values)} fields for {columns} columns"
                found.left_out.append((first + start, told, "".join(lines).rstrip("\r\n")))
                if len(found.examples) < SHOWN:
                    text = lines[0].rstrip("\r\n")[:SHOWN_CHARACTERS]
                    found.examples.append(f"line {first + start} with {told}: {text}")
            else:
                found.trailing += len(values) > columns
                found.whole.append(without_fields("".join(lines), len(values) - columns, form))
                found.numbers.append(first + start)
    except (csv.Error, UnicodeDecodeError):
        return None
    return found


def rows(text: str, form: CsvConfig) -> Iterator[tuple[int, list[str], list[str]]]:
    """Rows: how many lines are above, the row's own lines, its values."""
    lines = [f"{line}\n" for line in text.split("\n")]
    if text.endswith("\n"):
        lines.pop()
    read = reader(lines, form)
    start = 0
    for values in read:
        yield start, lines[start : read.line_num], values
        start = read.line_num


def without_fields(row: str, count: int, form: CsvConfig) -> str:
    """A row's text without its last fields, in which nothing stands."""
    for _ in range(count):
        row = row[: row.rindex(form.delimiter)]
    return row if not count else f"{row}\n"
