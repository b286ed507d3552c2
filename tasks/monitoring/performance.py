"""Whether the champion errs more often than in its test, by labels that come late.

A test that holds at every look.

An error is an answer of another class than the truth; of numbers, one farther from the truth than nine in ten
were in the test. So both are a share, and no single value can decide.
"""

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.records import Performance

ALPHA = 0.05
"""Chance that a model which errs no more often than it may is ever found worse, half of it for the test's own rows."""
RISES = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Of the way from the error share that is tolerated to 1, that are betted on."""
USUAL = 0.9
"""Share of a test's numbers that are near enough."""
FEWEST_TESTED = 30
"""Held-out rows below which nothing can be said about a test."""


def measure(
    labelled: pd.DataFrame, tested: npt.NDArray[np.float64], numbers: bool, tolerance: float
) -> Performance | None:
    """The champion's errors beside its test's and beside two baselines that need no model.

    None where there is nothing to compare.

    labelled: its predictions with late labels, by arrival: columns `time` (of the label), `answer` and
    `label`, both texts
    tested: errors of held-out rows, 0 or 1, or for numbers the distance to the truth
    numbers: whether answers are numbers
    tolerance: rise of the error share that is tolerated
    """
    if numbers:
        # A label that is no number must not end every look to come; `labels` then falls short of the report's.
        sides = labelled[["answer", "label"]].apply(pd.to_numeric, errors="coerce")
        labelled = labelled.assign(**sides).dropna(subset=["answer", "label"])
    if not len(labelled) or len(tested) < FEWEST_TESTED:
        return None
    limit = float(np.quantile(tested, USUAL)) if numbers else 0.0
    truth = labelled["label"].astype(float if numbers else str).to_numpy()
    wrong = far(labelled["answer"].astype(float if numbers else str).to_numpy(), truth, limit)
    usual = truth_of_all(truth, numbers)
    share = float(np.mean(tested > limit))
    allowed = min(1.0, upper_bound(share, len(tested)) + tolerance)
    crossed = first_crossing(wrong, allowed)
    radius = anytime_radius(len(wrong))
    return Performance(
        labels=len(wrong),
        errors=float(wrong.mean()),
        low=max(0.0, float(wrong.mean()) - radius),
        high=min(1.0, float(wrong.mean()) + radius),
        tested=share,
        allowed=allowed,
        near=limit if numbers else None,
        repeating=float(far(truth[:-1], truth[1:], limit).mean()) if len(truth) > 1 else 1.0,
        constant=float(far(usual, truth, limit).mean()),
        worse=crossed is not None,
        since=""
        if crossed is None
        else f"{labelled['time'].iloc[crossed].isoformat(timespec='seconds')}+00:00",
    )


def far(
    answers: npt.NDArray[np.generic], truth: npt.NDArray[np.generic], limit: float
) -> npt.NDArray[np.bool_]:
    """Which answers are errors."""
    if truth.dtype.kind != "f":
        return np.asarray(answers != truth)
    return np.asarray(np.abs(np.asarray(answers, float) - np.asarray(truth, float)) > limit)


def truth_of_all(truth: npt.NDArray[np.generic], numbers: bool) -> npt.NDArray[np.generic]:
    """The one answer that suits these truths best, once a row: the median or the most frequent."""
    if numbers:
        return np.full(len(truth), np.median(np.asarray(truth, float)))
    values, counts = np.unique(truth.astype(str), return_counts=True)
    return np.full(len(truth), values[counts.argmax()], dtype=object)


def upper_bound(share: float, rows: int) -> float:
    """Wilson's upper bound of a share, wrong for ALPHA / 2 of all tests."""
    z = NormalDist().inv_cdf(1 - ALPHA / 2)
    middle, half = share + z * z / (2 * rows), z * math.sqrt(share * (1 - share) / rows + (z / rows) ** 2 / 4)
    return min(1.0, (middle + half) / (1 + z * z / rows))


def first_crossing(wrong: npt.NDArray[np.bool_], allowed: float) -> int | None:
    """The label by which an error share above `allowed` is certain, whenever one looks; None where it is not.

    Bets on a rise to each of several shares, begun anew at each label with part 1 / (k (k + 1)) of the stake:
    while the share stays allowed, the capital is a supermartingale from 1 (an e-process, Ville's inequality),
    and a rise after a long good time is found as soon as an early one, but for the smaller stake.
    """
    if allowed >= 1:
        return None
    capitals = [0.0] * len(RISES)
    gains = []
    for rise in RISES:
        share = allowed + rise * (1 - allowed)
        gains.append(((1 - share) / (1 - allowed), share / max(allowed, 1e-9)))
    for place, error in enumerate(wrong.tolist()):
        stake = 1 / ((place + 1) * (place + 2)) / len(RISES)
        capitals = [(capital + stake) * gain[error] for capital, gain in zip(capitals, gains, strict=True)]
        if sum(capitals) >= 2 / ALPHA:
            return place
    return None


def anytime_radius(rows: int) -> float:
    """Half the interval of a share that holds after every label (Robbins' normal mixture for bounded values)."""
    rho = 0.1
    inside = (rows * rho**2 + 1) / (2 * rows**2 * rho**2) * math.log(math.sqrt(rows * rho**2 + 1) * 2 / ALPHA)
    return math.sqrt(inside)
