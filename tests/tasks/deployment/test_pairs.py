"""Two versions on the same rows: times, agreement and answers."""

import numpy as np

from configs.deployment import DeploymentConfig
from tasks.deployment.pairs import Pairs
from tasks.deployment.sequential import judge

ALL = DeploymentConfig(max_disagreement=0.1, max_answer_shift=0.1)


def seen(pairs, deployment=ALL):
    return {measure.name: measure for measure in pairs.measures(deployment)}


def alarm(pairs):
    worse = judge(pairs.measures(ALL), 0.05).worse
    return worse.name if worse else ""


def test_equal_times_give_no_alarm_at_any_row_and_the_same_answers_agree():
    generator = np.random.default_rng(5)
    alarms = 0
    for _ in range(100):
        pairs = Pairs(slowdown=0.0)
        for _ in range(100):
            # A heavy tail, far above the milliseconds that count for nothing.
            theirs, ours = 100 * generator.lognormal(0, 1, 2)
            pairs.add(theirs, ours, 1, 1)
            if alarm(pairs):
                alarms += 1
                break
    assert alarms <= 5
    assert pairs.figures()["agreement"] == 1


def test_three_times_as_long_is_found_and_twice_is_allowed():
    generator = np.random.default_rng(6)
    for factor, found in ((3.0, "median latency"), (1.9, "")):
        pairs = Pairs()
        for _ in range(100):
            theirs, ours = 20 * generator.normal(1, 0.05, 2)
            pairs.add(theirs, factor * ours, 1, 1)
        assert alarm(pairs) == found


def test_a_slow_twentieth_shows_where_the_median_does_not():
    pairs, generator = Pairs(), np.random.default_rng(8)
    for number in range(800):
        theirs, ours = 20 * generator.normal(1, 0.05, 2)
        pairs.add(theirs, 10 * ours if number % 8 == 0 else ours, 1, 1)
    assert alarm(pairs) == "95 % latency"
    assert seen(pairs)["95 % latency"].line()["allowed"] == "2 times as long, or 5 ms longer"
    assert seen(pairs)["95 % latency"].told.endswith(" ms beside the champion's 22 ms")


def test_some_milliseconds_count_for_nothing():
    pairs = Pairs()
    for _ in range(100):
        pairs.add(1, 4, 1, 1)
    assert alarm(pairs) == ""


def test_answers_that_differ_and_a_class_that_grows_are_found():
    pairs = Pairs()
    for number in range(100):
        pairs.add(1, 1, 0, 1 if number % 2 else 0)
    assert alarm(pairs) in ("answers", "disagreement")
    assert seen(pairs)["disagreement"].told == "50.0% of 100 rows are answered otherwise than by the champion"
    assert seen(pairs)["answers"].told == "class 1 +50.0% of 100 rows"


def test_numbers_agree_within_a_tenth_of_their_spread():
    pairs = Pairs(spread=10.0)
    for theirs, ours in ((5.0, 5.9), (5.0, 6.1), (5.0, 3.9), (np.nan, np.nan)):
        pairs.add(1, 1, np.array(theirs), np.array(ours))
    assert (pairs.same, pairs.count, pairs.higher) == (2, 4, 1)
    assert pairs.shifts()["higher numbers"].mean == 0


def test_what_is_not_limited_is_no_measure():
    pairs = Pairs()
    pairs.add(1, 1, 0, 1)
    assert list(seen(pairs, DeploymentConfig())) == ["median latency", "95 % latency"]
    assert list(seen(pairs, DeploymentConfig(max_slowdown=None))) == []
