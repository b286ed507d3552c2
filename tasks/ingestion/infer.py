"""A contract from a source's first rows: types, missing texts, separators, units, formats, usual quantiles and a key, with remarks.

A type is proposed where `conform` takes every value with it, so that what is inferred from a whole file holds for it.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from configs.data import Column, Source
from tasks.ingestion.contract import conformed, plain
from tasks.ingestion.guess import spec_of
from tasks.ingestion.sniff import first_rows
from tasks.ingestion.units import FEWEST, SHARES, five
from tasks.ingestion.values import BLANKS

ROWS = 200_000
"""First rows that are looked at."""


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
        raise ValueError(f"source {without_password(str(source.path))}: no rows to infer a contract from")
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


def with_usual(values: pa.ChunkedArray, spec: Column) -> Column:
    """A number's contract with its usual quantiles, where they say something: of running numbers they double when the rows do."""
    if spec.type not in ("integer", "number"):
        return spec
    numbers = conformed(values, "", spec.model_copy(update={"required": False}), "").drop_null().to_numpy()
    if len(numbers) < FEWEST or (spec.type == "integer" and len(np.unique(numbers)) == len(numbers)):
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
        and not (pa.types.is_string(table[name].type) and pc.any(pc.match_substring(table[name], " ")).as_py())
    ]
    named = [name for name in unique if re.search(r"(^|_)(id|key|uuid|index|number|instant)$|ID$|Id$", name)]
    first = [name for name in unique if name == table.column_names[0]]
    return next(iter([*named, *first]), "*")


def to_yaml(inferred: Inferred) -> str:
    """The `source:` section of a project's YAML, with the remarks as comments."""
    source, remarks = inferred.source, inferred.remarks
    key = source.key if isinstance(source.key, str) else list(source.key)
    lines = [f"# inferred from the first {inferred.rows} rows; read it, and change what you know better", "source:"]
    lines += [f"  # {remarks[name]}" for name in ("", "key") if name in remarks]
    lines += [f"  reader: {source.reader}", f"  path: {flow(without_password(str(source.path)))}", f"  key: {flow(key)}"]
    changed = source.csv.model_dump(mode="json", exclude_defaults=True)
    lines += [f"  csv: {flow(changed)}"] if changed else []
    lines += [f"  sql: {flow(source.sql.model_dump(exclude_none=True))}"] if source.sql else []
    lines.append("  columns:")
    for name, spec in source.columns.items():
        comment = f"  # {remarks[name]}" if name in remarks else ""
        lines.append(f"    {flow(name)}: {flow(spec.model_dump(mode='json', exclude_defaults=True))}{comment}")
    return "\n".join(lines) + "\n"


def without_password(url: str) -> str:
    """A URL whose password is a variable of the environment: it would be read by whoever reads the YAML."""
    return re.sub(r"://([^:/@]*):(?!\$)[^@/]*@", r"://\1:$PASSWORD@", url)


def flow(value: Any) -> str:
    """A value as YAML has it on one line."""
    written: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=2**20)
    return written.removesuffix("...\n").strip()
