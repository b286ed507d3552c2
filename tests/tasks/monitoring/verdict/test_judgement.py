"""Verdicts on streams whose truth is known: seeded simulations, small enough to be quick."""

import numpy as np
import pandas as pd
import pytest

from tasks.monitoring.page import evidently_distances
from tasks.monitoring.verdict.change_point import change_point
from tasks.monitoring.verdict.judgement import ALPHA, alpha_of_look, judge, smallest_found
from tasks.monitoring.verdict.two_sample import independent_rows
from tasks.monitoring.verdict.values import of_frame

TOLERANCE = 0.05


def normal(draw, rows, columns=20, shift=0.0):
    """Normal columns, the first one moved."""
    values = draw.normal(size=(rows, columns))
    values[:, 0] += shift
    return pd.DataFrame(values, columns=[f"column {number}" for number in range(columns)])


def awkward(draw, rows):
    """Heavy tails, ties, rare values, constants, gaps, many texts, and texts that never come twice."""
    return pd.DataFrame(
        {
            "cauchy": draw.standard_cauchy(rows),
            "lognormal": np.exp(2 * draw.normal(size=rows)),
            "rare": (draw.random(rows) < 0.01).astype(float),
            "counts": draw.poisson(0.3, rows).astype(float),
            "constant": np.ones(rows),
            "empty": np.full(rows, np.nan),
            "gaps": np.where(draw.random(rows) < 0.02, np.nan, draw.normal(size=rows)),
            "kind": draw.choice(list("abc"), rows, p=[0.9, 0.09, 0.01]),
            "postcode": draw.integers(0, 1000, rows).astype(str),
            "identity": draw.integers(0, 10**9, rows).astype(str),
        }
    )


def drifted(now, then, tolerance=TOLERANCE, look=1):
    return {found.name for found in judge(of_frame(now), of_frame(then), tolerance, look) if found.drifted}


@pytest.mark.parametrize("rows", [30, 200])
def test_a_stream_of_a_hundred_looks_at_an_unchanged_world_never_alarms(rows):
    draw = np.random.default_rng(0)
    then = awkward(draw, 700)
    assert not any(drifted(awkward(draw, rows), then, look=look) for look in range(1, 101))


def test_looks_to_come_may_alarm_no_more_often_than_all_together():
    parts = [alpha_of_look(look) for look in range(1, 100_000)]
    assert 0.99 * ALPHA < sum(parts) < ALPHA


def test_a_third_of_a_standard_deviation_in_one_of_twenty_columns_is_found_in_a_thousand_rows():
    draw = np.random.default_rng(1)
    found = [drifted(normal(draw, 1000, shift=0.3), normal(draw, 2000)) for _ in range(20)]
    assert sum("column 0" in names for names in found) >= 18
    assert set().union(*found) == {"column 0"}


def test_what_a_look_would_find_is_what_it_finds():
    draw = np.random.default_rng(2)
    shift = smallest_found(300, 2000, 20, TOLERANCE)
    found = [drifted(normal(draw, 300, shift=shift), normal(draw, 2000)) for _ in range(20)]
    assert sum("column 0" in names for names in found) >= 16


@pytest.mark.parametrize("rows", [1000, 100_000])
def test_a_move_within_the_tolerance_never_alarms_however_many_rows_show_it(rows):
    draw = np.random.default_rng(3)
    then = normal(draw, 20_000, columns=3)
    assert not drifted(normal(draw, rows, 3, shift=0.15), then, tolerance=0.2)
    assert drifted(normal(draw, 100_000, 3, shift=0.27), then, tolerance=0.2) == {"column 0"}


def test_distances_are_evidentlys_on_the_same_rows():
    draw = np.random.default_rng(4)
    columns = ["lognormal", "counts", "gaps", "kind"]
    then = awkward(draw, 600)[columns]
    now = awkward(draw, 400)[columns].assign(kind=draw.choice(list("abd"), 400), counts=draw.poisson(1, 400))
    # Evidently counts rows without a value as rows of the texts' shares, and drops them of numbers.
    expected = evidently_distances(now, then, dict.fromkeys(columns, 0.1))
    found = {each.name: each.distance for each in judge(of_frame(now), of_frame(then), TOLERANCE)}
    for name in columns:
        assert found[name] == pytest.approx(expected[name], rel=1e-9)


def test_a_category_that_was_never_seen_is_named():
    draw = np.random.default_rng(5)
    then = awkward(draw, 700)[["postcode"]]
    now = pd.DataFrame({"postcode": draw.integers(1000, 2000, 300).astype(str)})
    found = judge(of_frame(now), of_frame(then), TOLERANCE)
    (new,) = (each for each in found if each.name == "new texts in postcode")
    assert new.drifted
    assert new.moved == "known: 32.6% -> 0.0%"


def test_a_column_that_loses_values_drifts_by_its_missing_share():
    draw = np.random.default_rng(6)
    then, now = normal(draw, 700, 2), normal(draw, 300, 2)
    now.loc[now.index % 5 == 0, "column 1"] = np.nan
    assert drifted(now, then) == {"missing in column 1"}


def test_a_few_outliers_do_not_hide_how_all_others_moved():
    draw = np.random.default_rng(7)
    then, now = draw.normal(20, 5, 2000), draw.normal(45, 5, 500)
    then[::100], now[::100] = -99_999.0, -99_999.0
    assert drifted(pd.DataFrame({"heat": now}), {"heat": pd.Series(then)}) == {"heat"}


def test_rows_that_resemble_their_neighbours_count_less():
    draw = np.random.default_rng(8)
    noise = draw.normal(size=2500)
    values = np.zeros(2500)
    for row in range(1, 2500):
        values[row] = 0.9 * values[row - 1] + noise[row]
    worth = independent_rows(values[500:])
    assert 2000 / 40 < worth < 2000 / 8  # 1.9 / 0.1 = 19 rows are worth one
    assert independent_rows(noise) == 2500


def test_a_change_within_the_window_is_placed():
    draw = np.random.default_rng(9)
    scores = draw.normal(size=500)
    scores[300:] += 1.5
    best, first, last = change_point(scores, 0.0)
    assert first <= 300 <= last
    assert abs(best - 300) < 10
    assert change_point(draw.normal(size=500) + 1.5, 0.0) is None
