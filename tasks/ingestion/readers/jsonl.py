"""Files of one JSON object a line."""

from collections.abc import Iterator
from functools import partial

import pyarrow as pa
from pyarrow import json as arrow_json

from configs.source import LimitsConfig, SourceConfig
from tasks.ingestion.lines import count_lines
from tasks.ingestion.readers import Partition
from tasks.ingestion.readers.csv_blocks import whole_lines
from tasks.ingestion.readers.location import File, matching_files


def partitions(source: SourceConfig) -> list[Partition]:
    """A partition a file."""
    return [
        Partition(file.name, file.content(), partial(read, file, source.limits))
        for file in matching_files(source)
    ]


def read(file: File, limits: LimitsConfig) -> Iterator[pa.Table]:
    """A file's rows; a line is a row. Raises ValueError naming the file and about the line."""
    return count_lines(tables(file, limits))


def tables(file: File, limits: LimitsConfig) -> Iterator[pa.Table]:
    """A file's rows, block for block; the first block's types hold for all."""
    schema: pa.Schema | None = None
    line = 1
    with file.open(file.compression()) as stream:
        for lines, breaks in whole_lines(stream, file, limits, line):
            parsing = arrow_json.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="error" if schema else "infer"
            )
            reading = arrow_json.ReadOptions(block_size=len(lines) + 1, use_threads=False)
            try:
                table = arrow_json.read_json(
                    pa.BufferReader(lines), read_options=reading, parse_options=parsing
                )
            except pa.ArrowInvalid as error:
                raise ValueError(
                    f"{file.name}: from line {line} on: {str(error)[:300]}; want a JSON object a line, alike in all"
                ) from None
            if table.num_columns > limits.columns:
                raise ValueError(
                    f"{file.name}: has {table.num_columns:,} columns; at most {limits.columns:,} are read (source.limits.columns)"
                )
            schema = schema or table.schema
            line += breaks
            yield table
