"""What kind of file a path or URL is, and its first rows as they are written."""

import codecs
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from configs.data import Csv, Source, Sql

READERS = {"parquet": "parquet", "pq": "parquet", "jsonl": "jsonl", "ndjson": "jsonl"} | dict.fromkeys(("csv", "tsv", "txt", "data"), "csv")
HEAD_BYTES = 64 * 2**20
"""Of a file elsewhere, or in another encoding, that are looked at."""
SNIFFED_BYTES = 2**20
NAME_LETTERS = 60
"""A longer cell is no column's name."""


def sniffed(location: str, table: str | None = None) -> Source:
    """A source without a contract from its path or URL; `table` names one of a database. Raises ValueError where none can be told."""
    if re.match(r"(postgresql|mysql|sqlite|duckdb|mssql|oracle)[^:/]*://", location):
        if table is None:
            raise ValueError(f"{location.rsplit('@', maxsplit=1)[-1]}: a database; name one of its tables")
        return Source(reader="sql", path=location, sql=Sql(table=table))
    if local_folder(location) and (Path(location) / "_delta_log").is_dir():
        return Source(reader="delta", path=location)
    suffix = re.sub(r"\.(gz|bz2|xz|zst)$", "", location.lower()).rpartition(".")[2]
    if suffix not in READERS:
        known = ", ".join(f".{name}" for name in READERS)
        raise ValueError(f"{location}: cannot tell what .{suffix} is; known are {known} and Delta folders")
    if READERS[suffix] != "csv":
        return Source(reader=READERS[suffix], path=location)
    return Source(reader="csv", path=location, csv=dialect(location))


def local_folder(location: str) -> bool:
    """Whether a folder of this machine is meant."""
    return "://" not in location and Path(location).is_dir()


def dialect(location: str) -> Csv:
    """How a CSV file is written."""
    encoding = encoding_of(location)
    with at_hand(location, encoding) as path, duckdb.connect() as connection:
        asked = "SELECT Delimiter, Quote FROM sniff_csv(?, all_varchar=true, sample_size=20000)"
        delimiter, quote = connection.execute(asked, [str(path)]).fetchall()[0]
        with path.open(encoding="utf-8", errors="replace") as stream:
            quotes = '"' in stream.read(SNIFFED_BYTES)
        found = Csv(delimiter=delimiter, quote="" if quotes and quote != '"' else '"', encoding=encoding)
        rows = cells(connection, path, found, header=False, rows=1000)
    if looks_like_header(rows):
        return found
    return found.model_copy(update={"names": tuple(f"column_{number + 1}" for number in range(rows.num_columns))})


def looks_like_header(rows: pa.Table) -> bool:
    """Whether the first row names the columns: short different texts, no numbers, none of which is a value of its own column."""
    if not len(rows):
        return False
    first = [column[0].as_py() for column in rows.columns]
    names = [(cell or "").strip() for cell in first]
    if len(set(names)) < len(names) or any(not name or len(name) > NAME_LETTERS or re.fullmatch(r"[-+\d.,:/\s]+", name) for name in names):
        return False
    below = [{str(value).strip() for value in column.slice(1).to_pylist()} for column in rows.columns]
    return not any(name in values for name, values in zip(names, below, strict=True))


def encoding_of(location: str) -> str:
    """The encoding of a text file, UTF-8 where it is one."""
    with fsspec.open(location, "rb", compression="infer") as stream:
        head: bytes = stream.read(SNIFFED_BYTES)
    for bom, name in ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if head.startswith(bom):
            return name
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes

        best = from_bytes(head).best()
        return best.encoding if best else "latin-1"
    return "utf-8"


@contextmanager
def at_hand(location: str, encoding: str = "utf-8") -> Iterator[Path]:
    """A path of this machine with the file in UTF-8: itself, or a copy of its head, gone afterwards."""
    if "://" not in location and encoding == "utf-8" and not re.search(r"\.(bz2|xz|zst)$", location):
        yield Path(location)
        return
    descriptor, name = tempfile.mkstemp(suffix=".txt")
    try:
        with fsspec.open(location, "rb", compression="infer") as stream, os.fdopen(descriptor, "wb") as copy:
            text = codecs.getincrementaldecoder(encoding)("replace").decode(stream.read(HEAD_BYTES))
            whole = text if len(text) < HEAD_BYTES // 4 else text[: text.rfind("\n") + 1]
            copy.write(whole.encode())
        yield Path(name)
    finally:
        Path(name).unlink()


def cells(connection: duckdb.DuckDBPyConnection, path: Path, csv: Csv, header: bool, rows: int) -> pa.Table:
    """A CSV file's first rows, texts."""
    names = f", names={list(csv.names)}" if csv.names else ""
    options = f"delim={quoted(csv.delimiter)}, quote={quoted(csv.quote)}, escape={quoted(csv.quote)}, header={str(header).lower()}{names}"
    asked = f"SELECT * FROM read_csv({quoted(str(path))}, all_varchar=true, {options}) LIMIT {rows}"  # noqa: S608
    answer: pa.Table = connection.sql(asked).to_arrow_table()
    return answer


def quoted(value: str) -> str:
    """A text in SQL."""
    return "'" + value.replace("'", "''") + "'"


def first_rows(source: Source, rows: int) -> pa.Table:
    """The first rows of a source, CSV files' as texts."""
    location = os.path.expandvars(str(source.path))
    if source.reader == "sql":
        return database_rows(location, source, rows)
    if source.reader == "delta":
        from deltalake import DeltaTable

        return DeltaTable(location).to_pyarrow_dataset().head(rows)
    if source.reader == "parquet":
        with fsspec.open(location, "rb") as stream:
            batches = pq.ParquetFile(stream).iter_batches(batch_size=rows)
            return pa.Table.from_batches([next(batches)])
    encoding = source.csv.encoding if source.reader == "csv" else "utf-8"
    with at_hand(location, encoding) as path, duckdb.connect() as connection:
        if source.reader == "csv":
            return cells(connection, path, source.csv, header=not source.csv.names, rows=rows)
        asked = f"SELECT * FROM read_json({quoted(str(path))}, format='newline_delimited') LIMIT {rows}"  # noqa: S608
        answer: pa.Table = connection.sql(asked).to_arrow_table()
        return answer


def database_rows(url: str, source: Source, rows: int) -> pa.Table:
    """The first rows of a table or query."""
    import pandas as pd
    import sqlalchemy as sa

    section: Any = source.sql
    chosen = sa.text(section.query) if section.query else sa.select(sa.text("*")).select_from(sa.table(section.table))
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            frame = next(pd.read_sql(chosen, connection, chunksize=rows))
    finally:
        engine.dispose()
    return pa.Table.from_pandas(frame, preserve_index=False)
