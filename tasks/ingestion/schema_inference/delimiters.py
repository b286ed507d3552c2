"""Which delimiter a CSV file has.

The one by which most of its lines have equally many fields, and which lines do not.

A file whose lines agree is taken as DuckDB sniffs it. Where they do not, DuckDB falls back on a sign that
comes nowhere, and the whole table becomes one column.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from configs.source import CsvConfig
from tasks.ingestion.readers.csv_lines import fields, reader
from tasks.ingestion.schema_inference.header_line import NUMBER

DELIMITERS = (",", ";", "\t", "|")
SURELY = 0.8
"""Share of plain fields from which on a delimiter that all lines agree with is not doubted."""
FITS = 0.5
"""Share of the lines of which the chosen delimiter makes equally many fields, or more."""
SINGLE = 0.05
"""Share of the lines with a delimiter in them, at most, where a file is a single column of texts."""
PROSE = 2
"""Columns that blanks make of a file, at most, where they may be part of its values."""
TITLES = 200
"""Lines among which the table's first is looked for."""
SHOWN = 5
DIVIDED_ROWS = 1000
"""Rows whose fields are looked at for other delimiters."""


@dataclass(frozen=True)
class Head:
    """The beginning of a text file."""

    lines: tuple[str, ...]
    """Each with its line break."""
    whole: bool
    """Whether the file ends with them."""


@dataclass(frozen=True)
class Division:
    """What a form makes of lines; blank ones do not count."""

    form: CsvConfig
    columns: int
    """Fields of most lines among those with several; 1 where none has."""
    agreeing: int
    """Lines with so many fields; empty ones behind the last column are none, as in a run."""
    lines: int
    several: int
    """Lines with more than one field."""
    plain: float
    """Share of the fields that are numbers or hold no other delimiter.

    The wrong delimiter leaves the right one inside.
    """
    odd: tuple[int, ...]
    """Numbers of the lines that do not agree."""

    @property
    def fit(self) -> float:
        """How well a form divides the lines, 0 to 1."""
        return self.plain * self.agreeing / max(1, self.lines)


def best_division(head: Head, sniffed: CsvConfig, location: str) -> Division:
    """The sniffed form where all lines agree, the first too, else the one by which most do.

    Raises ValueError where none fits.
    """
    first = divide(head, sniffed)
    if first.columns > 1 and first.plain > SURELY and not (first.odd or first.form.skip):
        return first
    quotes = ('"', "") if any('"' in line for line in head.lines) else (sniffed.quote,)
    forms = [{"delimiter": delimiter, "quote": quote} for delimiter in DELIMITERS for quote in quotes]
    found = [first, *(divide(head, sniffed.model_copy(update=form)) for form in forms)]
    best = max(found, key=lambda each: (each.columns > 1, each.fit, each.columns))
    if best.columns > 1 and best.agreeing > FITS * best.lines:
        return best
    if all(each.several <= SINGLE * each.lines for each in found):
        spaced = divide(head, sniffed.model_copy(update={"delimiter": " "}))
        # Prose has blanks too, but not equally many in every line.
        return spaced if spaced.columns > PROSE and not spaced.odd else first
    raise ValueError(told_misfit(found, location))


def divide(head: Head, form: CsvConfig) -> Division:
    """What a form makes of the lines below the titles that stand before the table."""
    skip = lines_before(head.lines, form)
    form = form.model_copy(update={"skip": skip})
    starts: dict[tuple[int, int], list[int]] = {}
    """Lines in which rows begin, by how many fields these have, and how many up to the last that is filled."""
    read = reader(islice(head.lines, skip, None), form)
    start, rows = skip + 1, list[tuple[tuple[int, int], int]]()
    looked: list[list[str]] = []
    try:
        for values in read:
            if len(looked) < DIVIDED_ROWS:
                looked.append(values)
            filled = len(values)
            while filled and not values[filled - 1].strip():
                filled -= 1
            if filled:
                rows.append(((len(values), filled), start))
            start = skip + read.line_num + 1
    except csv.Error:
        return Division(form, 1, 0, len(head.lines), 0, 0.0, ())
    if not head.whole:
        # Its end may be missing.
        rows = rows[:-1]
    for sizes, place in rows:
        starts.setdefault(sizes, []).append(place)
    agreeing = Counter[int]()
    for columns in {size for size, _ in starts if size > 1}:
        agreeing[columns] = sum(len(found) for sizes, found in starts.items() if fits(sizes, columns))
    if not agreeing:
        return Division(form, 1, len(rows), len(rows), 0, 1.0, ())
    columns = max(agreeing, key=lambda each: (agreeing[each], each))
    odd = tuple(place for sizes, place in rows if not fits(sizes, columns))
    several = sum(size > 1 for (size, _), _ in rows)
    return Division(form, columns, agreeing[columns], len(rows), several, plain_share(looked, form), odd)


