"""Values that are counted in blocks: what more rows than points can hold costs, and that it is said."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import wasserstein_distance

from tasks.monitoring.verdict import counting, values
from tasks.monitoring.verdict.counting import count_numbers
from tasks.monitoring.verdict.distances import distance_of
from tasks.monitoring.verdict.judgement import judge
from tasks.monitoring.verdict.values import of_frame, of_parquet

TOLERANCE = 0.05


def mixed(draw, rows, shift=0.0):
    return pd.DataFrame(
        {
            "normal": draw.normal(shift, 1, rows),
            "lognormal": np.exp(2 * draw.normal(size=rows)),
            "count": draw.poisson(1, rows).astype(float),
            "gaps": np.where(draw.random(rows) < 0.1, np.nan, draw.normal(size=rows)),
            "kind": draw.choice([*"ab", None], rows, p=[0.8, 0.1, 0.1]),
            "postcode": draw.integers(0, 1000, rows).astype(str),
        }
    )


@pytest.fixture
def few_points(monkeypatch):
    """As if a few thousand rows were very many."""
    monkeypatch.setattr(counting, "SAMPLED", 4000)
    monkeypatch.setattr(counting, "POINTS", 500)
    monkeypatch.setattr(counting, "TAIL", 50)
    monkeypatch.setattr(values, "ROWS_A_BLOCK", 1500)


def test_a_verdict_on_files_is_the_one_on_the_same_rows_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(values, "ROWS_A_BLOCK", 300)
    draw = np.random.default_rng(0)
    sides = mixed(draw, 1000, 0.5), mixed(draw, 700)
    expected = judge(*map(of_frame, sides), TOLERANCE)
    for number, frame in enumerate(sides):
        half = len(frame) // 2
        for part, rows in enumerate((frame[:half], frame[half:])):
            (tmp_path / str(number)).mkdir(exist_ok=True)
            pq.write_table(pa.Table.from_pandas(rows), tmp_path / str(number) / f"{part}.parquet")
    now, then = (of_parquet(sorted((tmp_path / str(number)).iterdir())) for number in (0, 1))
    assert judge(now, then, TOLERANCE) == expected


def test_rounding_changes_a_distance_by_no_more_than_it_says(few_points):
    draw = np.random.default_rng(1)
    sides = mixed(draw, 20_000, 0.3), mixed(draw, 9000)
    for name in ("normal", "lognormal", "count"):
        now, then = (of_frame(side)[name] for side in sides)
        counted, _ = count_numbers(now, then)
        found = distance_of(counted.tally, 20_000)
        exact = wasserstein_distance(sides[0][name], sides[1][name]) / sides[1][name].std(ddof=0)
        assert len(counted.points) < 700
        assert abs(found.value - exact) <= found.rounding * 1.01 + 1e-9
        assert found.rounding < 0.02


def test_what_was_rounded_away_never_alarms(few_points):
    draw = np.random.default_rng(2)
    then = mixed(draw, 9000)
    for look in range(1, 11):
        assert not any(
            each.drifted for each in judge(of_frame(mixed(draw, 9000)), of_frame(then), TOLERANCE, look)
        )
    moved = [
        each.name
        for each in judge(of_frame(mixed(draw, 9000, 0.2)), of_frame(then), TOLERANCE)
        if each.drifted
    ]
    assert moved == ["normal"]


def test_a_change_is_placed_among_rows_of_which_some_have_no_value(few_points):
    draw = np.random.default_rng(3)
    now, then = mixed(draw, 9000), mixed(draw, 9000)
    now.loc[6000:, "gaps"] += 2
    times = pd.Series(pd.date_range("2026-01-01", periods=9000, freq="s"))
    (found,) = (each for each in judge(of_frame(now), of_frame(then), TOLERANCE, times=times) if each.drifted)
    assert found.name == "gaps"
    since = pd.Timestamp(found.since[0]).tz_localize(None)
    assert abs((since - times[6000]).total_seconds()) < 60


def test_a_value_that_is_always_missing_is_told_without_a_warning():
    frame = pd.DataFrame({"dust": np.full(50, np.nan)})
    (found,) = judge(of_frame(frame), of_frame({"dust": pd.Series(np.arange(50.0))}), TOLERANCE)
    assert (found.name, found.moved) == ("missing in dust", "there: 100.0% -> 0.0%")
