"""Puts the consensus into the rows, and finds what is doubtful about the labels.

Rows pass through a row group at a time; the annotators' answers are held in memory as a whole, since each
weighs the others.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from configs.labeling import LabelingConfig
from infra.files import verify, whole_file, whole_folder
from tasks.intake import Intake
from tasks.labeling import checks
from tasks.labeling.consensus import ANSWER, TASK, answers_of, beliefs, consensus, majority, quality
from tasks.labeling.label_errors import suspects
from tasks.records import AnnotatorQuality, LabelReport, Stored, ValidationReport
from tasks.result import Result
from tasks.rows.parts import part_paths, read, record_of, rewrite, sample, schema_of, tables

SAMPLE = 5000
"""Rows that say whether an input gives the label away."""


@dataclass(frozen=True)
class Agreed:
    """What several annotators' answers come to."""

    labels: pd.Series
    """Consensus by id, for the rows that have an answer."""
    beliefs: pd.DataFrame
    """How probable each label is, [ids, labels]."""
    agreement: float
    relabelled: int
    annotators: tuple[AnnotatorQuality, ...]


def label(
    report: ValidationReport, labeling: LabelingConfig, intake: Intake, result: Result, output: Path
) -> LabelReport:
    """Labelled rows under `<output>/rows`, suspects in `<output>/suspects.parquet`.

    Rows nobody labelled are left out.

    A row of production keeps the truth that arrived for it. Raises ValueError for a missing annotator,
    DigestError for changed rows.
    """
    agreed = agree(report, labeling, result.label) if labeling.annotators else None
    given = consensus_columns(agreed, result) if agreed else None
    with whole_folder(output / "rows") as partial:
        rows = rewrite(report, partial, lambda table: keep_labelled(table, given, result.label))
        if not rows:
            raise ValueError(f"no row has a label in column {result.label!r}")
    made = record_of(output / "rows")
    failures = gate(made, agreed, labeling, result)
    findings = checks.missing_labels(result.label, report.rows - rows, report.rows)
    if not failures:
        findings += checks.odd_labels(made, result) + checks.constant_inputs(made, intake)
        findings += checks.leaking_inputs(sample(made, SAMPLE), intake, result)
    found = (
        pd.DataFrame()
        if failures
        else suspects(sample(made, labeling.sample), intake, result, labeling.suspects)
    )
    if len(found):
        with whole_file(output / "suspects.parquet") as temporary:
            found.to_parquet(temporary, index=False)
    return LabelReport(
        **made.model_dump(),
        rows=rows,
        agreement=agreed.agreement if agreed else 1.0,
        annotators=agreed.annotators if agreed else (),
        relabelled=agreed.relabelled if agreed else 0,
        suspects=record_of(output / "suspects.parquet") if len(found) else None,
        suspected=len(found),
        failures=failures,
        findings=tuple(findings),
    )


def agree(rows: Stored, labeling: LabelingConfig, column: str) -> Agreed:
    """The consensus of the annotators about the source's rows, how far they agree, and how each of them did.

    A label that the source brought along is overwritten: annotators are asked because it is not to be
    trusted.
    """
    there = schema_of(Path(rows.uri)).names
    frame = read(rows, columns=[name for name in ("id", "origin", *labeling.annotators) if name in there])
    answers = answers_of(frame[frame["origin"] != "feedback"], labeling.annotators)
    believed = beliefs(answers)
    labels = consensus(believed)
    right = answers[ANSWER] == answers[TASK].map(labels)
    changed = int((labels != majority(answers).reindex(labels.index)).sum())
    return Agreed(
        labels,
        believed,
        float(right.mean()) if len(right) else 0.0,
        changed,
        quality(answers, labels, labeling.annotators),
    )


def consensus_columns(agreed: Agreed, result: Result) -> pa.Table:
    """What the consensus says of each `id`, under the names of the columns that take it."""
    columns: dict[str, Any] = {"id": agreed.labels.index, result.label: pa.array(agreed.labels, pa.string())}
    if result.soft_label:
        # An answer that is no class stops the run by itself.
        believed = agreed.beliefs.reindex(columns=result.classes, fill_value=0.0).to_numpy(np.float32)
        columns[result.soft_label] = pa.array(list(believed), pa.list_(pa.float32()))
    return pa.table(columns)


def keep_labelled(table: pa.Table, given: pa.Table | None, column: str) -> pa.Table:
    """The rows of a row group that have a label.

    What is `given` by id is written into them, but late truth is not changed.
    """
    if given is not None:
        places = pc.index_in(table["id"], value_set=given["id"].combine_chunks().cast(table["id"].type))
        late = pc.equal(table["origin"], "feedback")
        for name in given.column_names[1:]:
            values = pc.take(given[name].combine_chunks(), places)
            own = (
                table[name].cast(values.type)
                if name in table.column_names
                else pa.nulls(len(table), values.type)
            )
            table = table.drop_columns([name]) if name in table.column_names else table
            table = table.append_column(name, pc.if_else(late, own, values))
    if column not in table.column_names:
        raise ValueError(
            f"the rows have no column {column!r} (result.label); they have {', '.join(table.column_names)}"
        )
    labels = table[column]
    there = pc.is_valid(labels)
    if pa.types.is_floating(labels.type):
        there = pc.and_(there, pc.fill_null(pc.invert(pc.is_nan(labels)), False))
    return table if pc.all(there).as_py() else table.filter(there)


def gate(rows: Stored, agreed: Agreed | None, labeling: LabelingConfig, result: Result) -> tuple[str, ...]:
    """Why these labels must not train a model; empty when they may."""
    failures = []
    if agreed and agreed.agreement < labeling.min_agreement:
        failures.append(
            f"annotators agree with the consensus in {agreed.agreement:.1%} of their answers; min_agreement is {labeling.min_agreement:.1%}"
        )
    try:
        for path in part_paths(verify(rows.uri, rows.digest)):
            for table in tables(path, [result.label]):
                result.targets(table[result.label].to_pandas())
    except ValueError as error:
        failures.append(str(error))
    return tuple(failures)
