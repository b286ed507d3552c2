"""Puts the consensus into the rows, and finds what is doubtful about the labels."""

import logging
from pathlib import Path

import pandas as pd

from configs.project import Labeling
from infra.files import digest, whole_file, whole_folder
from tasks.dataset import read, stored, write
from tasks.intake import Intake
from tasks.labeling.consensus import ANSWER, TASK, answers_of, consensus, majority, quality
from tasks.labeling.suspects import suspects
from tasks.records import AnnotatorQuality, LabelReport, ValidationReport
from tasks.result import Result

log = logging.getLogger("gyre.labeling")


def label(report: ValidationReport, labeling: Labeling, intake: Intake, result: Result, output: Path) -> LabelReport:
    """Labelled rows under `<output>/rows`, suspects in `<output>/suspects.parquet`; rows nobody labelled are left out.

    A row of production keeps the truth that arrived for it. Raises ValueError for a missing annotator, DigestError for changed rows.
    """
    frame = read(report)
    agreement, relabelled, annotators = 1.0, 0, tuple[AnnotatorQuality, ...]()
    if labeling.annotators:
        frame, agreement, relabelled, annotators = agreed(frame, labeling, result.label)
    labelled = frame[frame[result.label].notna()].reset_index(drop=True)
    if len(labelled) < len(frame):
        log.warning("%d rows that nobody labelled are left out", len(frame) - len(labelled))
    failures = gate(labelled, agreement, labeling, result)
    found = pd.DataFrame() if failures else suspects(labelled, intake, result, labeling.suspects)
    if len(found):
        with whole_file(output / "suspects.parquet") as temporary:
            found.to_parquet(temporary, index=False)
    with whole_folder(output / "rows") as partial:
        write([labelled], partial)
    return LabelReport(
        uri=str(output / "rows"),
        digest=digest(output / "rows"),
        rows=len(labelled),
        agreement=agreement,
        annotators=annotators,
        relabelled=relabelled,
        suspects=stored(output / "suspects.parquet") if len(found) else None,
        suspected=len(found),
        failures=failures,
    )


def agreed(frame: pd.DataFrame, labeling: Labeling, column: str) -> tuple[pd.DataFrame, float, int, tuple[AnnotatorQuality, ...]]:
    """The rows with the annotators' consensus, the agreement, how many labels differ from the majority, and how each annotator did.

    A label that the source brought along is overwritten: annotators are asked because it is not to be trusted.
    """
    late = frame["origin"] == "feedback"
    answers = answers_of(frame[~late], labeling.annotators)
    labels = consensus(answers)
    given = frame["id"].map(labels)
    labelled = frame.assign(**{column: frame[column].where(late, given) if column in frame else given})
    right = answers[ANSWER] == answers[TASK].map(labels)
    changed = int((labels != majority(answers).reindex(labels.index)).sum())
    return labelled, float(right.mean()) if len(right) else 0.0, changed, quality(answers, labels, labeling.annotators)


def gate(frame: pd.DataFrame, agreement: float, labeling: Labeling, result: Result) -> tuple[str, ...]:
    """Why these labels must not train a model; empty when they may."""
    failures = []
    if frame.empty:
        failures.append(f"no row has a label in column {result.label!r}")
    if agreement < labeling.min_agreement:
        failures.append(
            f"annotators agree with the consensus in {agreement:.1%} of their answers; min_agreement is {labeling.min_agreement:.1%}"
        )
    try:
        result.targets(frame[result.label])
    except ValueError as error:
        failures.append(str(error))
    return tuple(failures)
