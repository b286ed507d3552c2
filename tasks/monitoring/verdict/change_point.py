"""When a descriptor moved within the predictions that were compared."""

import numpy as np

from tasks.monitoring.verdict.tally import Floats

FEWEST_AFTER = 5
"""Predictions after a change that it takes to be placed."""
LIKELY = 3.0
"""Log-likelihood below the best place's at which an interval of 95 % about ends."""


def change_point(scores: Floats, expected: float) -> tuple[int, int, int] | None:
    """The first changed prediction, and the first and last that it could be.

    None where all of them may be changed.

    Likelihood of one step of the mean (Page's cumulative sum), the mean before it known.

    scores: of predictions in the order of their time; expected: their mean before anything changed
    """
    rows = len(scores)
    spread = float(scores.var())
    if rows <= FEWEST_AFTER or spread == 0:
        return None
    after = np.cumsum((scores - expected)[::-1])[::-1]
    likelihood = after**2 / (2 * spread * np.arange(rows, 0, -1))
    likelihood = likelihood[: rows - FEWEST_AFTER]
    best = int(likelihood.argmax())
    possible = np.flatnonzero(likelihood >= likelihood[best] - LIKELY)
    return None if possible[0] == 0 else (best, int(possible[0]), int(possible[-1]))
