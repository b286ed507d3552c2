"""What a source is: files (`csv`, `parquet`) or a reader of the user's own, cut into partitions that Dask workers read side by side.

A reader is a function `package.module:function`, called with the YAML's `source.options`. It returns a list of partitions; each is a
function without arguments that returns a pandas DataFrame (it is pickled and called on a Dask worker, so it should hold a path or a
range, not the data), or a DataFrame. Their order is the order of the rows; the newest should come last. All have the same columns.
A reader whose data can change has an attribute `fingerprint`, a function of the same options whose text changes with the data;
without it only changed code or options count as a changed source.
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd

from configs.data import Source
from infra.imports import resolve

Partition = Callable[[], pd.DataFrame] | pd.DataFrame


def name_of(source: Source) -> str:
    """How messages call a source."""
    return f"source {source.path or source.reader}"


def fingerprint(source: Source) -> str:
    """sha256 that changes when the rows may: of the files' names and contents, or of the reader's code, options and own fingerprint."""
    if source.reader in READERS:
        facts: list[Any] = [[Path(path).name, file_digest(path)] for path in matched(source)]
    else:
        reader = bound(source)
        code = Path(inspect.getsourcefile(reader.func) or "").read_bytes()
        own = getattr(reader.func, "fingerprint", None)
        facts = [hashlib.sha256(code).hexdigest(), source.options, str(own(**source.options)) if own else None]
    return hashlib.sha256(json.dumps([source.reader, facts], sort_keys=True, default=str).encode()).hexdigest()


def partitions(source: Source) -> Sequence[Partition]:
    """The source's rows in pieces, in order. Raises ValueError naming the source where there are none."""
    if source.reader in READERS:
        files = matched(source)
        groups = np.array_split(np.array(files, dtype=object), min(source.partitions, len(files)))
        return [partial(read_files, source.reader, group.tolist(), source.options) for group in groups]
    found = bound(source)()
    if not isinstance(found, list) or not found:
        raise ValueError(f"{name_of(source)}: returned {found!r:.80}; want a list of functions or DataFrames, one a partition")
    return found


def read(partition: Partition) -> pd.DataFrame:
    """The rows of a partition. Raises TypeError where it is none."""
    frame = partition if isinstance(partition, pd.DataFrame) else partition()
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"{partition!r:.80}: gave {type(frame).__name__}; want a pandas DataFrame")
    return frame


def read_files(kind: str, paths: list[str], options: dict[str, Any]) -> pd.DataFrame:
    """The rows of several files, one after the other."""
    return pd.concat([READERS[kind](path, **options) for path in paths], ignore_index=True)


def read_csv(path: str, **options: Any) -> pd.DataFrame:
    """A CSV file. Columns are text unless `options` says otherwise: guessed types would differ between files, and 007 would become 7."""
    arguments: dict[str, Any] = {"dtype": str} | options
    frame: pd.DataFrame = pd.read_csv(path, **arguments)
    return frame


READERS: dict[str, Callable[..., pd.DataFrame]] = {"csv": read_csv, "parquet": pd.read_parquet}


def matched(source: Source) -> list[str]:
    """URLs of the files that the source's path or glob matches, sorted. Raises ValueError when there is none."""
    filesystem, path = fsspec.core.url_to_fs(str(source.path))
    found = [filesystem.unstrip_protocol(file) for file in sorted(filesystem.glob(path)) if filesystem.isfile(file)]
    if not found:
        raise ValueError(f"{name_of(source)}: matches no file; set source.path to a file or a glob such as data/*.{source.reader}")
    return found


def file_digest(url: str) -> str:
    """sha256 of a file's content, wherever it is."""
    with fsspec.open(url, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def bound(source: Source) -> partial[Any]:
    """The user's reader with its options. Raises ValueError where they do not fit its arguments."""
    reader = resolve(source.reader)
    try:
        inspect.signature(reader).bind(**source.options)
    except TypeError as error:
        takes = ", ".join(inspect.signature(reader).parameters)
        raise ValueError(f"{name_of(source)}: {error}; source.options may have {takes or 'nothing'}") from None
    return partial(reader, **source.options)


def checked_range(name: str, value: Sequence[int], rows: int) -> tuple[int, int]:
    """`value` as [start, stop] within a number of rows. Raises ValueError naming it."""
    if len(value) != 2 or not 0 <= value[0] < value[1] <= rows:
        raise ValueError(f"{name} {list(value)}: want [start, stop] with 0 <= start < stop <= {rows}")
    return value[0], value[1]
