"""The header of a CSV file: its columns' names, and where the rows begin.

What the first line shows to be no header is refused.
"""

from configs.source import CsvConfig, LimitsConfig
from tasks.ingestion.readers.csv_blocks import (
    too_long,
)
from tasks.ingestion.readers.csv_lines import fields, named_columns
from tasks.ingestion.readers.location import File
from tasks.ingestion.schema_inference.header_line import different

SHOWN_NAMES = 60
PEEKED_BYTES = 2**16
"""Below the header, whose lines tell whether a column without a name holds anything."""


def header(file: File, form: CsvConfig, limits: LimitsConfig) -> tuple[tuple[str, ...], int]:
    """The columns' names and where the rows begin, in bytes.

    Raises ValueError where the first line alone shows that the file is none.
    """
    with file.open(file.compression()) as stream:
        skipped = sum(len(stream.readline(limits.line_bytes + 1)) for _ in range(form.skip))
        line = stream.readline(limits.line_bytes + 1)
        below = stream.read(PEEKED_BYTES)
    number = form.skip + 1
    if len(line) > limits.line_bytes:
        raise ValueError(too_long(file, number, limits))
    mark = 3 if line.startswith(b"\xef\xbb\xbf") and not skipped else 0
    try:
        text = line[mark:].decode(form.encoding).lstrip("\ufeff").rstrip("\r\n\0")
    except UnicodeDecodeError as error:
        if form.encoding.lower().replace("_", "-").startswith("utf-16"):
            text = (
                line[: len(line) // 2 * 2].decode(form.encoding, "ignore").lstrip("\ufeff").rstrip("\r\n\0")
            )
        else:
            raise ValueError(
                f"{file.name}: line {number} is not {form.encoding} ({error.reason}); set source.csv.encoding"
            ) from None
    first = fields(text, form)
    if len(first) > limits.columns:
        raise ValueError(
            f"{file.name}: has {len(first):,} columns; at most {limits.columns:,} are read (source.limits.columns)"
        )
    if not form.has_header:
        check_no_header(first, form, file)
        return form.names, skipped or mark
    if not form.names or len(form.names) != len(first):
        whole_lines = below.decode(form.encoding, "replace").split("\n")[
            : -1 if len(below) == PEEKED_BYTES else None
        ]
        first = named_columns(first, whole_lines, form)
    if not first and below:
        raise ValueError(
            f"{file.name}: line {number}, which should name the columns, is blank; set source.csv.skip to {number}"
        )
    if form.names and first and len(form.names) != len(first):
        told = f"the header in line {number} has {len(first)} columns, source.csv.names {len(form.names)}"
        raise ValueError(f"{file.name}: {told}; name them all, in their order")
    if not form.names:
        check_different(first, file)
    return form.names or tuple(first), skipped + len(line)


def check_no_header(first: list[str], form: CsvConfig, file: File) -> None:
    """Raises ValueError where a file whose columns are named in the YAML begins with the same names.

    They would become a row.
    """
    same = [
        name
        for name, cell in zip(form.names, first, strict=False)
        if name.casefold() == cell.strip().casefold()
    ]
    if same and 2 * len(same) >= len(form.names) and form.header is None:
        raise ValueError(
            f"{file.name}: line {form.skip + 1} names the columns ({', '.join(same[:3])}{', ...' if len(same) > 3 else ''}), as "
            "source.csv.names does, and would be read as a row; set source.csv.header to true (or to false, if it is one)"
        )


def check_different(first: list[str], file: File) -> None:
    """Raises ValueError where the header has a name twice, or leaves one out, with names to take instead."""
    repeated = next((name for name in first if first.count(name) > 1), None)
    if repeated is None and "" not in map(str.strip, first):
        return
    told = (
        f"column {repeated!r} comes twice"
        if repeated
        else f"column {[*map(str.strip, first)].index('') + 1} has no name"
    )
    names = ", ".join(different(first)[:SHOWN_NAMES]) + (", ..." if len(first) > SHOWN_NAMES else "")
    raise ValueError(
        f"{file.name}: {told}; name the columns in source.csv.names, with header: true beside it, such as [{names}]"
    )
