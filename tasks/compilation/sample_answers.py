"""What a model answers, shown: test rows of every class, where it errs, and how each class fares."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.intake import Intake, Rows
from tasks.result import Answers, Result

MOST = 36
"""Rows in the picture: an intake draws no more."""


@dataclass(frozen=True)
class Examples:
    """Pictures (PNG) and a table of a model's answers to the test rows."""

    samples: bytes
    """Rows of every class, or from the least to the greatest number, each under its truth and, where it is
    another, its answer."""
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
        titles = [
            title(truth, given)
            for truth, given in zip(readable_targets(targets[places], result), readable, strict=True)
        ]
        classes = class_figures(targets, answers, result.classes) if result.classes else ()
        return cls(intake.picture(rows[places], titles), result.picture(answers, targets), classes)


def places_of(targets: npt.NDArray[Any], result: Result) -> npt.NDArray[np.intp]:
    """Which rows are shown: of every class as many as there is room for, or evenly from the least number to the greatest."""
    order = np.argsort(targets, kind="stable")
    if result.classes is None:
        evenly = np.unique(np.linspace(0, len(order) - 1, min(MOST, len(order))).astype(int))
        return np.asarray(order[evenly])
    present = np.unique(targets)
    each = max(1, MOST // len(present))
    places = [order[targets[order] == number][:each] for number in present[:MOST]]
    return np.concatenate(places)


def readable_targets(targets: npt.NDArray[Any], result: Result) -> list[str]:
    """Targets as a person reads them."""
    return [result.classes[target] if result.classes else f"{target:.4g}" for target in targets]


def title(truth: str, answer: Any) -> str:
    """The truth, and the answer where that is another."""
    given = f"{answer:.4g}" if isinstance(answer, float) else str(answer)
    return truth if given == truth else f"{truth} > {given}"


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
