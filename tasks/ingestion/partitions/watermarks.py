"""Watermarks: values of a column that only grows, as they are kept from run to run, and of files the rows above them.

Of a file that changed only the rows above its watermark are new. The ranges that runs have seen are listed
under the home; the list only grows, so nothing that was read is read again. Ranges come in the order of their
watermarks: a row that came late does not take a newer one's place.
"""

import hashlib
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from configs.source import SourceConfig
from infra.files import read_json, write_json
from tasks.ingestion.lines import LINE
from tasks.ingestion.parsing.contract import conform_column, having, plain_values
from tasks.ingestion.parsing.conversions import Conversions
from tasks.ingestion.readers import Partition
from tasks.ingestion.readers.location import name_of
from tasks.pipeline.code import code_digest

KINDS: dict[str, Any] = {
    "int": int, "float": float, "str": str, "Decimal": Decimal, "datetime": datetime.fromisoformat, "date": date.fromisoformat,
}  # fmt: skip
Watermark = list[str]
"""A value's Python type and text."""


def to_json_value(value: Any) -> Watermark:
    """A value for JSON. Raises ValueError for a type that cannot be a watermark."""
    if type(value).__name__ not in KINDS:
        raise ValueError(
            f"watermark {value!r}: is {type(value).__name__}; want a number, text or time column in source.watermark"
        )
    return [type(value).__name__, str(value)]


def from_json_value(watermark: Watermark) -> Any:
    """A value as it was."""
    return KINDS[watermark[0]](watermark[1])


def ledger_path(source: SourceConfig, kept: Path) -> Path:
    """Where the watermarks of a source are listed."""
    identity = source.model_dump_json(include={"reader", "path", "sql", "options", "watermark"})
    return kept / f"watermark-{hashlib.sha256(identity.encode()).hexdigest()[:24]}.json"


def ranges(
    found: list[Partition], source: SourceConfig, kept: Path, conversions: Conversions
) -> list[Partition]:
    """Partitions of a source's files (files of one name count as one) as partitions of the ranges of those that are still there.

    kept: folder of the list. Lines that are no rows and rows without a value are in no range; they are noted
    in `conversions`. Raises ValueError where the column is absent, has no value in any row, or cannot be a
    watermark.
    """
    files: dict[str, list[Partition]] = {}
    for each in found:
        files.setdefault(each.origin, []).append(each)
    path = ledger_path(source, kept)
    before = read_json(path) if path.exists() else []
    looks = look_through(files, source, path.with_name(f"looks-{path.name}"))
    for look in looks.values():
        conversions.take(look["counts"])
    seen = [*before, *(new for origin, look in looks.items() if (new := unseen_range(origin, look, before)))]
    if len(seen) > len(before):
        write_json(path, seen)
    if not seen and conversions.count("unmarked_rows"):
        raise ValueError(no_watermark(source))
    return [
        Partition(
            each["origin"],
            each,
            partial(rows_between, files[each["origin"]], source, each["above"], each["to"]),
        )
        for each in sorted(seen, key=lambda each: from_json_value(each["to"]))
        if each["origin"] in files
    ]


def look_through(
    files: dict[str, list[Partition]], source: SourceConfig, path: Path
) -> dict[str, dict[str, Any]]:
    """By file its content's digest, its newest watermark, and counts of what is in none of its ranges.

    Only a changed file is read.

    path: where the looks are kept
    """
    before = read_json(path) if path.exists() else {}
    how = [code_digest(__name__), source.model_dump(include={"columns", "csv"}, mode="json")]
    looks: dict[str, dict[str, Any]] = {}
    for origin, partitions in files.items():
        content = hashlib.sha256("".join(each.id for each in partitions).encode()).hexdigest()
        look = before.get(origin, {})
        if (look.get("content"), look.get("how")) != (content, how):
            newest, counts = look_at(partitions, source)
            look = {"content": content, "how": how, "newest": newest, "counts": counts}
        looks[origin] = look
    if looks != before:
        write_json(path, looks)
    return looks


def look_at(
    partitions: list[Partition], source: SourceConfig
) -> tuple[Watermark | None, list[dict[str, Any]]]:
    """The newest watermark of a file's rows, and counts of what has none."""
    conversions, newest = Conversions(), None
    for each in partitions:
        for table in rows_with_watermark(each, source, conversions):
            watermark = pc.max(watermark_values(table, source)).as_py()
            newest = watermark if newest is None or (watermark is not None and watermark > newest) else newest
    return None if newest is None else to_json_value(newest), conversions.as_json()


def rows_with_watermark(
    each: Partition, source: SourceConfig, conversions: Conversions
) -> Iterator[pa.Table]:
    """A partition's rows that have a value in the watermark's column; the others are noted."""
    for table in each.read(conversions):
        watermarks = watermark_values(table, source)
        numbers = pc.fill_null(pc.equal(watermarks, watermarks), False)  # NaN equals nothing, itself neither
        there = pc.and_(pc.is_valid(watermarks), numbers)
        lines = table[LINE].filter(pc.invert(there))
        examples = [f"line {line} of {each.origin}" for line in lines[:3].to_pylist()]
        conversions.add("unmarked_rows", str(source.watermark), len(lines), len(table), examples)
        yield table.filter(there)


def no_watermark(source: SourceConfig) -> str:
    """What is said of a source none of whose rows can be read."""
    fix = "set source.watermark to a column that has them, or take it out"
    return f"{name_of(source)}: no row has a value in {source.watermark!r} (source.watermark), so none is read; {fix}"


def unseen_range(origin: str, look: dict[str, Any], seen: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The range of a file's rows that no run has seen; None where there are none."""
    last = next((each for each in reversed(seen) if each["origin"] == origin), {"content": None, "to": None})
    newest = look["newest"]
    if newest is None or last["content"] == look["content"]:
        return None
    if last["to"] and from_json_value(newest) <= from_json_value(last["to"]):
        return None
    return {"origin": origin, "content": look["content"], "above": last["to"], "to": newest}


def rows_between(
    partitions: list[Partition], source: SourceConfig, above: Watermark | None, to: Watermark
) -> Iterator[pa.Table]:
    """The rows above one watermark, up to and including another.

    Those without a value are in no range (see `look_at`, which counts them).
    """
    for each in partitions:
        for table in each.read(Conversions()):
            watermarks = watermark_values(table, source)
            inside = pc.less_equal(watermarks, pa.scalar(from_json_value(to), watermarks.type))
            yield table.filter(
                pc.and_(inside, pc.greater(watermarks, pa.scalar(from_json_value(above), watermarks.type)))
                if above
                else inside
            )


def watermark_values(table: pa.Table, source: SourceConfig) -> pa.ChunkedArray:
    """The watermark's column in the contract's type, or in its own where the contract does not have it."""
    name = str(source.watermark)
    if name not in table.column_names:
        raise ValueError(
            f"{name_of(source)}: no column {name!r} (source.watermark){having(table.column_names)}"
        )
    spec = next((spec for column, spec in source.columns.items() if (spec.source or column) == name), None)
    found = conform_column(table[name], name, spec, name_of(source)) if spec else plain_values(table[name])
    return (
        found.cast(pa.timestamp("us", found.type.tz), safe=False)
        if pa.types.is_timestamp(found.type)
        else found
    )
