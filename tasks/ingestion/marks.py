"""Watermarks: values of a column that only grows, as they are kept from run to run, and of files the rows above them.

Of a file that changed only the rows above its mark are new. The ranges that runs have seen are listed under the home; the list only grows,
so nothing that was read is read again. Ranges come in the order of their marks: a row that came late does not take a newer one's place.
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

from configs.data import Source
from infra.files import read_json, write_json
from tasks.ingestion.contract import conformed, having, plain
from tasks.ingestion.location import name_of
from tasks.ingestion.readers import Slice

KINDS: dict[str, Any] = {
    "int": int, "float": float, "str": str, "Decimal": Decimal, "datetime": datetime.fromisoformat, "date": date.fromisoformat,
}  # fmt: skip
Mark = list[str]
"""A value's Python type and text."""


def written(value: Any) -> Mark:
    """A value for JSON. Raises ValueError for a type that cannot be a watermark."""
    if type(value).__name__ not in KINDS:
        raise ValueError(f"watermark {value!r}: is {type(value).__name__}; want a number, text or time column in source.watermark")
    return [type(value).__name__, str(value)]


def restored(mark: Mark) -> Any:
    """A value as it was."""
    return KINDS[mark[0]](mark[1])


def ledger(source: Source, kept: Path) -> Path:
    """Where the marks of a source are listed."""
    identity = source.model_dump_json(include={"reader", "path", "sql", "options", "watermark"})
    return kept / f"watermark-{hashlib.sha256(identity.encode()).hexdigest()[:24]}.json"


def ranges(found: list[Slice], source: Source, kept: Path) -> list[Slice]:
    """Slices of a source's files (files of one name count as one) as slices of the ranges of those that are still there.

    kept: folder of the list. Raises ValueError where the column is absent or cannot be a watermark.
    """
    files: dict[str, list[Slice]] = {}
    for each in found:
        files.setdefault(each.origin, []).append(each)
    path = ledger(source, kept)
    before = read_json(path) if path.exists() else []
    seen = [*before, *(new for origin, slices in files.items() if (new := newer(origin, slices, source, before)))]
    if len(seen) > len(before):
        write_json(path, seen)
    return [
        Slice(each["origin"], each, partial(between, files[each["origin"]], source, each["above"], each["to"]))
        for each in sorted(seen, key=lambda each: restored(each["to"]))
        if each["origin"] in files
    ]


def newer(origin: str, slices: list[Slice], source: Source, seen: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The range of a file's rows that no run has seen; None where there are none. A file is looked through only where it changed."""
    content = hashlib.sha256("".join(each.id for each in slices).encode()).hexdigest()
    last = next((each for each in reversed(seen) if each["origin"] == origin), {"content": None, "to": None})
    if last["content"] == content:
        return None
    greatest = [pc.max(values(table, source)).as_py() for each in slices for table in each.tables()]
    newest = max((mark for mark in greatest if mark is not None), default=None)
    if newest is None or (last["to"] and newest <= restored(last["to"])):
        return None
    return {"origin": origin, "content": content, "above": last["to"], "to": written(newest)}


def between(slices: list[Slice], source: Source, above: Mark | None, to: Mark) -> Iterator[pa.Table]:
    """The rows above one mark, up to and including another; those without a value are in no range."""
    for each in slices:
        for table in each.tables():
            marks = values(table, source)
            inside = pc.less_equal(marks, pa.scalar(restored(to), marks.type))
            yield table.filter(pc.and_(inside, pc.greater(marks, pa.scalar(restored(above), marks.type))) if above else inside)


def values(table: pa.Table, source: Source) -> pa.ChunkedArray:
    """The watermark's column in the contract's type, or in its own where the contract does not have it."""
    name = str(source.watermark)
    if name not in table.column_names:
        raise ValueError(f"{name_of(source)}: no column {name!r} (source.watermark){having(table.column_names)}")
    spec = next((spec for column, spec in source.columns.items() if (spec.source or column) == name), None)
    found = conformed(table[name], name, spec, name_of(source)) if spec else plain(table[name])
    return found.cast(pa.timestamp("us", found.type.tz), safe=False) if pa.types.is_timestamp(found.type) else found
