"""What is odd about labelled rows before anything learns from them.

Labels missing or all alike, inputs that say nothing or all.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from tasks.intake import Intake
from tasks.records import Finding, Stored
from tasks.result import Result
from tasks.result.label_leakage import leaks
from tasks.rows.lookalike import spellings_of_one
from tasks.rows.parts import part_paths, schema_of, tables
from tasks.rows.sql import identifier, open_database

STAGE = "label"
SHOWN = 5


def missing_labels(label: str, missing: int, total: int) -> list[Finding]:
    """Rows without a label, which nothing can be learned from."""
    if not missing:
        return []
    told = "rows have no label and are left out"
    advice = "mend the labels in the source"
    return [
        Finding(
            stage=STAGE,
            check="missing_labels",
            about=label,
            count=missing,
            total=total,
            told=told,
            advice=advice,
        )
    ]


def odd_labels(rows: Stored, result: Result) -> list[Finding]:
    """One label for all rows, or classes that no row has."""
    counts: Counter[Any] = Counter()
    for path in part_paths(Path(rows.uri)):
        for table in tables(path, [result.label]):
            counts.update(
                {each["values"]: each["counts"] for each in pc.value_counts(table[result.label]).to_pylist()}
            )
    total = sum(counts.values())
    if len(counts) == 1:
        told = f"rows have the same label, {str(next(iter(counts)))!r}: there is nothing to learn"
        advice = "check result.label and the source's rows"
        return [
            Finding(
                stage=STAGE,
                check="constant_label",
                about=result.label,
                count=total,
                total=total,
                told=told,
                advice=advice,
            )
        ]
    names = Counter({str(value): count for value, count in counts.items()})
    return [*alike_classes(result, names), *absent_classes(result, names)]


def alike_classes(result: Result, counts: Counter[str]) -> list[Finding]:
    """Classes that are probably one class, written in several ways."""
    findings = []
    for spellings in spellings_of_one(result.classes or ()):
        usual = max(spellings, key=lambda name: counts[name])
        others = [name for name in spellings if name != usual]
        replaced = ", ".join(f"{name!r}: {usual!r}" for name in others)
        findings.append(
            Finding(
                stage=STAGE,
                check="alike_classes",
                about=result.label,
                count=sum(counts[name] for name in others),
                total=counts.total(),
                told=f"rows have a class that is written like {usual!r} but for case, blanks or punctuation",
                examples=tuple(f"{name} ({counts[name]:,})" for name in others[:SHOWN]),
                advice=f"if it is one class, set source.columns.{result.label}.replace to {{{replaced}}}",
            )
        )
    return findings


def absent_classes(result: Result, counts: Counter[str]) -> list[Finding]:
    """Classes that no row has."""
    absent = [name for name in result.classes or () if name not in counts]
    if not absent:
        return []
    finding = Finding(
        stage=STAGE,
        check="absent_classes",
        about=result.label,
        count=len(absent),
        total=len(result.classes or ()),
        told="classes of result.classes have no row",
        examples=tuple(absent[:SHOWN]),
        advice="take them out of result.classes, or bring rows of them",
    )
    return [finding]


def constant_inputs(rows: Stored, intake: Intake) -> list[Finding]:
    """Single-valued inputs that are the same in all rows, or missing in all."""
    folder = Path(rows.uri)
    there = schema_of(folder).names
    names = [spec.name for spec in intake.inputs if not spec.shape and spec.name in there]
    if not names:
        return []
    columns = ", ".join(
        f"min({identifier(name)}), max({identifier(name)}), count({identifier(name)})" for name in names
    )
    with open_database() as connection:
        query = f"SELECT count(*), {columns} FROM read_parquet(?)"
        (total, *found) = connection.execute(query, [[str(path) for path in part_paths(folder)]]).fetchall()[
            0
        ]
    findings = []
    for place, name in enumerate(names):
        low, high, values = found[3 * place : 3 * place + 3]
        if values == 0 or (low == high and values == total):
            what = f"are {str(low)!r}" if values else "are missing"
            told = f"values {what}: the column says nothing"
            findings.append(
                Finding(stage=STAGE, check="constant_inputs", about=name, count=total, total=total, told=told)
            )
    return findings


def leaking_inputs(sample: pd.DataFrame, intake: Intake, result: Result) -> list[Finding]:
    """Inputs that all but determine the label, on a sample of the rows."""
    findings = []
    for leak in leaks(sample, intake, result):
        told = f"rows were asked: the label follows from this input alone ({leak.gain:.1%} of a constant guess's error is gone)"
        advice = "take the column out of intake if it is only known once the label is"
        size = len(sample)
        findings.append(
            Finding(
                stage=STAGE,
                check="leaking_inputs",
                about=leak.inputs,
                count=size,
                total=size,
                told=told,
                advice=advice,
            )
        )
    return findings
