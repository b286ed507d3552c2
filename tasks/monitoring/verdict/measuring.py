"""One descriptor before it is judged.

Its distance, its p-value and its rows' scores in the order of their time.
"""

import math
from dataclasses import dataclass

import numpy as np

from tasks.monitoring.verdict.counting import Codes, Counted, count_numbers, count_texts
from tasks.monitoring.verdict.distances import Distance, distance_of
from tasks.monitoring.verdict.tally import Floats, Tally, clip_outliers
from tasks.monitoring.verdict.two_sample import independent_rows, middle_ranks, p_value
from tasks.monitoring.verdict.values import Values

MISSING, UNKNOWN = "missing in", "new texts in"
"""How descriptors begin that watch which values are there at all."""


@dataclass(frozen=True)
class Measured:
    """What was measured of a descriptor."""

    name: str
    tally: Tally
    distance: Distance
    p: float
    scores: Floats
    """Of production's rows in the order of their time, of very many every so many: ranks, or whether they are the text
    that moved most."""
    places: Codes
    """Those rows among all."""
    expected: float
    """The mean score in the reference."""
    moved: str = ""
    """What it was and what it is, where the tally does not say it."""


def measure_column(name: str, now: Values, then: Values, tolerance: float) -> list[Measured]:
    """A column's values; where any is missing also how many are, and where texts are new how many."""
    if then.number:
        values, gone = count_numbers(now, then)
        new = None
    else:
        values, gone, new = count_texts(now, then)
    found = []
    if values.now.any() and values.then.any():
        measure = measure_numbers if then.number else measure_texts
        found.append(measure(name, values, tolerance))
    if gone.now[1] or gone.then[1]:
        found.append(measure_shares(f"{MISSING} {name}", gone, tolerance))
    if new and new.now.any() and new.then.any() and (new.now[1] or new.then[1]):
        found.append(measure_shares(f"{UNKNOWN} {name}", new, tolerance))
    return found


def measure_numbers(name: str, counted: Counted, tolerance: float) -> Measured:
    """Numbers as they are; with outliers clipped where that shows more of how the others moved."""
    tally = counted.tally
    ranks = middle_ranks(tally)
    whole = measure_scores(name, counted, tally, ranks, tolerance)
    clipped = clip_outliers(tally)
    if clipped is tally:
        return whole
    inner = measure_scores(name, counted, clipped, ranks, tolerance)
    return inner if inner.p < whole.p else whole


def measure_texts(name: str, counted: Counted, tolerance: float) -> Measured:
    """Texts, by the one whose share moved most."""
    tally = counted.tally
    now, then = tally.shares
    most = np.zeros(len(tally.points))
    most[int(np.abs(now - then).argmax())] = 1.0
    return measure_scores(name, counted, tally, most, tolerance)


def measure_shares(name: str, counted: Counted, tolerance: float) -> Measured:
    """How many rows are of the second of two kinds."""
    tally = counted.tally
    second = (tally.points == counted.points[1]).astype(float)
    return measure_scores(name, counted, tally, second, tolerance)


def measure_scores(name: str, counted: Counted, tally: Tally, by_point: Floats, tolerance: float) -> Measured:
    """The distance, and the larger of the p-values of both conditions.

    by_point: the score of each of the counted points that occur, by which dependence and change are found
    """
    scores, places, newest = counted.scores(by_point)
    rows = independent_rows(newest, int(counted.now.sum()))
    distance = distance_of(tally, rows)
    surely_above = math.erfc(distance.deviations_above(tolerance) / math.sqrt(2)) / 2
    expected = float(by_point @ counted.tally.shares[1])
    return Measured(name, tally, distance, max(p_value(tally, rows), surely_above), scores, places, expected)
