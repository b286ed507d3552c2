"""Whether production and reference can be samples of one distribution.

Bounds on p-values that hold at every number of rows.

The tests use ranks and counts alone, so heavy tails and ties cannot mislead them, and bound the chance
instead of approximating it: with many descriptors and looks a p-value of 1e-6 decides, where a normal
approximation is wrong by orders of magnitude for a category that one row in a hundred has.
"""

import math

import numpy as np

from tasks.monitoring.verdict.tally import Floats, Tally

LOCATION, SCALE, SHAPE = 0.5, 0.25, 0.25
"""How the chance of a false alarm of one number is divided among its three tests."""
FEWEST_ROWS = 8
"""Under which dependence is not estimated."""
SUSPICIOUS = 3.0
"""Standard errors of the correlation of neighbours from which rows are not taken for independent."""
ERRORS_ABOVE = 2.0
"""Standard errors by which dependence is taken for longer than it was estimated."""
LONGEST = 20_000
"""Newest rows from which dependence is estimated."""


def p_value(tally: Tally, effective: float) -> float:
    """A bound on the chance that two samples of one distribution differ as these do.

    effective: how many independent rows production's are worth
    """
    return p_of_texts(tally, effective) if tally.texts else p_of_numbers(tally, effective)


def p_of_numbers(tally: Tally, effective: float) -> float:
    """Of the rank's mean (Wilcoxon), of its distance from the middle (scale), and of the largest gap (Kolmogorov-Smirnov)."""
    ranks = middle_ranks(tally)
    gap = np.abs(np.cumsum(tally.shares[0]) - np.cumsum(tally.shares[1])).max()
    harmonic = effective * tally.then.sum() / (effective + tally.then.sum())
    # The inequality of Dvoretzky, Kiefer and Wolfowitz for two samples, with Wei and Dudley's constant.
    shape = math.e * math.exp(-2 * harmonic * gap**2)
    location = p_of_scores(ranks, tally, effective)
    scale = p_of_scores(np.abs(ranks - 0.5), tally, effective)
    return min(1.0, location / LOCATION, scale / SCALE, shape / SHAPE)


def p_of_texts(tally: Tally, effective: float) -> float:
    """Of the text whose share differs most, Bonferroni over all texts."""
    found = [p_of_scores(row, tally, effective) for row in np.eye(len(tally.points))]
    return min(1.0, min(found) * len(found))


def middle_ranks(tally: Tally) -> Floats:
    """The rank of each value among both samples, ties sharing theirs, in (0, 1)."""
    both = tally.now + tally.then
    found: Floats = (np.cumsum(both) - both / 2) / both.sum()
    return found


def p_of_scores(scores: Floats, tally: Tally, effective: float) -> float:
    """Two-sided bound for the difference of both samples' mean score, by Bennett's inequality for draws without replacement.

    scores: of each value, a function of both samples together
    """
    now, then = tally.shares
    both = (tally.now + tally.then) / (tally.now.sum() + tally.then.sum())
    mean = float(scores @ both)
    variance = float((scores - mean) ** 2 @ both)
    difference = float(scores @ now - scores @ then)
    if variance <= 0 or difference == 0:
        return 1.0
    rows = tally.then.sum()
    # The smaller sample is what was drawn; a high mean of the larger one is a low mean of it.
    drawn, left, sign = (effective, rows, 1) if effective <= rows else (rows, effective, -1)
    upward = sign * difference > 0
    reach = float(scores.max() - mean if upward else mean - scores.min())
    off = abs(difference) * left / (drawn + left)
    variance *= left / (drawn + left)
    ratio = reach * off / variance
    rate = drawn * variance / reach**2 * ((1 + ratio) * math.log1p(ratio) - ratio)
    return min(1.0, 2 * math.exp(-rate))


def independent_rows(scores: Floats, rows: int | None = None) -> float:
    """How many independent rows these are worth, in the order of their time.

    All of them, unless neighbours resemble each other.

    Rows over the integrated autocorrelation time, summed up to five times itself (Sokal 1997). Hours of a day
    are like the hours before: 200 of them tell of a distribution what 20 independent ones would. A single
    step is taken out
    first: it is what a change looks like, and no dependence. From few rows the time comes out too short as
    often as too long, so that an upper bound of it counts, two standard errors (by Madras and Sokal 1988)
    above.
    """
    rows = len(scores)
    recent = without_step(scores[-LONGEST:])
    count = len(recent)
    power = float(recent @ recent)
    if count < FEWEST_ROWS or power <= 0:
        return float(rows)
    neighbours = float(recent[1:] @ recent[:-1]) / power
    if neighbours < SUSPICIOUS / math.sqrt(count):
        return float(rows)
    width = 1 << (2 * count - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(recent, width)) ** 2
    correlation = np.fft.irfft(spectrum, width)[: count // 2] / power
    times = 2 * np.cumsum(correlation) - 1
    enough = np.flatnonzero(np.arange(len(times)) >= 5 * times)
    lag = int(enough[0]) if len(enough) else len(times) - 1
    time = max(1.0, float(times[lag]))
    time *= 1 + ERRORS_ABOVE * math.sqrt(2 * (2 * lag + 1) / count)
    return max(2.0, rows / time)


def without_step(scores: Floats) -> Floats:
    """Scores less their mean before and after the place where one step fits best."""
    count = len(scores)
    centred: Floats = scores - scores.mean()
    if count < 2 * FEWEST_ROWS:
        return centred
    before = np.arange(1, count)
    fit = np.cumsum(centred)[:-1] ** 2 / (before * (count - before))
    place = FEWEST_ROWS + int(fit[FEWEST_ROWS - 1 : count - FEWEST_ROWS].argmax())
    found: Floats = np.concatenate([part - part.mean() for part in (scores[:place], scores[place:])])
    return found
