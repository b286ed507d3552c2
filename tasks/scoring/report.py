"""A batch scoring for people: what the notes of its partitions say together, as a record and as a page."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.ingestion.parsing.conversions import Conversions
from tasks.ingestion.readers.location import name_of
from tasks.production.drift_reference import INPUTS
from tasks.records import InputNotice, ScoreReport
from tasks.scoring.run import Question, Scored
from tasks.scoring.targets import Target

KEPT_APART = ("ragged_lines", "unreadable_images", "unreadable_values", "absent_images", "unlabelled_images")
"""Checks of reading that are no notices: their rows are refused, or are no part of what is asked."""
SHOWN = 12


def report_of(question: Question, target: Target, place: str, scored: Scored) -> ScoreReport:
    """The record of what was scored; `place` is how messages call the target."""
    counts = [note["counts"] for note in scored.notes]
    moments = [each["moments"] for each in counts if each["moments"]]
    count = sum(each[0] for each in moments)
    return ScoreReport(
        project=question.project,
        version=question.version,
        source=name_of(question.source).removeprefix("source "),
        target=place,
        rows=sum(each["rows"] for each in counts),
        refused=sum(each["refused"] for each in counts),
        refused_at=target.refused,
        reasons=frequent(each["reasons"] for each in counts),
        shares=frequent(each["answers"] for each in counts),
        mean=sum(each[1] for each in moments) / count if count else None,
        least=min((each[2] for each in moments), default=None),
        greatest=max((each[3] for each in moments), default=None),
        inputs=input_notices(counts, Path(question.bundle.uri)),
        notices=(*question.told, *notices(scored.notes)),
        partitions=len(scored.notes),
        reused=scored.reused,
        seconds=round(scored.seconds, 3),
        rate=round(scored.now / scored.seconds, 1) if scored.seconds > 0 else 0.0,
    )


def frequent(counted: Iterable[dict[str, int]]) -> tuple[tuple[str, int], ...]:
    """Counts added up, the most frequent first."""
    total: Counter[str] = Counter()
    for each in counted:
        total.update(each)
    return tuple(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def input_notices(counts: list[dict[str, Any]], bundle: Path) -> tuple[InputNotice, ...]:
    """Inputs with missing or unseen values, or without a column."""
    missing = dict(frequent(each["missing"] for each in counts))
    unseen = dict(frequent(each["unseen"] for each in counts))
    absent = {name for each in counts for name in each["absent"]}
    examples: dict[str, list[str]] = {}
    for each in counts:
        for name, few in each["examples"].items():
            examples[name] = list(dict.fromkeys([*examples.get(name, []), *few]))[:3]
    known = missing_in_training(bundle)
    names = dict.fromkeys([*(name for name in missing if missing[name]), *unseen, *sorted(absent)])
    return tuple(
        InputNotice(
            name=name,
            missing=missing.get(name, 0),
            missing_in_training=known.get(name),
            unseen=unseen.get(name, 0),
            examples=tuple(examples.get(name, ())),
            absent=name in absent,
        )
        for name in names
    )


def missing_in_training(bundle: Path) -> dict[str, float]:
    """The share of training rows without a value, by descriptor, from the sample that the bundle keeps.

    Empty where it keeps none.
    """
    if not (bundle / INPUTS).is_file():
        return {}
    table = pq.read_table(bundle / INPUTS)
    shares = {}
    for name in table.column_names:
        values = table[name]
        empty = pc.is_null(values, nan_is_null=True)
        if str(values.type) in ("string", "large_string"):
            empty = pc.or_(empty, pc.fill_null(pc.equal(values, ""), True))
        shares[name] = pc.mean(pc.cast(empty, "float64")).as_py() or 0.0
    return shares


def notices(notes: list[dict[str, Any]]) -> Iterable[str]:
    """What else is odd: what reading changed, rows without a key, a graph that is not the one that was chosen."""
    conversions = Conversions(count for note in notes for count in note["conversions"])
    for finding in conversions.findings():
        if finding.check not in KEPT_APART:
            yield finding.text
    unnamed = sum(note["counts"]["unnamed"] for note in notes)
    if unnamed:
        yield f"{unnamed:,} rows have no value in the source's key; their place names them"
    yield from dict.fromkeys(note["portable"] for note in notes if note["portable"])


def tables(report: ScoreReport) -> dict[str, list[dict[str, Any]]]:
    """Tables for the run's page, by their titles."""
    total = max(1, report.rows)
    what = {
        "rows": f"{report.rows:,}",
        "refused": f"{report.refused:,}",
        "rows/s": f"{report.rate:,.0f}",
        "seconds": f"{report.seconds:.1f}",
        "partitions": report.partitions,
        "finished before": report.reused,
    }
    if report.mean is not None:
        what |= {"mean": report.mean, "least": report.least, "greatest": report.greatest}
    found: dict[str, list[dict[str, Any]]] = {"Rows": [what]}
    if report.shares:
        found["Answers"] = [
            {"answer": name, "rows": f"{count:,}", "share": f"{count / total:.2%}"}
            for name, count in report.shares[:SHOWN]
        ]
    if report.reasons:
        found["Refused rows"] = [
            {"reason": name, "rows": f"{count:,}"} for name, count in report.reasons[:SHOWN]
        ]
    if report.inputs:
        found["Inputs beside training rows'"] = [
            {
                "input": each.name,
                "without a value": f"{each.missing / total:.2%}",
                "in training": "" if each.missing_in_training is None else f"{each.missing_in_training:.2%}",
                "unseen category": f"{each.unseen / total:.2%}",
                "such as": ", ".join(each.examples),
            }
            for each in report.inputs[: 4 * SHOWN]
        ]
    return found
