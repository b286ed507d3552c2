"""Files of one JSON object a line."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow as pa
from pyarrow import json as arrow_json

from configs.source import LimitsConfig, SourceConfig
from tasks.ingestion.lines import LINE, number_lines
from tasks.ingestion.parsing.contract import flatten_records
from tasks.ingestion.parsing.conversions import Conversions
from tasks.ingestion.readers import Partition
from tasks.ingestion.readers.csv_blocks import whole_lines
from tasks.ingestion.readers.location import File, matching_files


def partitions(source: SourceConfig) -> list[Partition]:
    """A partition a file."""
    return [
        Partition(file.name, file.content(), partial(read, file, source.limits), counting=True)
        for file in matching_files(source)
    ]


def read(file: File, limits: LimitsConfig, conversions: Conversions | None = None) -> Iterator[pa.Table]:
    """A file's rows, block for block, with LINE; a line is a row, and the first block's types hold for all.

    Raises ValueError naming the file and about the line, but where `conversions` keeps rows: then a line that
    is no JSON object is left out, and a column that has numbers and texts is text in that block.
    """
    schema: pa.Schema | None = None
    line = 1
    with file.open(file.compression()) as stream:
        for lines, breaks in whole_lines(stream, file, limits, line):
            try:
                table = number_lines(parse(lines, schema), line)
            except pa.ArrowInvalid as error:
                if conversions is None or not conversions.keeps_rows:
                    raise ValueError(
                        f"{file.name}: from line {line} on: {str(error)[:300]}; want a JSON object a line, alike in all"
                    ) from None
                table = parse_one_by_one(lines, line, file, conversions)
            if (columns := flatten_records(table).num_columns - 1) > limits.columns:
                raise ValueError(
                    f"{file.name}: has {columns:,} columns; at most {limits.columns:,} are read (source.limits.columns)"
                )
            schema = schema or table.drop_columns([LINE]).schema
            line += breaks
            if len(table):
                yield table


def parse(lines: bytes, schema: pa.Schema | None) -> pa.Table:
    """Whole lines as a table. Raises ArrowInvalid."""
    parsing = arrow_json.ParseOptions(
        explicit_schema=schema, unexpected_field_behavior="error" if schema else "infer"
    )
    reading = arrow_json.ReadOptions(block_size=len(lines) + 1, use_threads=False)
    return arrow_json.read_json(pa.BufferReader(lines), read_options=reading, parse_options=parsing)


def parse_one_by_one(lines: bytes, first: int, file: File, conversions: Conversions) -> pa.Table:
    """Whole lines as a table with LINE, slower.

    The lines that are no JSON objects are left out, each by itself.
    """
    rows, numbers = [], []
    for number, text in enumerate(lines.split(b"\n"), start=first):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
            if not isinstance(row, dict):
                raise ValueError(f"is {type(row).__name__}, not an object")
        except (ValueError, RecursionError) as error:
            shown = text.decode("utf-8", "replace")
            conversions.leave_out("unreadable_lines", file.name, number, f"not a JSON object: {error}", shown)
            continue
        rows.append(row)
        numbers.append(number)
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: column([row.get(name) for row in rows]) for name in names}
    return pa.table({**columns, LINE: pa.array(numbers, pa.int64())})


def column(values: list[Any]) -> pa.Array:
    """JSON values as Arrow has them; texts where they are of several kinds."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
        return pa.array(texts, pa.string())
