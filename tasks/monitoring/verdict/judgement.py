"""Which descriptors have surely moved further than is tolerated.

One error rate for all descriptors and all looks.

A descriptor drifts where two things hold: production and reference cannot be samples of one distribution
(tasks/monitoring/verdict/two_sample.py), and its distance without what chance adds lies surely above the
tolerance (tasks/monitoring/verdict/distances.py). The first keeps false alarms away at every number of rows,
the second moves that are real but too small to matter. The larger of both p-values counts, by Holm over the
descriptors, at the look's part of ALPHA.
"""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import NormalDist

import numpy as np
import pandas as pd

from tasks.monitoring.verdict.change_point import change_point
from tasks.monitoring.verdict.measuring import Measured, measure_column
from tasks.monitoring.verdict.tally import Tally
from tasks.monitoring.verdict.values import Values
from tasks.records import DescriptorDrift

ALPHA = 0.05
"""Chance that production which never changed is ever found drifted, over all looks at a model version."""
FIRST_LOOKS = 100
"""Looks that share about half of it; the others share the rest, however many they are."""
POWER = 0.9
THREADS = 2
"""Descriptors that are counted at once: NumPy and Arrow let go of Python's lock meanwhile."""


def alpha_of_look(look: int) -> float:
    """The part of ALPHA that look number `look` of a model version may spend, 1 the first.

    The parts of all looks to come add up to ALPHA. Looks at overlapping windows spend theirs too, though they
    resemble each other: that errs on the safe side.
    """
    return ALPHA * FIRST_LOOKS / ((FIRST_LOOKS + look - 1) * (FIRST_LOOKS + look))


def judge(
    now: Mapping[str, Values],
    then: Mapping[str, Values],
    tolerance: float,
    look: int = 1,
    times: pd.Series | None = None,
) -> list[DescriptorDrift]:
    """Every descriptor with its distance, interval and p-value, the surest first.

    now: production's descriptors in the order of their time; then: the reference's by name, which need not be
    as many.
        Values are read a block at a time, so that neither side's rows need fit into memory
    tolerance: distance that is no drift however sure it is
    look: number of this look among those at the same model version
    times: of production's rows, UTC without a time zone; without them nobody is told since when
    """
    return verdicts(measure(now, then, tolerance), look, times)


def measure(now: Mapping[str, Values], then: Mapping[str, Values], tolerance: float) -> list[Measured]:
    """All descriptors of the reference, THREADS at a time."""
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(lambda name: measure_column(name, now[name], then[name], tolerance), then)
        return [each for column in found for each in column]


def verdicts(
    measured: Sequence[Measured], look: int, times: pd.Series | None = None
) -> list[DescriptorDrift]:
    """Which descriptors drifted, by Holm over all of them, the surest first."""
    alpha = alpha_of_look(look)
    found = sorted(measured, key=lambda each: (each.p, -each.distance.value))
    family = len(found)
    # The interval of each holds together with all others and at all looks.
    deviations = NormalDist().inv_cdf(1 - alpha / (2 * max(family, 1)))
    judged, adjusted = [], 0.0
    for place, each in enumerate(found):
        adjusted = min(1.0, max(adjusted, each.p * (family - place)))
        drifted = adjusted <= alpha
        judged.append(
            DescriptorDrift(
                name=each.name,
                distance=each.distance.value,
                low=each.distance.bound(-deviations),
                high=each.distance.bound(deviations),
                p=adjusted,
                moved=each.moved or what_moved(each.tally),
                drifted=drifted,
                since=moment(each, times) if drifted and times is not None else None,
            )
        )
    return judged


def moment(measured: Measured, times: pd.Series) -> tuple[str, str, str] | None:
    """When it moved, and an interval of that."""
    found = change_point(measured.scores, measured.expected)
    if found is None:
        return None
    rows = (int(measured.places[place]) for place in found)
    best, first, last = (times.iloc[row].isoformat(timespec="seconds") + "+00:00" for row in rows)
    return best, first, last


def what_moved(tally: Tally) -> str:
    """The median of numbers, or the text whose share moved most, then and now."""
    now, then = tally.shares
    if tally.texts:
        place = int(np.abs(now - then).argmax())
        return f"{tally.points[place]}: {then[place]:.1%} -> {now[place]:.1%}"
    before, after = (
        float(tally.points[np.searchsorted(np.cumsum(side), 0.5 - 1e-9)]) for side in (then, now)
    )
    mean_before, mean_after = (float(tally.points @ side) for side in (then, now))
    return f"median {before:.4g} -> {after:.4g}, mean {mean_before:.4g} -> {mean_after:.4g}"


def smallest_found(rows: int, reference: int, family: int, tolerance: float, look: int = 1) -> float:
    """The move of a normal number's mean, in standard deviations, that this many rows show nine times in ten."""
    error = math.sqrt(1 / rows + 1 / reference)
    alpha = alpha_of_look(look) / max(family, 1)
    power = NormalDist().inv_cdf(POWER)
    by_test = (math.sqrt(2 * math.log(2 / (alpha * 0.5))) + power) / math.sqrt(3 / math.pi)
    by_distance = NormalDist().inv_cdf(1 - alpha) + power
    return max(by_test * error, tolerance + by_distance * error)
