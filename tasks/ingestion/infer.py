"""A contract from a source's first rows: types, missing texts, separators, units, formats, usual quantiles and a key, with remarks.

A type is proposed where `conform` takes every value with it, so that what is inferred from a whole file holds for it.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from configs.data import Column, Source
from tasks.ingestion.contract import conformed, plain
from tasks.ingestion.sniff import first_rows
from tasks.ingestion.units import FEWEST, SHARES, five
from tasks.ingestion.values import BLANKS

ROWS = 200_000
"""First rows that are looked at."""
MISSING = ("", "?", "NA", "N/A", "n/a", "#N/A", "NULL", "null", "None", "nan", "NaN", "NAN", "-", "--", ".", "(null)", "unknown", "Unknown")
SURELY_MISSING = ("", "?", "N/A", "n/a", "#N/A", "NULL", "null", "NaN", "nan", "(null)")
"""Also among words; NA may be Namibia, None an answer."""
FORMATS = tuple(
    f"{date}{time}"
    for date in (
        "%Y-%m-%d",
        "%m/%d/%Y",
        "%d/%m/%Y",
        "%d.%m.%Y",
        "%d-%m-%Y",
        "%m-%d-%Y",
        "%Y/%m/%d",
        "%m/%d/%y",
        "%d/%m/%y",
        "%d-%b-%Y",
        "%d-%b-%y",
        "%d %b %Y",
        "%b %d, %Y",
        "%b %d %Y",
        "%Y%m%d",
    )
    for time in ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %H:%M:%S.%f")
)
STRAYS = 3
"""Texts that are no numbers in a column of numbers and are taken for missing ones, at most."""
STRAY_SHARE = 0.05
"""Of the rows, that such texts may be."""
WORDS = 50
"""More different texts are no names of classes."""


@dataclass(frozen=True)
class Inferred:
    """A contract and what was noticed about each column."""

    source: Source
    rows: int
    remarks: dict[str, str]
    """By column; the empty name is the source's own."""


def infer(source: Source) -> Inferred:
    """The contract of a source's first rows. Raises ValueError where it has none, OSError where it cannot be read."""
    table = first_rows(source, ROWS)
    if not len(table):
        raise ValueError(f"source {source.path}: no rows to infer a contract from")
    columns, remarks = {}, {}
    for name in table.column_names:
        columns[name], noticed = column_of(plain(table[name]))
        if noticed:
            remarks[name] = "; ".join(noticed)
    if source.csv.names and source.reader == "csv" and source.csv.names[0] == "column_1":
        remarks[""] = "the file has no header line: rename columns in csv.names and columns"
    key = candidate_key(table)
    if key == "*":
        remarks["key"] = "no single column names a row, so whole rows do"
    return Inferred(source.model_copy(update={"columns": columns, "key": key}), len(table), remarks)


def column_of(values: pa.ChunkedArray) -> tuple[Column, list[str]]:
    """One column's contract and remarks."""
    if values.null_count == len(values):
        return Column(type="any" if not pa.types.is_string(values.type) else "text"), [f"no value in all {len(values)} rows"]
    if not pa.types.is_string(values.type):
        return typed(values)
    counted = pc.value_counts(pc.utf8_trim(values, BLANKS)).to_pylist()
    counts = Counter({row["values"] or "": row["counts"] for row in counted})
    if set(counts) <= {""}:
        return Column(type="text"), [f"no value in all {len(values)} rows"]
    spec, noticed = spec_of(counts)
    missing = [f"{counts[text]} of {len(values)} values are {repr(text) if text else 'blank'}" for text in spec.missing if counts.get(text)]
    return with_usual(values, spec), missing + noticed


def typed(values: pa.ChunkedArray) -> tuple[Column, list[str]]:
    """The contract of a column whose source has types of its own."""
    found = values.type
    kind: Any = "any"
    for holds, name in (
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_integer, "integer"),
        (pa.types.is_floating, "number"),
        (pa.types.is_decimal, "number"),
        (pa.types.is_temporal, "timestamp"),
    ):
        if holds(found):
            kind = name
            break
    if pa.types.is_time(found) or pa.types.is_duration(found):
        kind = "any"
    noticed = [f"{values.null_count} of {len(values)} values are missing"] if values.null_count else []
    return with_usual(values, Column(type=kind)), noticed


def spec_of(counts: Counter[str]) -> tuple[Column, list[str]]:
    """The narrowest contract that takes all texts, and remarks."""
    there = [text for text in MISSING if text in counts]
    best, fitting = None, None
    for spec in candidates(counts):
        strays = unfit(counts, spec.model_copy(update={"missing": tuple(dict.fromkeys(("", *there)))}))
        few = len(strays) <= STRAYS and sum(counts[text] for text in strays) <= STRAY_SHARE * counts.total()
        if not strays or (few and best is None and spec.type in ("integer", "number")):
            best, fitting = spec.model_copy(update={"missing": tuple(dict.fromkeys(("", *there, *strays)))}), strays
            if not strays:
                break
    if best is None:
        return words(counts)
    odd = [f"{text!r} is no {best.type}, taken for a missing value" for text in fitting or []]
    return best, [*odd, *written(best, counts)]


def candidates(counts: Counter[str]) -> Iterator[Column]:
    """Contracts to try, the narrowest first."""
    present = [text for text in counts if text not in MISSING]
    if not present:
        return
    if {text.lower() for text in present} <= {"true", "false"}:
        yield Column(type="boolean")
    if not any(re.match(r"[+-]?0\d", text) for text in present):
        digits = sum(bool(re.search(r"\d", text)) for text in present) > 0.5 * len(present)
        if digits:
            yield from numbers(present)
    if sum(bool(re.search(r"\d", text)) for text in present) > 0.9 * len(present):
        yield Column(type="timestamp")
        yield from (Column(type="timestamp", format=form) for form in FORMATS)


