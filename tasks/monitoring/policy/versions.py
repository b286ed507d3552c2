"""Which of the versions that a project keeps should serve, by the newest late labels.

A release that was chosen on one week's rows may be worse in the next, and a world that was seen before comes
back: then the version of that time is better than the newest, and costs no training. All kept versions answer
the same labelled rows, and one takes over where it is better by more than chance; old blocks count less, as
in tracking the best expert (Herbster and Warmuth, 1998). The first version is among them, so that a project
which retrains is never far below one that does not.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tasks.monitoring.verdict.two_sample import independent_rows

Scores = npt.NDArray[np.float64]
KEEP = 0.7
"""Of what a block of labels tells, that counts when the next one has come."""
ERRORS = 2.0
"""Standard errors by which another version must be better: the rule of one standard error."""


def advantage(other: Sequence[Scores | None], mine: Sequence[Scores | None]) -> tuple[float, float] | None:
    """Mean difference of scores and its standard error; None where no block was seen by neither.

    other, mine: scores of the rows of each block, the newest last; None where the version learned from the
    block
    """
    total = weights = variance = 0.0
    weight = 1.0
    for theirs, ours in zip(reversed(other), reversed(mine), strict=True):
        if theirs is not None and ours is not None:
            difference = theirs - ours
            total += weight * float(difference.mean())
            variance += weight**2 * squared_error(difference)
            weights += weight
        weight *= KEEP
    return (total / weights, math.sqrt(variance) / weights) if weights else None


def squared_error(difference: Scores) -> float:
    """Of a mean difference; rows that resemble their neighbours count as fewer."""
    return float(difference.var()) / max(1.0, independent_rows(difference))


def best_version(scores: Mapping[int, Sequence[Scores | None]], serving: int) -> tuple[int, str]:
    """The version that should serve, and why.

    The one that serves, unless another is better by more than a standard error.
    """
    best, lead, why = serving, 0.0, ""
    for version, theirs in scores.items():
        found = None if version == serving else advantage(theirs, scores[serving])
        if found is None:
            continue
        mean, error = found
        if mean > ERRORS * error and mean > lead:
            best, lead = version, mean
            why = f"version {version} scores {mean:+.4f} ({error:.4f} by chance) beside version {serving}"
    return best, f"{why} on late labels that neither learned from" if why else ""