def plain_share(rows: Sequence[Sequence[str]], form: CsvConfig) -> float:
    """Share of the fields that are numbers or hold no delimiter but the form's own."""
    others = [delimiter for delimiter in DELIMITERS if delimiter != form.delimiter]
    cells = [cell for row in rows for cell in row if cell.strip()]
    plain = sum(
        not any(delimiter in cell for delimiter in others) or bool(NUMBER.fullmatch(cell.strip()))
        for cell in cells
    )
    return plain / max(1, len(cells))


def fits(sizes: tuple[int, int], columns: int) -> bool:
    """Whether a row with so many fields, and so many up to the last filled one, has so many columns."""
    size, filled = sizes
    return filled <= columns <= size


def lines_before(lines: Sequence[str], form: CsvConfig) -> int:
    """Lines before the table.

    Comments, blank lines and titles, which have one value where the others have several.
    """
    some = [line.rstrip("\r\n") for line in lines[:TITLES]]
    sizes = [len(fields(line, form)) for line in some]
    usual = Counter(size for line, size in zip(some, sizes, strict=True) if line.strip()).most_common(1)
    for number, (line, size) in enumerate(zip(some, sizes, strict=True)):
        if line.strip() and not line.startswith("#") and (size > 1 or usual[0][0] == 1):
            return number
    return 0


def told_misfit(found: Sequence[Division], location: str) -> str:
    """What each delimiter makes of the lines, where none fits."""
    best: dict[str, Division] = {}
    for each in sorted(found, key=lambda each: each.agreeing):
        if each.columns > 1:
            best[each.form.delimiter] = each
    ordered = sorted(best.values(), key=lambda each: -each.agreeing)
    makes = [f"{each.form.delimiter!r} makes {each.columns} fields of {each.agreeing}" for each in ordered]
    first = ordered[0]
    return (
        f"{location}: no delimiter fits: of {first.lines:,} lines {', '.join(makes)}; the first that do not fit "
        f"{first.form.delimiter!r} are {listed(first.odd)}. Write all lines with one delimiter, with quotation marks "
        "around values that hold it"
    )


def told_odd_lines(head: Head, division: Division) -> str:
    """How many lines agree with the chosen delimiter, and which do not; empty where all do."""
    form, columns = division.form, division.columns
    others = [form.model_copy(update={"delimiter": delimiter}) for delimiter in DELIMITERS]
    told = []
    if division.odd:
        more = "" if head.whole else "first "
        count = f"{division.agreeing:,} of the {more}{division.lines:,} lines have {columns} fields by it"
        told.append(
            f"csv.delimiter {form.delimiter!r} was chosen: {count}, {len(division.odd):,} do not: {listed(division.odd)}"
        )
        for other in others:
            alike = sum(len(fields(head.lines[number - 1], other)) == columns for number in division.odd)
            if alike:
                told.append(f"{alike:,} of these have {columns} by {other.delimiter!r}")
        told.append(
            "a run refuses such lines; mend them, or leave them out with checks: {ragged_lines: warn}"
        )
    for number, line in enumerate(head.lines[: form.skip], start=1):
        by = [other.delimiter for other in others if len(fields(line, other)) == columns > 1]
        if by:
            told.append(
                f"line {number} has {columns} fields by {by[0]!r}: if it is the header, write it as the rows are"
            )
    return "; ".join(told)


def listed(numbers: Sequence[int]) -> str:
    """The first line numbers of some."""
    some = ", ".join(map(str, numbers[:SHOWN]))
    word = "line" if len(numbers) == 1 else "lines"
    return f"{word} {some}{', ...' if len(numbers) > SHOWN else ''}"
