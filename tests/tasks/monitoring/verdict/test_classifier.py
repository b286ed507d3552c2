"""What all descriptors and the network's embedding show together."""

import numpy as np
import pandas as pd

from tasks.monitoring.verdict.classifier import measure_together, measure_unlikeness
from tasks.monitoring.verdict.judgement import verdicts

TOLERANCE = 0.05


def pairs(draw, rows, correlation):
    """Two numbers of variance 1, and a kind that says nothing."""
    first = draw.normal(size=rows)
    second = correlation * first + np.sqrt(1 - correlation**2) * draw.normal(size=rows)
    return pd.DataFrame({"first": first, "second": second, "kind": draw.choice(["a", "b", None], rows)})


def embedded(draw, rows, places=8, shift=0.0):
    names = [f"gyre.embedding.{place}" for place in range(places)]
    return pd.DataFrame(draw.normal(shift, 1, (rows, places)), columns=names)


def judged(found, look=1):
    return {each.name: each for each in verdicts(found, look)}


def test_a_move_that_is_small_in_each_number_is_found_in_all_of_them_and_named():
    draw = np.random.default_rng(0)
    then, now = embedded(draw, 1500, 16), embedded(draw, 300, 16, shift=0.3)
    (found,) = judged(measure_together(now, then, TOLERANCE)).values()
    assert found.drifted
    assert found.moved.endswith("by the network's embedding")


def test_a_stream_of_unchanged_rows_never_alarms():
    draw = np.random.default_rng(1)
    then = pd.concat([pairs(draw, 1500, 0.5), embedded(draw, 1500)], axis=1)
    for look in range(1, 21):
        now = pd.concat([pairs(draw, 200, 0.5), embedded(draw, 200)], axis=1)
        found = measure_together(now, then, TOLERANCE) + measure_unlikeness(now, then, TOLERANCE)
        assert not any(each.drifted for each in judged(found, look).values())


def test_rows_that_are_slow_to_change_are_not_learned_by_heart():
    draw = np.random.default_rng(2)
    then = pd.DataFrame(draw.normal(size=(1500, 10))).rename(columns=str)
    for _ in range(5):
        steps = np.sqrt(1 - 0.97**2) * draw.normal(size=(500, 10))
        for row in range(1, 500):
            steps[row] += 0.97 * steps[row - 1]
        now = pd.DataFrame(steps[300:]).rename(columns=str)
        assert not judged(measure_together(now, then, TOLERANCE))["all together"].drifted


def test_unlike_rows_are_found_though_only_the_newest_are():
    draw = np.random.default_rng(3)
    then = embedded(draw, 1500)
    now = pd.concat([embedded(draw, 200), 3 * embedded(draw, 100)], ignore_index=True)
    assert judged(measure_unlikeness(now, then, TOLERANCE))["unlikeness"].drifted


def test_columns_without_values_with_few_rows_or_alone_are_no_error():
    draw = np.random.default_rng(4)
    empty = pairs(draw, 200, 0.5).assign(first=np.nan, second=np.inf, kind=None)
    (found,) = measure_together(empty, pairs(draw, 200, 0.5), TOLERANCE)
    assert "missing in first" in found.moved or "kind" in found.moved
    assert measure_together(empty[:30], empty, TOLERANCE) == []
    assert measure_together(empty[["first"]], empty[["first"]], TOLERANCE) == []
