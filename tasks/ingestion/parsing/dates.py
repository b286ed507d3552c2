"""How a source's dates are written.

One format a column, declared or found over all rows, never guessed value by value.

02/01 is a day in January or in February; only a value such as 13/01 tells, and it may be in the last row. So
the columns that need it are read once before anything else, partition by partition, and what was seen of a
partition is kept.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from configs.intake import IntakeConfig, TabularIntakeConfig
from configs.source import SourceConfig
from infra.files import read_json, write_json
from tasks.ingestion.parsing.contract import conform_column, plain_values
from tasks.ingestion.parsing.date_formats import ISO_8601, fitting, likely_formats, rank
from tasks.ingestion.partitions.sources import SourcePartition
from tasks.ingestion.readers.location import hide_values, location_of
from tasks.ingestion.readers.stream import read_ahead
from tasks.records import Finding
from tasks.rows.timestamps import UNITS

PROBE = datetime(2003, 2, 1, 4, 5, 6, tzinfo=UTC)
SAMPLE = 50
"""Values of a partition that are kept to show how formats differ."""
WHOLE = 0.99
"""Share of a file's dates that its own format reads at least, where it is said to have another than the other
files."""


@dataclass
class Dates:
    """What was seen of one column in one partition."""

    origin: str
    values: int = 0
    """Those that are not missing."""
    fits: dict[str, int] = field(default_factory=dict)
    """Values that a format reads."""
    first: dict[str, str] = field(default_factory=dict)
    """The first of them."""
    sample: list[str] = field(default_factory=list)
    numeric: bool = False
    """Whether they are numbers, not texts."""

    def add(self, values: pa.ChunkedArray) -> None:
        """Counts some more values."""
        if pa.types.is_floating(values.type):
            values = values.filter(pc.is_finite(values))
        counted = pc.value_counts(values.combine_chunks().drop_null())
        distinct, times = pa.chunked_array([counted.field("values")]), counted.field("counts")
        if pa.types.is_string(distinct.type):
            there = pc.not_equal(pc.utf8_trim_whitespace(distinct), "")
            distinct, times = distinct.filter(there), times.filter(there.combine_chunks())
        if not len(distinct):
            return
        self.values += pc.sum(times).as_py()
        self.numeric = not pa.types.is_string(distinct.type)
        self.sample += [str(value) for value in distinct.slice(0, SAMPLE - len(self.sample)).to_pylist()]
        for form in sorted({*likely_formats(distinct), *self.fits}, key=rank):
            fit = pc.is_valid(fitting(distinct, form)).combine_chunks()
            if count := pc.sum(pc.if_else(fit, times, 0)).as_py():
                self.fits[form] = self.fits.get(form, 0) + count
                self.first.setdefault(form, str(distinct.filter(fit)[0].as_py()))


@dataclass(frozen=True)
class Chosen:
    """The format of a column."""

    form: str
    fits: int
    values: int
    example: str

    def finding(self, column: str) -> Finding:
        """That it was found, not declared."""
        form = self.form or "ISO 8601"
        return Finding(
            stage="ingest",
            check="found_date_formats",
            about=column,
            count=self.fits,
            total=self.values,
            told=f"values are read as {form}, which was found over all rows",
            examples=(f"{self.example!r} is {spell_date(self.example, self.form)}",),
            advice=f"set intake.date_formats.{column} to {form!r}, or to what it is" if self.form else "",
        )


def with_formats(
    found: list[SourcePartition], intake: IntakeConfig, kept: Path, code: str, name: str
) -> tuple[IntakeConfig, tuple[Finding, ...]]:
    """The intake with a format for every date column that needs one, and what was found.

    kept: folder where what was seen of a partition is noted. Raises ValueError where a column's format cannot
    be told.
    """
    if not isinstance(intake, TabularIntakeConfig) or not open_columns(intake):
        return intake, ()
    seen: dict[str, list[Dates]] = {}
    for entry in found:
        for column, dates in kept_dates(entry, intake, kept, code).items():
            seen.setdefault(column, []).append(dates)
    chosen = {column: choose(column, dates, name) for column, dates in seen.items()}
    formats = {column: choice.form for column, choice in chosen.items() if choice and choice.form}
    findings = tuple(choice.finding(column) for column, choice in chosen.items() if choice and choice.form)
    return with_more_formats(intake, formats), findings


def with_first_formats(entry: SourcePartition, intake: IntakeConfig) -> IntakeConfig:
    """As `with_formats`, by the first rows of one partition alone.

    Where two formats fit, either may be taken, so nothing is told by it.
    """
    if not isinstance(intake, TabularIntakeConfig) or not open_columns(intake):
        return intake
    best = {
        column: max(dates.fits, key=lambda form: dates.fits[form], default="")
        for column, dates in seen_dates(entry, intake, 1).items()
    }
    return with_more_formats(intake, {column: form for column, form in best.items() if form})


def with_more_formats(intake: TabularIntakeConfig, formats: dict[str, str]) -> TabularIntakeConfig:
    """The intake with more formats than were declared."""
    return intake.model_copy(update={"date_formats": intake.date_formats | formats})


def known_formats(intake: IntakeConfig, source: SourceConfig) -> dict[str, str]:
    """The formats of date columns, declared in the contract or the intake or found, by column.

    None where all is ISO 8601.
    """
    if not isinstance(intake, TabularIntakeConfig):
        return {}
    declared = {
        name: spec.format for name, spec in source.columns.items() if spec.format and name in intake.dates
    }
    return {**intake.date_formats, **declared}


def open_columns(intake: TabularIntakeConfig) -> list[str]:
    """Date columns whose format the intake does not declare."""
    return [name for name in intake.dates if name not in intake.date_formats]


def kept_dates(
    entry: SourcePartition, intake: TabularIntakeConfig, kept: Path, code: str
) -> dict[str, Dates]:
    """What was seen of a partition's columns, now or in an earlier run."""
    how = entry.source.model_dump_json(include={"columns", "rows", "csv", "limits"})
    facts = json.dumps([code, entry.partition.id, how, open_columns(intake)])
    path = kept / f"dates-{hashlib.sha256(facts.encode()).hexdigest()[:24]}.json"
    if not path.exists():
        write_json(path, {name: asdict(dates) for name, dates in seen_dates(entry, intake).items()})
    return {name: Dates(**facts) for name, facts in read_json(path).items()}


