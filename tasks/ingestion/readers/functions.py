"""A user's own reader.

A function by import path (tasks/ingestion/partitions/sources.py says what it gives).
"""

import inspect
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pandas as pd
import pyarrow as pa

from configs.source import SourceConfig
from infra.imports import resolve
from tasks.ingestion.lines import count_lines
from tasks.ingestion.readers import Partition
from tasks.ingestion.readers.location import name_of
from tasks.pipeline.code import code_digest

Rows = Callable[[], Any] | Any
"""A function that gives a pandas DataFrame or an Arrow table, or such a table."""


def partitions(source: SourceConfig) -> list[Partition]:
    """What the user's reader gives. Raises ValueError where the reader gives none, or takes other options."""
    reader = bind_reader(source)
    found = reader()
    if not isinstance(found, list) or not found:
        raise ValueError(
            f"{name_of(source)}: returned {found!r:.80}; want a list of functions or tables, one a partition"
        )
    own = getattr(reader.func, "fingerprint", None)
    code = code_digest(__name__, json.dumps([source.reader]).encode())
    facts = [code, source.options, str(own(**source.options)) if own else None]
    return [
        Partition(source.reader, [facts, number], partial(read, entry)) for number, entry in enumerate(found)
    ]


def read(partition: Rows) -> Iterator[pa.Table]:
    """A partition's rows. Raises TypeError where it is none."""
    rows = partition if isinstance(partition, (pd.DataFrame, pa.Table)) else partition()
    if isinstance(rows, pd.DataFrame):
        rows = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)
    if not isinstance(rows, pa.Table):
        raise TypeError(
            f"{partition!r:.80}: gave {type(rows).__name__}; want a pandas DataFrame or an Arrow table"
        )
    return count_lines(iter([rows]))


def bind_reader(source: SourceConfig) -> partial[Any]:
    """The user's reader with its options. Raises ValueError where they do not fit its arguments."""
    reader = resolve(source.reader)
    try:
        inspect.signature(reader).bind(**source.options)
    except TypeError as error:
        takes = ", ".join(inspect.signature(reader).parameters)
        raise ValueError(
            f"{name_of(source)}: {error}; source.options may have {takes or 'nothing'}"
        ) from None
    return partial(reader, **source.options)
