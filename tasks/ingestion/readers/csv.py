"""CSV files: a large file of this machine is cut into blocks that workers parse side by side, any other is streamed.

Values are text; the contract gives them types afterwards, but for columns that need no cleaning, which
Arrow's parser reads as what they are. Lines, columns and memory are bounded before anything is parsed.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from configs.source import CsvConfig, LimitsConfig, SourceConfig
from tasks.ingestion.lines import LINE
from tasks.ingestion.parsing.conversions import Conversions
from tasks.ingestion.readers import ChangedError, Partition
from tasks.ingestion.readers.csv_blocks import (
    CHUNK_BYTES,
    Block,
    cut_into_blocks,
    texts,
    whole_rows,
)
from tasks.ingestion.readers.csv_header import header
from tasks.ingestion.readers.csv_lines import sort_lines
from tasks.ingestion.readers.location import File, matching_files

Types = Mapping[str, pa.DataType]
PLAIN = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us"),
}
"""Contract types that the parser may read at once."""


class RaggedError(ValueError):
    """A line has more or fewer fields than there are columns."""


@dataclass(frozen=True)
class Form:
    """How a file is parsed."""

    file: File
    csv: CsvConfig
    limits: LimitsConfig
    names: tuple[str, ...]
    types: Types


def partitions(source: SourceConfig, block_bytes: int | None = None) -> list[Partition]:
    """The files' partitions, in the order of their names.

    A large file's have about `block_bytes`, by default BLOCK_BYTES.

    Raises ValueError naming a file that cannot be read, and why.
    """
    found = []
    for file in matching_files(source):
        names, start = header(file, source.csv, source.limits)
        form = Form(file, source.csv, source.limits, names, plain_types(source))
        blocks = cut_into_blocks(file, source.csv, source.limits, start, block_bytes) if names else []
        if blocks is None:
            found.append(
                Partition(file.name, [file.content(), names], partial(stream_rows, form), counting=True)
            )
        else:
            for block in blocks:
                read = partial(read_block, form, block)
                found.append(Partition(file.name, [block.digest, block.line, names], read, counting=True))
    return found or [Partition(file.name, [file.content(), names], partial(empty, names))]


def first_partitions(source: SourceConfig) -> Iterator[Partition]:
    """The files from their beginnings, for a look at a few rows: nothing behind them is read."""
    for file in matching_files(source):
        names, _ = header(file, source.csv, source.limits)
        form = Form(file, source.csv, source.limits, names, plain_types(source))
        yield Partition(file.name, None, partial(stream_rows, form), counting=True)


def empty(names: tuple[str, ...]) -> Iterator[pa.Table]:
    """A table without rows: a file that is only a header."""
    yield pa.table({name: pa.array([], pa.string()) for name in names} | {LINE: pa.array([], pa.int64())})


def plain_types(source: SourceConfig) -> dict[str, pa.DataType]:
    """The source's columns that need no cleaning, by the contract.

    A chunk that has other texts in one falls back to text.
    """
    plain = {name: column for name, column in source.columns.items() if column.type in PLAIN}
    return {
        column.source or name: PLAIN[column.type]
        for name, column in plain.items()
        if set(column.missing) <= {""}
        and not (column.prefix or column.suffix or column.replace or column.thousands or column.format)
        and column.decimal == "."
    }


def read_block(form: Form, block: Block, conversions: Conversions | None = None) -> Iterator[pa.Table]:
    """A block's rows; lines that are no rows are noted.

    Raises ChangedError where its bytes are no longer those that were looked at.
    """
    digest, line, rest = hashlib.sha256(), block.line, b""
    with form.file.open() as stream:
        stream.seek(block.start)
        for start in range(block.start, block.stop, CHUNK_BYTES):
            data = stream.read(min(CHUNK_BYTES, block.stop - start))
            digest.update(data)
            end = len(data) if start + CHUNK_BYTES >= block.stop else data.rfind(b"\n") + 1
            chunk, rest = rest + data[:end], data[end:]
            if chunk:
                yield rows_of(chunk, form, line, conversions)
                line += chunk.count(b"\n")
    if digest.hexdigest() != block.digest:
        raise ChangedError(f"{form.file.name}: changed while it was read; run the cycle again")


def rows_of(chunk: bytes, form: Form, line: int, conversions: Conversions | None) -> pa.Table:
    """Whole lines as a table with LINE; lines that are no rows are noted. Raises ValueError naming the line.

    Where nothing is noted, a line with more or fewer fields than there are columns is an error: it may not
    vanish unseen.
    """
    try:
        return with_lines(parse(chunk, form, line), chunk, line, form, conversions)
    except RaggedError:
        sorted_lines = sort_lines(chunk, form.csv, len(form.names), line) if conversions is not None else None
        if conversions is None or sorted_lines is None:
            raise
    whole = "".join(sorted_lines.whole).encode(form.csv.encoding)
    table = parse(whole, form, line) if whole else next(empty(form.names)).drop_columns([LINE])
    if len(table) != len(sorted_lines.numbers):  # Arrow takes other lines for rows than csv does
        raise ValueError(
            f"{form.file.name}: from line {line} on: lines have different numbers of fields; is source.csv.quote right?"
        )
    name, total = form.file.name, sorted_lines.lines
    conversions.add("blank_lines", name, sorted_lines.blank, total)
    conversions.add("ragged_lines", name, sorted_lines.ragged, total, sorted_lines.examples)
    conversions.add("trailing_delimiters", name, sorted_lines.trailing, total)
    for at, told, text in sorted_lines.left_out:
        conversions.leave_out("ragged_lines", name, at, told, text)
    numbers = np.array(sorted_lines.numbers, np.int64)
    note_headers(table, numbers, form, conversions)
    return table.append_column(LINE, pa.array(numbers, pa.int64()))


def parse(chunk: bytes, form: Form, line: int) -> pa.Table:
    """Whole lines as a table: plain numbers as numbers where all are, else as text.

    Raises ValueError naming the line.
    """
    reading = arrow_csv.ReadOptions(
        column_names=form.names,
        use_threads=False,
        block_size=max(len(chunk) + 1, 1024),
        encoding=form.csv.encoding,
    )
    for types in (form.types, {}) if form.types else ({},):
        try:
            return arrow_csv.read_csv(
                pa.BufferReader(chunk),
                read_options=reading,
                parse_options=dialect(form.csv),
                convert_options=conversion(form, types),
            )
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            if "columns, got" in str(error):
                raise RaggedError(explain_error(str(error), form.file, line)) from None
            if not types:
                raise ValueError(explain_error(str(error), form.file, line)) from None
    raise AssertionError("the last attempt returns or raises")


def stream_rows(form: Form, conversions: Conversions | None = None) -> Iterator[pa.Table]:
    """The rows of a file whose quoted values hold line breaks, that is packed, or lies elsewhere.

    Lines that are no rows are noted.
    """
    plain = replace(form, csv=form.csv.model_copy(update={"encoding": "utf-8"}))
    line, head = 1, form.csv.skip + form.csv.has_header
    try:
        for rows in whole_rows(texts(form.file, form.csv.encoding), form.file, form.csv, form.limits):
            chunk = rows
            while head and chunk:
                chunk = chunk[chunk.find(b"\n") + 1 or len(chunk) :]
                line, head = line + 1, head - 1
            if chunk:
                yield rows_of(chunk, plain, line, conversions)
                line += chunk.count(b"\n")
    except UnicodeDecodeError:
        raise ValueError(explain_error("UTF8", form.file, line)) from None


def dialect(form: CsvConfig) -> arrow_csv.ParseOptions:
    """Arrow's options of how values are separated."""
    return arrow_csv.ParseOptions(
        delimiter=form.delimiter, quote_char=form.quote or False, newlines_in_values=bool(form.quote)
    )