def seen_dates(
    entry: SourcePartition, intake: TabularIntakeConfig, most: int | None = None
) -> dict[str, Dates]:
    """What a look through a partition shows of the columns whose dates are texts or numbers.

    most: tables that are looked at
    """
    seen: dict[str, Dates] = {}
    with secrets_hidden(entry.source):
        for number, table in enumerate(
            read_ahead(lambda: limit_rows(entry), entry.source.limits.seconds, entry.name)
        ):
            columns = {
                name: values
                for name in open_columns(intake)
                if (values := unread(table, name, entry)) is not None
            }
            for name, values in columns.items():
                seen.setdefault(name, Dates(entry.partition.origin)).add(values)
            if not columns or number + 1 == most:
                break
    return seen


def limit_rows(entry: SourcePartition) -> Iterator[pa.Table]:
    """A partition's tables, up to source.rows."""
    left = entry.source.rows
    for table in entry.partition.tables():
        yield table if left is None else table.slice(0, left)
        if left is not None and (left := left - len(table)) <= 0:
            return


def unread(table: pa.Table, name: str, entry: SourcePartition) -> pa.ChunkedArray | None:
    """A column of texts or numbers that stand for dates; None where it is absent, or is dates already."""
    spec = entry.source.columns.get(name)
    source_name = spec.source or name if spec else name
    if source_name not in table.column_names or (spec and spec.type == "timestamp"):
        return None
    values = (
        conform_column(table[source_name], name, spec, entry.name)
        if spec
        else plain_values(table[source_name])
    )
    kind = values.type
    known = pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return values if known else None


@contextmanager
def secrets_hidden(source: SourceConfig) -> Iterator[None]:
    """Errors name the variables of the source's place, not their values."""
    try:
        yield
    except Exception as error:
        text = str(error)
        if hide_values(text, location_of(source)) == text:
            raise
        raise ValueError(hide_values(text, location_of(source))) from None


