"""A sequential test may be looked at after every row: how often it errs is measured by seeded simulation."""

import math

import numpy as np
import pytest

from tasks.deployment.sequential import Differences, Measure, enough, evidence_above, evidence_below, judge

RUNS, ROWS, FALSE_ALARM = 200, 300, 0.05


def first_stop(shares, stops, seed):
    """The share of runs that end at any of ROWS looks, and the median look at which they do.

    shares: of the differences -1, 0 and 1
    """
    looks = []
    for draws in np.random.default_rng(seed).choice([-1, 0, 1], (RUNS, ROWS), p=shares):
        counts = [np.cumsum(draws == value).tolist() for value in (-1, 0, 1)]
        seen = (Differences(*each) for each in zip(*counts, strict=True))
        if (look := next((number for number, each in enumerate(seen, 1) if stops(each)), None)) is not None:
            looks.append(look)
    return len(looks) / RUNS, np.median(looks) if looks else None


@pytest.mark.parametrize(
    ("shares", "limit", "least"),
    [
        ((0.25, 0.5, 0.25), 0.0, -1.0),
        ((0.0, 0.5, 0.5), 0.5, 0.0),
        ((0.0, 0.95, 0.05), 0.05, 0.0),
        ((0.0, 0.99, 0.01), 0.01, 0.0),
        ((0.04, 0.9, 0.06), 0.02, -1.0),
    ],
)
def test_a_challenger_at_its_limit_is_seldom_called_worse_at_any_of_many_looks(shares, limit, least):
    stops = lambda seen: evidence_above(seen, limit, least) >= math.log(1 / FALSE_ALARM)  # noqa: E731
    rate, _ = first_stop(shares, stops, seed=1)
    assert rate <= FALSE_ALARM


@pytest.mark.parametrize(
    ("shares", "limit", "least", "within"),
    [((0.1, 0.5, 0.4), 0.0, -1.0, 80), ((0.0, 0.8, 0.2), 0.05, 0.0, 80), ((0.0, 0.4, 0.6), 0.2, 0.0, 30)],
)
def test_a_challenger_that_is_worse_is_found_early(shares, limit, least, within):
    stops = lambda seen: evidence_above(seen, limit, least) >= math.log(1 / FALSE_ALARM)  # noqa: E731
    rate, median = first_stop(shares, stops, seed=2)
    assert rate == 1
    assert median <= within


def test_a_challenger_beyond_limit_and_margin_is_seldom_called_good_and_one_within_early():
    stops = lambda seen: evidence_below(seen, 0.05) >= math.log(1 / FALSE_ALARM)  # noqa: E731
    assert first_stop((0.0, 0.95, 0.05), stops, seed=3)[0] <= FALSE_ALARM
    rate, median = first_stop((0.0, 1.0, 0.0), stops, seed=3)
    assert (rate, median <= 100) == (1, True)


def test_all_measures_together_keep_the_false_alarm():
    """Two that are judged at each row: errors at their limit, and equal times."""
    alarms = 0
    generator = np.random.default_rng(4)
    for _ in range(RUNS):
        errors = np.cumsum(generator.random(ROWS) < 0.1)
        times = generator.choice([-1, 0, 1], ROWS, p=(0.2, 0.6, 0.2))
        better, worse = np.cumsum(times == -1), np.cumsum(times == 1)
        for look in range(ROWS):
            failed, slower, faster = int(errors[look]), int(worse[look]), int(better[look])
            measures = [
                Measure("errors", (Differences(0, look + 1 - failed, failed),), 0.1, "", least=0.0),
                Measure("latency", (Differences(faster, look + 1 - faster - slower, slower),), 0.0, ""),
            ]
            if judge(measures, FALSE_ALARM).worse:
                alarms += 1
                break
    assert alarms / RUNS <= FALSE_ALARM


def test_one_error_where_none_is_allowed_is_enough():
    errors = Measure("errors", (Differences(equal=1000, worse=1),), 0.0, "", least=0.0)
    assert judge([errors], 0.01).worse is errors
    assert judge([Measure("errors", (Differences(equal=1000),), 0.0, "", least=0.0)], 0.01).good


def test_of_several_classes_one_that_shifts_is_enough_and_is_weighed_by_their_number():
    shifting, still = Differences(equal=50, worse=50), Differences(equal=100)
    one = Measure("answers", (shifting,), 0.1, "")
    ten = Measure("answers", (shifting, *(still,) * 9), 0.1, "")
    assert judge([ten], 0.01).worse is ten
    assert one.against > ten.against > enough(0.01)
