"""What kind of file a path or URL is, and its first rows as they are written."""

import codecs
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from configs.source import CsvConfig, SourceConfig, SqlConfig
from tasks.ingestion.readers.location import GLOB
from tasks.ingestion.schema_inference.delimiters import Head, best_division, divide, told_odd_lines
from tasks.ingestion.schema_inference.header_line import Header, judge_header
from tasks.rows.sql import literal, open_database

READERS = {"parquet": "parquet", "pq": "parquet", "jsonl": "jsonl", "ndjson": "jsonl"} | dict.fromkeys(
    ("csv", "tsv", "txt", "data"), "csv"
)
INSTEAD = {
    "json": "write an object a line into a .jsonl file, such as by jq -c '.[]'",
    "xlsx": "save the sheet as a .csv file",
    "xls": "save the sheet as a .csv file",
}
"""What to do with files that are often brought and are not read."""
HEAD_BYTES = 64 * 2**20
"""Of a file elsewhere, or in another encoding, that are looked at."""
SNIFFED_BYTES = 2**20
DIVIDED_BYTES = 16 * 2**20
"""Of a CSV file whose lines are counted by their fields."""


def sniff_source(location: str, table: str | None = None) -> SourceConfig:
    """A source without a contract from its path or URL; `table` names one of a database.

    Raises ValueError where none can be told.
    """
    if re.match(r"(postgresql|mysql|sqlite|duckdb|mssql|oracle)[^:/]*://", location):
        if table is None:
            raise ValueError(f"{location.rsplit('@', maxsplit=1)[-1]}: a database; name one of its tables")
        return SourceConfig(reader="sql", path=location, sql=SqlConfig(table=table))
    if local_folder(location) and (Path(location) / "_delta_log").is_dir():
        return SourceConfig(reader="delta", path=location)
    if "://" not in location and not Path(location).exists():
        raise ValueError(f"{location}: there is no such file or folder")
    suffix = re.sub(r"\.(gz|bz2|xz|zst)$", "", location.lower()).rpartition(".")[2]
    if suffix not in READERS:
        known = ", ".join(f".{name}" for name in READERS)
        instead = f"; {INSTEAD[suffix]}" if suffix in INSTEAD else ""
        raise ValueError(
            f"{location}: cannot tell what .{suffix} is; known are {known} and Delta folders{instead}"
        )
    if READERS[suffix] != "csv":
        return SourceConfig(reader=READERS[suffix], path=location)
    return SourceConfig(reader="csv", path=location, csv=dialect(location))


def local_folder(location: str) -> bool:
    """Whether a folder of this machine is meant."""
    return "://" not in location and Path(location).is_dir()


def files_of(location: str) -> list[str]:
    """The files of a folder of rows, or of a glob, of this machine, by name.

    Empty where `location` is neither.
    """
    if "://" in location:
        return []
    if GLOB.search(location) and not Path(location).exists():
        found = sorted(glob(location, recursive=True))  # noqa: PTH207 - a pattern of any folder
    elif local_folder(location) and not (Path(location) / "_delta_log").is_dir():
        known = tuple(
            f".{suffix}{packed}" for suffix in READERS for packed in ("", ".gz", ".bz2", ".xz", ".zst")
        )
        found = sorted(str(file) for file in Path(location).iterdir() if file.name.lower().endswith(known))
    else:
        return []
    if not found:
        raise ValueError(
            f"{location}: holds no file of rows; known are {', '.join(f'.{name}' for name in READERS)}, and images"
        )
    return found