def conversion(form: Form, types: Types) -> arrow_csv.ConvertOptions:
    """Arrow's options of what values become: an empty value is none."""
    kinds = {name: types.get(name, pa.string()) for name in form.names}
    return arrow_csv.ConvertOptions(
        column_types=kinds, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=True
    )


def explain_error(error: str, file: File, line: int) -> str:
    """What Arrow says, with the line in the file and the key to set."""
    if "UTF8" in error:
        return f"{file.name}: from line {line} on: text that is not in the encoding; set source.csv.encoding"
    if found := re.search(r"Row #(\d+): (.*)", error, re.DOTALL):
        return f"{file.name}: line {line + int(found[1]) - 1}: {found[2][:300]}; mend the line, or set source.csv.delimiter or quote"
    return f"{file.name}: from line {line} on: {error[:300]}"


def with_lines(
    table: pa.Table, chunk: bytes, line: int, form: Form, conversions: Conversions | None
) -> pa.Table:
    """A table with LINE: every line a row, but for blank ones, which are noted, and for line breaks inside values."""
    lines = chunk.count(b"\n") + (not chunk.endswith(b"\n"))
    numbers: npt.NDArray[Any] = np.arange(line, line + lines)
    blank = 0
    if lines != len(table):
        full = numbers[[bool(text.strip(b"\r")) for text in chunk.split(b"\n")[:lines]]]
        heights = row_heights(table)
        blank = lines - (len(table) if len(full) == len(table) else int(heights.sum()))
        numbers = full if len(full) == len(table) else line + np.cumsum(heights) - heights
    if conversions is not None:
        conversions.add("blank_lines", form.file.name, blank, lines)
        for check in ("ragged_lines", "trailing_delimiters"):
            conversions.add(check, form.file.name, 0, lines)
        note_headers(table, numbers, form, conversions)
    return table.append_column(LINE, pa.array(numbers, pa.int64()))


def note_headers(table: pa.Table, lines: npt.NDArray[Any], form: Form, conversions: Conversions) -> None:
    """Notes rows that are the header line again, as where files were put one behind the other."""
    columns = [column for column in table.columns if pa.types.is_string(column.type)]
    names = [
        name
        for name, column in zip(table.column_names, table.columns, strict=True)
        if pa.types.is_string(column.type)
    ]
    if not form.csv.has_header or not columns:
        return
    again = pc.fill_null(pc.equal(columns[0], names[0]), False)
    if pc.any(again).as_py():
        for name, column in zip(names[1:], columns[1:], strict=True):
            again = pc.and_(again, pc.fill_null(pc.equal(column, name), False))
    places = np.flatnonzero(again.to_numpy())
    conversions.add(
        "header_rows",
        form.file.name,
        len(places),
        len(table),
        [f"line {lines[place]}" for place in places[:3]],
    )


def row_heights(table: pa.Table) -> npt.NDArray[np.int64]:
    """Lines that each row takes [rows], line breaks inside values counted."""
    heights = np.ones(len(table), np.int64)
    for column in table.columns:
        if pa.types.is_string(column.type):
            heights += pc.fill_null(pc.count_substring(column, "\n"), 0).to_numpy()
    return heights
