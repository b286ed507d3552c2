"""A daily rhythm that training rows have is no drift; what changed besides it is."""

import numpy as np
import pandas as pd
import pytest

from configs.monitoring import MonitoringConfig
from tasks.monitoring import drift, nearest
from tasks.production.drift_reference import Reference


def load_by_hour(draw, hours, move=0.0):
    """A load that is high at noon."""
    load = np.sin(hours / 24 * 2 * np.pi) + draw.normal(move, 0.3, len(hours))
    return pd.DataFrame({"load": load, "hour of when": hours.astype(float)})


@pytest.fixture
def draw():
    return np.random.default_rng(0)


@pytest.fixture
def kept(draw):
    rows = load_by_hour(draw, draw.integers(0, 24, 2000)).assign(**{"gyre.origin": "source"})
    held_out = load_by_hour(draw, draw.integers(0, 24, 1500))
    answers = pd.DataFrame({"model answer": held_out["load"], "gyre.origin": "source"})
    return Reference(rows, answers, held_out.assign(**{"gyre.origin": "source"}))


def look(draw, kept, hours, move=0.0, **options):
    now = load_by_hour(draw, hours, move)
    judged = nearest.judge_sides(
        now.assign(**{"model answer": now["load"]}), kept, MonitoringConfig(**options), 1
    )
    return judged.side.matched, {each.name for each in judged.found if each.drifted}


def test_a_night_is_compared_with_nights(draw, kept):
    night = draw.choice([1, 2, 3, 4], 200, p=[0.7, 0.1, 0.1, 0.1])
    assert look(draw, kept, night) == (("hour of when",), set())
    assert "load" in look(draw, kept, night, matching_hours=False)[1]


def test_what_changed_at_night_besides_the_hour_is_found(draw, kept):
    night = draw.integers(1, 5, 300)
    matched, drifted = look(draw, kept, night, move=0.5)
    assert matched == ("hour of when",)
    assert {"load", "model answer"} <= drifted


def test_whole_days_are_compared_with_all_rows(draw, kept):
    assert look(draw, kept, np.arange(240) % 24) == ((), set())


def test_hours_that_training_rows_lack_are_drift(draw, kept):
    day = kept.inputs["hour of when"] >= 6
    lacking = kept._replace(inputs=kept.inputs[day].reset_index(drop=True))
    matched, drifted = look(draw, lacking, draw.integers(1, 5, 200))
    assert matched == ()
    assert "hour of when" in drifted


def test_of_a_window_the_newest_hours_may_be_asked_for():
    times = pd.Series(pd.date_range("2026-01-01", periods=100, freq="h"))
    newest = drift.newest_hours(pd.DataFrame({"time": times}), 24)
    assert newest["time"].tolist() == times.iloc[-25:].tolist()
    assert len(drift.newest_hours(pd.DataFrame({"time": times}), None)) == 100
