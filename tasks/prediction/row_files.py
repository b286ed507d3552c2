"""Rows that a person has at hand, in a file or on standard input: CSV, one JSON value, or JSON lines.

Light: `gyre predict` answers before torch or pandas would be imported.
"""

import csv
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

from configs.source import CsvConfig

Format = Literal["csv", "json", "jsonl"]
SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
DELIMITERS = (",", ";", "\t", "|")


def read_records(
    content: bytes, name: str, form: Format | None, dialect: CsvConfig, columns: Collection[str]
) -> list[Any]:
    """The records of a file's content: mappings of CSV's texts by column, or JSON values.

    Raises ValueError naming the place.

    name: how errors call the file; its suffix tells the format where `form` does not, and where there is
    none, the content
    dialect: the source's, as the training rows were read; another delimiter is taken where it gives more of
    the `columns`
    """
    try:
        text = content.decode(dialect.encoding if form == "csv" else "utf-8").lstrip("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name}: byte {error.start} is not {error.encoding}; save it as {error.encoding}"
        ) from None
    form = form or SUFFIXES.get(Path(name).suffix.lower()) or guess(text)
    match form:
        case "csv":
            records = csv_records(text, name, dialect, columns)
        case "json":
            value = parsed_json(text, name)
            values = value if isinstance(value, list) else [value]
            records = [with_fields(each, columns, name) for each in values]
        case "jsonl":
            lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
            parsed = [parsed_json(line, f"{name}, line {number}") for number, line in lines]
            records = [with_fields(each, columns, name) for each in parsed]
    if not records:
        raise ValueError(
            f"{name}: holds no rows (read as {form}; --format takes {', '.join(get_args(Format))})"
        )
    return records


def with_fields(record: Any, columns: Collection[str], where: str) -> Any:
    """A record with those of its objects that hold some of the `columns` as one value a field, such as customer.country.

    Raises ValueError for a field that comes twice.
    """
    if not isinstance(record, dict):
        return record
    made: dict[str, Any] = {}
    pending = list(reversed(record.items()))
    while pending:
        name, value = pending.pop()
        if isinstance(value, dict) and any(column.startswith(f"{name}.") for column in columns):
            pending += [(f"{name}.{field}", inner) for field, inner in reversed(value.items())]
        elif name in made:
            raise ValueError(f"{where}: {name!r} comes twice in one row; take one of them out")
        else:
            made[name] = value
    return made


def format_named(name: str | None) -> Format | None:
    """The format of that name. Raises ValueError naming those there are."""
    for form in get_args(Format):
        if form == name:
            found: Format = form
            return found
    if name is None:
        return None
    raise ValueError(f"--format {name}: want one of {', '.join(get_args(Format))}")


def guess(text: str) -> Format:
    """The format of a text without a name.

    JSON begins with a bracket or quote, and lines of it are whole values each.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or lines[0].lstrip()[0] not in '{["':
        return "csv"
    try:
        json.loads(lines[0])
    except (ValueError, RecursionError):
        return "csv" if lines[0].lstrip()[0] == '"' else "json"
    return "jsonl" if len(lines) > 1 else "json"


def parsed_json(text: str, where: str) -> Any:
    """A JSON value.

    Raises ValueError for what is none, for numbers that JSON does not have and for keys that come twice.
    """

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{where}: {constant} is no JSON value; null stands for a missing one")

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for number, name in enumerate(names) if name in names[:number])
            raise ValueError(f"{where}: {twice!r} comes twice in one row; take one of them out")
        return made

    try:
        return json.loads(text, parse_constant=refuse, object_pairs_hook=mapping)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON: {error}") from None
    except RecursionError:
        raise ValueError(f"{where}: lists or objects are too deep; want a list of rows") from None


def csv_records(text: str, name: str, dialect: CsvConfig, columns: Collection[str]) -> list[dict[str, str]]:
    """Mappings of texts by column.

    Raises ValueError for a column that comes twice and a line with other columns than the header.
    """
    delimiter = best_delimiter(text, dialect, columns)
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE
    reader = csv.reader(
        text.splitlines(keepends=True), delimiter=delimiter, quotechar=dialect.quote or None, quoting=quoting
    )
    header: list[str] = []
    records = []
    for fields in reader:
        if not fields:
            continue
        if not header:
            # A file as the source has it, whose columns the YAML names, begins with its first row.
            unnamed = dialect.names and not set(columns) & set(fields) and len(fields) == len(dialect.names)
            header = list(dialect.names) if unnamed else fields
            check_header(header, name)
            if not unnamed:
                continue
        if len(fields) != len(header):
            raise ValueError(
                f"{name}, line {reader.line_num}: has {len(fields)} values; the header has {len(header)} columns"
            )
        records.append(dict(zip(header, fields, strict=True)))
    return records


def best_delimiter(text: str, dialect: CsvConfig, columns: Collection[str]) -> str:
    """The delimiter that gives the most of the columns in the first line.

    The source's where they are even.
    """
    first = text.splitlines()[:1]

    def found(delimiter: str) -> int:
        return len(set(columns) & set(next(csv.reader(first, delimiter=delimiter), [])))

    return max((dialect.delimiter, *DELIMITERS), key=found)


def check_header(header: list[str], name: str) -> None:
    """Raises ValueError for a column that comes twice: which one was meant is not known."""
    if twice := [column for number, column in enumerate(header) if column in header[:number]]:
        raise ValueError(
            f"{name}: column {twice[0]!r} comes twice in the header; rename or remove one of them"
        )