def dialect(location: str) -> CsvConfig:
    """How a CSV file is written. Raises ValueError where it is empty, or no delimiter fits."""
    encoding = encoding_of(location)
    check_filled(location)
    with at_hand(location, encoding) as path, open_database() as connection:
        asked = "SELECT Delimiter, Quote FROM sniff_csv(?, all_varchar=true, sample_size=20000)"
        delimiter, quote = connection.execute(asked, [str(path)]).fetchall()[0]
        head = head_of(location, encoding)
        quotes = any('"' in line for line in head.lines)
        sniffed = CsvConfig(
            delimiter=delimiter, quote="" if quotes and quote != '"' else '"', encoding=encoding
        )
        found = best_division(head, sniffed, location).form
        header = judge_header(cells(connection, path, found, header=False, rows=1000))
    if not header.there:
        return found.model_copy(update={"names": header.names})
    return found.model_copy(update={"names": header.names, "header": True}) if header.repeated else found


def check_filled(location: str) -> None:
    """Raises ValueError for a file without a letter in it."""
    with fsspec.open(location, "rb", compression="infer") as stream:
        if not stream.read(SNIFFED_BYTES).strip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"):
            raise ValueError(
                f"{location}: is empty; bring a file with a header line and rows, or name the one that has them"
            )


def first_line(location: str, form: CsvConfig) -> Header:
    """Whether a CSV file's first line names the columns."""
    with at_hand(location, form.encoding) as path, open_database() as connection:
        return judge_header(
            cells(connection, path, form.model_copy(update={"names": ()}), header=False, rows=1000)
        )


def head_of(location: str, encoding: str) -> Head:
    """The first lines of a text file, packed or not."""
    with fsspec.open(location, "rb", compression="infer") as stream:
        data: bytes = stream.read(DIVIDED_BYTES)
        whole = not stream.read(1)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(data).removeprefix("\ufeff")
    lines = text.split("\n")
    # Behind the last line break stands nothing, or a line that is cut.
    rest = lines.pop()
    if whole and rest:
        lines.append(rest)
    return Head(tuple(f"{line}\n" for line in lines), whole)


def odd_lines(location: str, form: CsvConfig) -> str:
    """Which lines of a CSV file do not agree with its delimiter, in words; empty where all do."""
    head = head_of(location, form.encoding)
    return told_odd_lines(head, divide(head, form))


def encoding_of(location: str) -> str:
    """The encoding of a text file, UTF-8 where it is one."""
    with fsspec.open(location, "rb", compression="infer") as stream:
        head: bytes = stream.read(SNIFFED_BYTES)
    for bom, name in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
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


def cells(
    connection: duckdb.DuckDBPyConnection, path: Path, csv: CsvConfig, header: bool, rows: int
) -> pa.Table:
    """A CSV file's first rows, texts.

    Lines with more or fewer fields than most are left out, as `odd_lines` tells.
    """
    names = f", names={list(csv.names)}" if csv.names else ""
    skip = f", skip={csv.skip}" if csv.skip else ""
    options = f"delim={literal(csv.delimiter)}, quote={literal(csv.quote)}, escape={literal(csv.quote)}{names}{skip}"
    options += f", header={str(header).lower()}, ignore_errors=true"
    asked = f"SELECT * FROM read_csv({literal(path)}, all_varchar=true, {options}) LIMIT {rows}"
    answer: pa.Table = connection.sql(asked).to_arrow_table()
    return answer


def first_rows(source: SourceConfig, rows: int) -> pa.Table:
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
    with at_hand(location, encoding) as path, open_database() as connection:
        if source.reader == "csv":
            return cells(connection, path, source.csv, header=source.csv.has_header, rows=rows)
        asked = f"SELECT * FROM read_json({literal(path)}, format='newline_delimited') LIMIT {rows}"
        answer: pa.Table = connection.sql(asked).to_arrow_table()
        return answer


def database_rows(url: str, source: SourceConfig, rows: int) -> pa.Table:
    """The first rows of a table or query."""
    import pandas as pd
    import sqlalchemy as sa

    section: Any = source.sql
    chosen = (
        sa.text(section.query)
        if section.query
        else sa.select(sa.text("*")).select_from(sa.table(section.table))
    )
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            frame = next(pd.read_sql(chosen, connection, chunksize=rows))
    finally:
        engine.dispose()
    return pa.Table.from_pandas(frame, preserve_index=False)
