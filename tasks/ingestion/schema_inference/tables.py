"""A contract from a source's first rows.

Types, missing texts, separators, units, formats, usual quantiles and a key, with remarks.

A type is proposed where `conform` takes every value with it, so that what is inferred from a whole file holds
for it.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from configs.source import ColumnConfig, SourceConfig
from tasks.ingestion.parsing.contract import conform_column, flatten_records, plain_values
from tasks.ingestion.parsing.unit_changes import FEWEST, SHARES, five
from tasks.ingestion.parsing.values import BLANKS
from tasks.ingestion.readers.location import GLOB
from tasks.ingestion.schema_inference.column_types import spec_of
from tasks.ingestion.schema_inference.file_formats import (
    files_of,
    first_line,
    first_rows,
    odd_lines,
    sniff_source,
)
from tasks.ingestion.schema_inference.key_columns import choose_key

ROWS = 200_000
"""First rows that are looked at."""


@dataclass(frozen=True)
class Inferred:
    """A contract and what was noticed about each column."""

    source: SourceConfig
    rows: int
    remarks: dict[str, str]
    """By column; the empty name is the source's own."""


def infer(source: SourceConfig) -> Inferred:
    """The contract of a source's first rows.

    Raises ValueError where it has none, OSError where it cannot be read.
    """
    table = flatten_records(first_rows(source, ROWS))
    if not len(table):
        name = without_password(str(source.path))
        raise ValueError(
            f"source {name}: no rows to infer a contract from; bring some, or name a file that has them"
        )
    columns, remarks = {}, {}
    for name in table.column_names:
        columns[name], noticed = column_of(plain_values(table[name]))
        if noticed:
            remarks[name] = "; ".join(noticed)
    if source.reader == "csv":
        remarks[""] = "; ".join(about_lines(source))
    chosen = choose_key(table, source.reader in ("csv", "jsonl", "parquet", "delta"))
    if chosen.remark:
        remarks["key"] = chosen.remark
    return Inferred(source.model_copy(update={"columns": columns, "key": chosen.key}), len(table), remarks)


def infer_files(location: str, table: str | None = None) -> Inferred:
    """As `infer`, of a file, URL or database, or of the first file of a folder or glob.

    Raises ValueError where there is none.
    """
    files = files_of(location)
    found = infer(sniff_source(files[0] if files else location, table))
    if not files:
        return found
    path = location if GLOB.search(location) else f"{location.rstrip('/')}/*{Path(files[0]).suffix}"
    first = f"inferred from {Path(files[0]).name}, the first of {len(files)} files"
    remarks = found.remarks | {"": "; ".join(filter(None, [first, found.remarks.get("", "")]))}
    return Inferred(found.source.model_copy(update={"path": path}), found.rows, remarks)


def about_lines(source: SourceConfig) -> list[str]:
    """What a CSV file's first lines were taken for, and why."""
    found = first_line(str(source.path), source.csv)
    lines = (
        "1 line before the table is"
        if source.csv.skip == 1
        else f"{source.csv.skip} lines before the table are"
    )
    told = [f"{lines} left out (csv.skip)"] if source.csv.skip else []
    told += filter(None, [odd_lines(str(source.path), source.csv)])
    if not found.there:
        return [*told, f"no header line: {found.why}; rename columns in csv.names and columns"]
    told.append(f"line {source.csv.skip + 1} is the header: {found.why}")
    repeats = [name for name in found.repeated if name]
    if repeats:
        told.append(
            f"it has {', '.join(map(repr, repeats))} more than once, so csv.names gives every column a name of its own"
        )
    if "" in found.repeated:
        told.append("it leaves names out, so csv.names gives every column one")
    return told


def column_of(values: pa.ChunkedArray) -> tuple[ColumnConfig, list[str]]:
    """One column's contract and remarks."""
    if values.null_count == len(values):
        return ColumnConfig(type="any" if not pa.types.is_string(values.type) else "text"), [
            f"no value in all {len(values)} rows"
        ]
    if not pa.types.is_string(values.type):
        return typed_column(values)
    counted = pc.value_counts(pc.utf8_trim(values, BLANKS)).to_pylist()
    counts = Counter({row["values"] or "": row["counts"] for row in counted})
    if set(counts) <= {""}:
        return ColumnConfig(type="text"), [f"no value in all {len(values)} rows"]
    spec, noticed = spec_of(counts)
    missing = [
        f"{counts[text]} of {len(values)} values are {repr(text) if text else 'blank'}"
        for text in spec.missing
        if counts.get(text)
    ]
    return with_usual(values, spec), missing + noticed


def typed_column(values: pa.ChunkedArray) -> tuple[ColumnConfig, list[str]]:
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
    return with_usual(values, ColumnConfig(type=kind)), noticed


def with_usual(values: pa.ChunkedArray, spec: ColumnConfig) -> ColumnConfig:
    """A number's contract with its usual quantiles, where they say something.

    Of running numbers they double when the rows do.
    """
    if spec.type not in ("integer", "number"):
        return spec
    numbers = (
        conform_column(values, "", spec.model_copy(update={"required": False}), "").drop_null().to_numpy()
    )
    if len(numbers) < FEWEST or (spec.type == "integer" and len(np.unique(numbers)) == len(numbers)):
        return spec
    found = five([float(f"{value:.6g}") for value in np.quantile(numbers, SHARES, method="inverted_cdf")])
    return spec.model_copy(update={"usual": found}) if len(set(found)) >= 3 else spec


def to_yaml(inferred: Inferred) -> str:
    """The `source:` section of a project's YAML, with the remarks as comments."""
    source, remarks = inferred.source, inferred.remarks
    key = source.key if isinstance(source.key, str) else list(source.key)
    lines = [
        f"# inferred from the first {inferred.rows} rows; read it, and change what you know better",
        "source:",
    ]
    lines += [f"  # {remarks[name]}" for name in ("", "key") if name in remarks]
    lines += [
        f"  reader: {source.reader}",
        f"  path: {flow(without_password(str(source.path)))}",
        f"  key: {flow(key)}",
    ]
    changed = source.csv.model_dump(mode="json", exclude_defaults=True)
    lines += [f"  csv: {flow(changed)}"] if changed else []
    lines += [f"  sql: {flow(source.sql.model_dump(exclude_none=True))}"] if source.sql else []
    lines.append("  columns:")
    for name, spec in source.columns.items():
        comment = f"  # {remarks[name]}" if name in remarks else ""
        lines.append(
            f"    {flow(name)}: {flow(spec.model_dump(mode='json', exclude_defaults=True))}{comment}"
        )
    return "\n".join(lines) + "\n"


def without_password(url: str) -> str:
    """A URL whose password is a variable of the environment: it would be read by whoever reads the YAML."""
    return re.sub(r"://([^:/@]*):(?!\$)[^@/]*@", r"://\1:$PASSWORD@", url)


def flow(value: Any) -> str:
    """A value as YAML has it on one line."""
    written: str = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=2**20
    )
    return written.removesuffix("...\n").strip()