def choose(column: str, seen: Iterable[Dates], name: str) -> Chosen | None:
    """The one format of a column; None where it has no value, or no format reads any.

    Then they all count as unreadable.

    Raises ValueError where files differ, or two formats read the values alike and mean other days.
    """
    seen = list(seen)
    fits = sum((Counter(dates.fits) for dates in seen), Counter[str]())
    values = sum(dates.values for dates in seen)
    most = max(fits.values(), default=0)
    if 2 * most < values and all(dates.numeric for dates in seen if dates.values):
        raise ValueError(f"{name}: {unknown_numbers(column, seen)}")
    if not fits:
        return None
    best = sorted((form for form in fits if fits[form] == most), key=rank)
    check_files(column, seen, best[0], name)
    check_sure(column, seen, best, name)
    example = next(dates.first[best[0]] for dates in seen if best[0] in dates.first)
    return Chosen(best[0], most, values, example)


def check_files(column: str, seen: list[Dates], form: str, name: str) -> None:
    """Raises ValueError where a file's dates are all in another format than most."""
    files: dict[str, list[Dates]] = {}
    for dates in seen:
        files.setdefault(dates.origin, []).append(dates)
    for origin, mine in files.items():
        fits, values = (
            sum((Counter(dates.fits) for dates in mine), Counter[str]()),
            sum(dates.values for dates in mine),
        )
        own = max(fits, key=lambda each: fits[each], default=form)
        if fits[own] > fits[form] and fits[own] >= WHOLE * values:
            theirs = next(dates for dates in seen if form in dates.first and dates.origin != origin)
            raise ValueError(
                f"{name}: column {column!r} (intake.dates) is written as {own or 'ISO 8601'} in {origin} ({mine[0].first[own]!r}) and as "
                f"{form or 'ISO 8601'} in {theirs.origin} ({theirs.first[form]!r}); write them alike, or put one kind of file into "
                f"source.append with its own columns.{column}: {{type: timestamp, format: ...}}"
            )


def check_sure(column: str, seen: list[Dates], best: list[str], name: str) -> None:
    """Raises ValueError where two formats read as many values, and not alike."""
    sample = [text for dates in seen for text in (*dates.sample, *dates.first.values())]
    for other in best[1:]:
        text = next(filter(lambda text: differ(text, best[0], other), [*sample, written_in(best[0])]), None)
        if text is not None:
            raise ValueError(
                f"{name}: column {column!r} (intake.dates): {text!r} is {spell_date(text, best[0])} as {best[0]}, and {spell_date(text, other)} as "
                f"{other}, and all its values can be read either way; set intake.date_formats.{column} to the one that is meant"
            )


def differ(text: str, one: str, other: str) -> bool:
    """Whether a text is a timestamp in both formats, and not the same."""
    first, second = timestamp_of(text, one), timestamp_of(text, other)
    return first is not None and second is not None and first != second


def written_in(form: str) -> str:
    """A timestamp whose day and month differ, in a format.

    The values that were seen may be first days of months alone.
    """
    return PROBE.isoformat() if form in (ISO_8601, *UNITS) else PROBE.strftime(form)


def unknown_numbers(column: str, seen: list[Dates]) -> str:
    """What is said of numbers that are no dates in any unit that is known by its range."""
    number = next(text for dates in seen for text in dates.sample)
    return (
        f"column {column!r} (intake.dates) holds numbers such as {number}, which are no timestamps of 1973 to 2286 in any unit; set "
        f"intake.date_formats.{column} to seconds, milliseconds, microseconds, nanoseconds or excel, or list it under intake.numeric"
    )


def timestamp_of(text: str, form: str) -> datetime | None:
    """What a value means in a format."""
    found: datetime | None = fitting(pa.chunked_array([pa.array([text], pa.string())]), form)[0].as_py()
    return found


def spell_date(text: str, form: str) -> str:
    """What a value means, with the month by name, so that nobody can mistake it."""
    found = timestamp_of(text, form)
    if found is None:
        return "no date"
    time: Any = found.time()
    clock = f" {time:%H:%M:%S}" if time != datetime.min.time() else ""
    return f"{found.day} {found:%B %Y}{clock}"
