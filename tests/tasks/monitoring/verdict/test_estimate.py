"""Errors estimated from answers alone, of simulated models whose errors are known."""

import numpy as np
import pandas as pd

from tasks.monitoring.verdict.estimate import estimate


def answered(draw, rows, sure, over=0.0):
    """Answers as sure as `sure`, which are right as often as they say, or less often by `over`."""
    confidence = draw.beta(20 * sure, 20 * (1 - sure), rows)
    wrong = draw.random(rows) > np.clip(confidence - over, 0, 1)
    return pd.DataFrame({"model confidence": confidence, "gyre.error": wrong.astype(float)})


def test_the_interval_holds_the_errors_of_a_surer_and_an_unsurer_world():
    draw = np.random.default_rng(0)
    held, trials = 0, 60
    for trial in range(trials):
        tested, now = answered(draw, 500, 0.9), answered(draw, 300, (0.95, 0.85, 0.7)[trial % 3])
        found = estimate(now.drop(columns="gyre.error"), tested)
        held += found.low <= now["gyre.error"].mean() <= found.high
    assert held >= 0.85 * trials


def test_a_model_that_is_too_sure_is_taken_at_its_tests_word():
    draw = np.random.default_rng(1)
    tested, now = answered(draw, 2000, 0.9, over=0.2), answered(draw, 2000, 0.8, over=0.2)
    found = estimate(now, tested)
    assert abs(found.errors - now["gyre.error"].mean()) < 0.04
    assert 0.25 < found.tested < 0.35


def test_a_test_without_errors_shows_that_there_are_few_and_not_that_there_are_none():
    tested = pd.DataFrame({"model confidence": np.full(100, 0.99), "gyre.error": np.zeros(100)})
    found = estimate(tested, tested)
    assert 0 < found.errors < 0.05
    assert found.high < 0.1


def test_of_numbers_the_share_is_told_that_lies_far_from_the_truth():
    draw = np.random.default_rng(2)
    answers = draw.normal(10, 2, 3000)
    error = np.abs(draw.normal(size=3000)) * np.where(answers > 12, 3.0, 0.5)
    tested = pd.DataFrame({"model answer": answers, "gyre.error": error})
    high = pd.DataFrame({"model answer": draw.normal(13.5, 0.3, 500)})
    found = estimate(high, tested)
    truth = np.mean(np.abs(draw.normal(size=100_000)) * 3 > found.near)
    assert abs(found.errors - truth) < 0.1
    assert abs(found.tested - 0.1) < 0.01


def test_without_errors_of_a_test_nothing_is_estimated():
    answers = pd.DataFrame({"model answer": ["a", "b"] * 50})
    assert estimate(answers, answers) is None
    assert estimate(answers, answers.assign(**{"gyre.error": 0.0})) is None
    few = answered(np.random.default_rng(3), 10, 0.9)
    assert estimate(few, few) is None
