"""Which descriptors have surely moved further than is tolerated: one error rate for all descriptors and all looks.

A descriptor drifts where two things hold: production and reference cannot be samples of one distribution
(tasks/monitoring/two_sample.py), and its distance without what chance adds lies surely above the tolerance
(tasks/monitoring/distances.py). The first keeps false alarms away at every number of rows, the second moves that are real
but too small to matter. The larger of both p-values counts, by Holm over the descriptors, at the look's part of ALPHA.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

from tasks.monitoring.change_point import change_point
from tasks.monitoring.distances import Distance, distance_of
from tasks.monitoring.tally import OTHER, Floats, Tally, clip_outliers, tally_numbers, tally_texts
from tasks.monitoring.two_sample import independent_rows, middle_ranks, p_value
from tasks.records import DescriptorDrift

ALPHA = 0.05
"""Chance that production which never changed is ever found drifted, over all looks at a model version."""
FIRST_LOOKS = 100
"""Looks that share about half of it; the others share the rest, however many they are."""
MISSING, UNKNOWN = "missing in", "new texts in"
"""How descriptors begin that watch which values are there at all."""
POWER = 0.9


@dataclass(frozen=True)
class Measured:
    """One descriptor before it is judged."""

    name: str
    tally: Tally
    distance: Distance
    p: float
    scores: Floats
    """Of production's rows in the order of their time: ranks, or whether they are the text that moved most."""
    expected: float
    """Their mean in the reference."""


def alpha_of_look(look: int) -> float:
    """The part of ALPHA that look number `look` of a model version may spend, 1 the first.

    The parts of all looks to come add up to ALPHA. Looks at overlapping windows spend theirs too, though they
    resemble each other: that errs on the safe side.
    """
    return ALPHA * FIRST_LOOKS / ((FIRST_LOOKS + look - 1) * (FIRST_LOOKS + look))


def judge(
    now: pd.DataFrame,
    then: Mapping[str, pd.Series],
    tolerance: float,
    look: int = 1,
    times: pd.Series | None = None,
) -> list[DescriptorDrift]:
    """Every descriptor with its distance, interval and p-value, the surest first.

    now: production's descriptors in the order of their time; then: the reference's by name, which need not be as many
    tolerance: distance that is no drift however sure it is
    look: number of this look among those at the same model version
    times: of production's rows, UTC without a time zone; without them nobody is told since when
    """
    alpha = alpha_of_look(look)
    measured: list[Measured] = []
    for name in then:
        measured += measure_column(name, now[name], then[name], tolerance)
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
                moved=what_moved(each.tally),
                drifted=drifted,
                since=moment(each, times) if drifted and times is not None else None,
            )
        )
    return judged


def moment(measured: Measured, times: pd.Series) -> tuple[str, str, str] | None:
    """When it moved, and an interval of that."""
    found = change_point(measured.scores, measured.expected)
    if found is None or len(measured.scores) != len(times):
        return None
    best, first, last = (times.iloc[place].isoformat(timespec="seconds") + "+00:00" for place in found)
    return best, first, last


def measure_column(name: str, now: pd.Series, then: pd.Series, tolerance: float) -> list[Measured]:
    """A column's values; where any is missing also how many are, and where texts are new how many."""
    number = pd.api.types.is_numeric_dtype(then.dtype)
    if number:
        now, then = (
            side.astype(float).replace([math.inf, -math.inf], math.nan).reset_index(drop=True)
            for side in (now, then)
        )
    found = []
    gone_now, gone_then = now.isna(), then.isna()
    if gone_now.any() or gone_then.any():
        found.append(
            measure_shares(f"{MISSING} {name}", gone_now, gone_then, ("there", "missing"), tolerance)
        )
    now, then = now[~gone_now], then[~gone_then]
    if not len(now) or not len(then):
        return found
    if number:
        return [measure_numbers(name, now.to_numpy(), then.to_numpy(), tolerance), *found]
    now, then = now.astype(str), then.astype(str)
    found.insert(0, measure_texts(name, now, then, tolerance))
    # Half of the reference says what is known: the other half is asked as production is, so rare texts are new to both.
    known, asked = set(then.iloc[::2]), then.iloc[1::2]
    new_now, new_then = ~now.isin(known), ~asked.isin(known)
    if len(asked) and (new_now.any() or new_then.any()):
        found.append(measure_shares(f"{UNKNOWN} {name}", new_now, new_then, ("known", "new"), tolerance))
    return found


def measure_texts(name: str, now: pd.Series, then: pd.Series, tolerance: float) -> Measured:
    """Texts, the frequent ones by themselves."""
    tally = tally_texts(now, then)
    now_shares, then_shares = tally.shares
    place = int(np.abs(now_shares - then_shares).argmax())
    most = tally.points[place]
    is_most = ~now.isin(tally.points[:-1]) if most == OTHER else now == most
    scores = np.asarray(is_most, dtype=np.float64)
    return measure(name, tally, scores, float(then_shares[place]), tolerance)


def measure_shares(
    name: str, now: pd.Series, then: pd.Series, names: tuple[str, str], tolerance: float
) -> Measured:
    """How many rows are of the second of two kinds."""
    counts = [np.array([len(side) - side.sum(), side.sum()], float) for side in (now, then)]
    tally = Tally(np.array(names, dtype=object), counts[0], counts[1], texts=True)
    return measure(name, tally, now.to_numpy(float), float(then.mean()), tolerance)


def measure_numbers(name: str, now: Floats, then: Floats, tolerance: float) -> Measured:
    """Numbers as they are; with outliers clipped where that shows more of how the others moved."""
    tally = tally_numbers(now, then)
    ranks = middle_ranks(tally)
    scores, expected = ranks[np.searchsorted(tally.points, now)], float(ranks @ tally.shares[1])
    whole = measure(name, tally, scores, expected, tolerance)
    clipped = clip_outliers(tally)
    if clipped is tally:
        return whole
    inner = measure(name, clipped, scores, expected, tolerance)
    return inner if inner.p < whole.p else whole


def measure(name: str, tally: Tally, scores: Floats, expected: float, tolerance: float) -> Measured:
    """The distance, and the larger of the p-values of both conditions."""
    rows = independent_rows(scores)
    distance = distance_of(tally, rows)
    surely_above = math.erfc(distance.deviations_above(tolerance) / math.sqrt(2)) / 2
    return Measured(name, tally, distance, max(p_value(tally, rows), surely_above), scores, expected)


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
