"""What a model answers, shown: test rows of every class, where it errs, and how each class fares."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.intake import Intake, Rows
from tasks.result import Answers, Result
from tasks.rows.raw import are_columns

MOST = 36
"""Rows in the picture: an intake draws no more."""
LINES, COLUMNS, SHOWN_CHARACTERS = 12, 8, 40
"""Rows, columns and characters of a value in the table."""


@dataclass(frozen=True)
class Examples:
    """Pictures (PNG) and a table of a model's answers to the test rows."""

    samples: bytes
    """Rows of every class, or from the least to the greatest number, each under its truth and, where it is
    another, its answer."""
    answers: tuple[dict[str, str], ...]
    """Some of these rows as lines of truth, answer and values, where a row is values in columns: a picture shows those
    of all rows together. Else nothing."""
    errors: bytes
    """The result's own picture: a confusion matrix, or answers against truth."""
    classes: tuple[dict[str, Any], ...]
    """Of each class its rows, how many of them were found (recall), and how many that were called so are
    (precision)."""

    @classmethod
    def of(
        cls, rows: Rows, targets: npt.NDArray[Any], answers: Answers, intake: Intake, result: Result
    ) -> Self:
        """The examples of test rows, their targets and a graph's answers to them."""
        places = places_of(targets, result)
        readable = result.readable({name: values[places] for name, values in answers.items()})["answer"]
        truths = readable_targets(targets[places], result)
        given = [readable_answer(answer) for answer in readable]
        titles = [title(truth, answer) for truth, answer in zip(truths, given, strict=True)]
        classes = class_figures(targets, answers, result.classes) if result.classes else ()
        lines = answer_lines(rows[places], truths, given, intake)
        return cls(intake.picture(rows[places], titles), lines, result.picture(answers, targets), classes)


def places_of(targets: npt.NDArray[Any], result: Result) -> npt.NDArray[np.intp]:
    """Which rows are shown.

    Of every class as many as there is room for, or evenly from the least number to the greatest.
    """
    if result.classes is None:
        return evenly(np.argsort(targets, kind="stable"), MOST)
    present = np.unique(targets)
    each = max(1, MOST // len(present))
    return np.concatenate([evenly(np.flatnonzero(targets == number), each) for number in present[:MOST]])


def evenly(places: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.intp]:
    """So many of the places, spread over all."""
    chosen = np.unique(np.linspace(0, len(places) - 1, min(count, len(places))).astype(int))
    return np.asarray(places[chosen])


def readable_targets(targets: npt.NDArray[Any], result: Result) -> list[str]:
    """Targets as a person reads them."""
    return [result.classes[target] if result.classes else f"{target:.4g}" for target in targets]


def readable_answer(answer: Any) -> str:
    """An answer as a person reads it, written as its target is."""
    return f"{answer:.4g}" if isinstance(answer, float) else str(answer)


def title(truth: str, answer: str) -> str:
    """The truth, and the answer where that is another."""
    return truth if answer == truth else f"{truth} > {answer}"


def answer_lines(
    rows: Rows, truths: list[str], answers: list[str], intake: Intake
) -> tuple[dict[str, str], ...]:
    """Rows of columns, a line each, spread over all classes.

    Nothing for an image or a text, which the intake draws.
    """
    if not are_columns(intake.inputs):
        return ()
    places = evenly(np.arange(len(rows)), LINES)
    frame = intake.frame(rows[places]).iloc[:, :COLUMNS]
    lines = []
    for place, values in zip(places, frame.to_dict("records"), strict=True):
        line = {"truth": truths[place], "answer": answers[place]}
        for name, value in values.items():
            # A column may have the name of one of these two.
            line[f"{name} (column)" if name in line else str(name)] = readable_value(value)
        lines.append(line)
    return tuple(lines)


def readable_value(value: Any) -> str:
    """A value as a person reads it; empty where it is missing."""
    if value is None or pd.isna(value):
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)[:SHOWN_CHARACTERS]


def class_figures(
    targets: npt.NDArray[Any], answers: Answers, classes: list[str]
) -> tuple[dict[str, Any], ...]:
    """A line a class that occurs, in truth or among the answers."""
    given = answers["class"]
    table = (
        pd.crosstab(targets, given)
        .reindex(index=range(len(classes)), columns=range(len(classes)), fill_value=0)
        .to_numpy()
    )
    lines = []
    for number, name in enumerate(classes):
        right, true, called = table[number, number], table[number].sum(), table[:, number].sum()
        if true or called:
            recall = f"{right / true:.3f}" if true else "-"
            precision = f"{right / called:.3f}" if called else "-"
            lines.append({"class": name, "test rows": str(true), "recall": recall, "precision": precision})
    return tuple(lines)
