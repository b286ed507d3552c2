"""How a graph does on each slice, and how much better or worse than the champion on the same rows."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tasks.compilation.slices import Slice
from tasks.records import SliceScore
from tasks.result.confidence_interval import interval

Scores = npt.NDArray[np.float64]
ERROR = 0.05
"""Chance that any of the intervals of differences does not hold its true difference."""


def score_slices(
    declared: Sequence[Slice], found: Sequence[Slice], mine: Scores, theirs: Scores | None, minimum: int
) -> tuple[SliceScore, ...]:
    """Declared slices, then found ones that are none of them.

    theirs: the champion's scores of the same rows [rows], NaN where a row was not compared; None where
    nothing was Differences have intervals on declared slices of at least `minimum` rows, all true at once in
    95 % of cases. A found slice has none: it was chosen for the challenger's errors, so the champion looks
    better on it than it is.
    """
    both = np.ones(len(mine), np.bool_) if theirs is None else ~np.isnan(theirs)
    large = [each.name for each in declared if (each.members & both).sum() >= minimum]
    names = {each.name for each in declared}
    return (
        *(
            score(each, mine, theirs, len(large) if each.name in large else None, declared=True)
            for each in declared
        ),
        *(score(each, mine, theirs, None, declared=False) for each in found if each.name not in names),
    )


def score(
    part: Slice, mine: Scores, theirs: Scores | None, family: int | None, *, declared: bool
) -> SliceScore:
    """One slice; its difference has an interval if it belongs to a `family` of that many."""
    scores, champion = (
        mine[part.members],
        None if theirs is None else theirs[part.members & ~np.isnan(theirs)],
    )
    low, high = interval(scores)
    difference: float | None = None
    bounds: tuple[float, float] | tuple[None, None] = (None, None)
    if champion is not None and theirs is not None and len(champion):
        differences = mine[part.members & ~np.isnan(theirs)] - champion
        difference = float(differences.mean())
        bounds = spread(differences, family) if family is not None else bounds
    return SliceScore(
        name=part.name,
        declared=declared,
        rows=len(scores),
        score=float(scores.mean()),
        low=low,
        high=high,
        gap=float(scores.mean() - mine.mean()),
        champion=None if champion is None or difference is None else float(champion.mean()),
        difference=difference,
        difference_low=bounds[0],
        difference_high=bounds[1],
    )


def spread(difference: Scores, family: int) -> tuple[float, float]:
    """Student's interval of a mean of paired differences [rows], wide enough for a family of as many intervals (Bonferroni).

    Its width is that of equal models, as in McNemar's test: a few rows that all fell alike would otherwise be
    certain of it.
    """
    from scipy.special import stdtrit

    half = stdtrit(len(difference) - 1, 1 - ERROR / 2 / family) * np.sqrt(
        (difference**2).mean() / len(difference)
    )
    return float(difference.mean() - half), float(difference.mean() + half)