def numbers(present: list[str]) -> Iterator[Column]:
    """Whole numbers, numbers, with separators, decimal commas and units."""
    units = Counter(found[1] for text in present if (found := re.fullmatch(r"[+-]?[\d.,]*\d\s*([^\d\s.,+-][^\d]*?)\s*", text)))
    suffix, times = units.most_common(1)[0] if units else ("", 0)
    suffixes = ["", suffix] if times >= 0.9 * len(present) else [""]
    for cut in suffixes:
        for kind in ("integer", "number"):
            yield Column(type=kind, suffix=cut)
            yield Column(type=kind, suffix=cut, thousands=",")
        yield Column(type="number", suffix=cut, decimal=",")
        yield Column(type="number", suffix=cut, thousands=".", decimal=",")
        yield Column(type="number", suffix=cut, thousands=" ", decimal=",")


def unfit(counts: Counter[str], spec: Column) -> list[str]:
    """The texts that a contract does not take, until there are too many."""
    strays: list[str] = []
    values = list(counts)
    while len(strays) <= STRAYS:
        chosen = spec.model_copy(update={"missing": (*spec.missing, *strays)})
        try:
            conformed(pa.chunked_array([pa.array(values, pa.string())]), "", chosen, "")
        except ValueError as error:
            found = re.search(r"row (\d+):", str(error))
            if found is None:
                break
            strays.append(values[int(found[1]) - 1])
        else:
            break
    return strays


def words(counts: Counter[str]) -> tuple[Column, list[str]]:
    """The contract of texts."""
    missing = tuple(text for text in SURELY_MISSING if text in counts or not text)
    present = [text for text in counts if text not in missing]
    noticed = []
    doubtful = [text for text in MISSING if text in counts and text not in missing]
    if doubtful:
        noticed.append(f"{', '.join(map(repr, doubtful))} may stand for missing values: add to `missing` if so")
    if len(present) <= WORDS and present and all(text.endswith(".") and len(text) > 1 for text in present):
        return Column(type="text", missing=missing, suffix="."), [*noticed, "every value ends with a dot, which is cut"]
    return Column(type="text", missing=missing), noticed


def written(spec: Column, counts: Counter[str]) -> list[str]:
    """Remarks on how values are written."""
    noticed = []
    if spec.suffix:
        noticed.append(f"values end with {spec.suffix!r}, which is cut")
    if spec.thousands or spec.decimal != ".":
        noticed.append(f"numbers are written like {next(text for text in counts if re.search(r'[,.]', text))!r}")
    if spec.format and (other := swapped(spec.format)) and not unfit(counts, spec.model_copy(update={"format": other})):
        noticed.append(f"day and month cannot be told apart: {other} fits as well")
    return noticed


def swapped(form: str) -> str | None:
    """A format with day and month the other way round; None where a date cannot be mistaken so."""
    for one, other in (("%m/%d", "%d/%m"), ("%d/%m", "%m/%d"), ("%m-%d-", "%d-%m-"), ("%d-%m-", "%m-%d-")):
        if form.startswith(one):
            return form.replace(one, other, 1)
    return None


def with_usual(values: pa.ChunkedArray, spec: Column) -> Column:
    """A number's contract with its usual quantiles, where they say something."""
    if spec.type not in ("integer", "number"):
        return spec
    numbers = conformed(values, "", spec.model_copy(update={"required": False}), "").drop_null().to_numpy()
    if len(numbers) < FEWEST:
        return spec
    found = five([float(f"{value:.6g}") for value in np.quantile(numbers, SHARES, method="inverted_cdf")])
    return spec.model_copy(update={"usual": found}) if len(set(found)) >= 3 else spec


def candidate_key(table: pa.Table) -> str:
    """The column that most likely names a row; `*` where none does."""
    unique = [
        name
        for name in table.column_names
        if (pa.types.is_integer(table[name].type) or pa.types.is_string(table[name].type))
        and not table[name].null_count
        and pc.count_distinct(table[name]).as_py() == len(table)
    ]
    named = [name for name in unique if re.search(r"(^|_)(id|key|uuid|index|number|instant)$|ID$|Id$", name)]
    first = [name for name in unique if name == table.column_names[0]]
    return next(iter([*named, *first]), "*")


def to_yaml(inferred: Inferred) -> str:
    """The `source:` section of a project's YAML, with the remarks as comments."""
    source, remarks = inferred.source, inferred.remarks
    lines = [f"# inferred from the first {inferred.rows} rows; read it, and change what you know better", "source:"]
    lines += [f"  # {remarks[name]}" for name in ("", "key") if name in remarks]
    lines += [f"  reader: {source.reader}", f"  path: {quoted(source.path)}", f"  key: {quoted(source.key)}"]
    changed = source.csv.model_dump(exclude_defaults=True)
    lines += [f"  csv: {quoted(changed)}"] if changed else []
    lines += [f"  sql: {quoted(source.sql.model_dump(exclude_none=True))}"] if source.sql else []
    lines.append("  columns:")
    for name, spec in source.columns.items():
        comment = f"  # {remarks[name]}" if name in remarks else ""
        lines.append(f"    {quoted(name)}: {quoted(spec.model_dump(exclude_defaults=True))}{comment}")
    return "\n".join(lines) + "\n"


def quoted(value: Any) -> str:
    """A value as YAML and JSON both have it."""
    return json.dumps(value, ensure_ascii=False)
