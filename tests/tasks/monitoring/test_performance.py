"""The champion by late labels: streams whose error share is known."""

import numpy as np
import pandas as pd
import pytest

from configs.monitoring import MonitoringConfig
from tasks.monitoring.performance import anytime_radius, first_crossing, measure
from tasks.monitoring.task import description
from tasks.records import DriftReport, Performance

TESTED = np.r_[np.ones(20), np.zeros(180)]
"""A test with a tenth of errors."""


def labels(wrong, truth=None):
    """Late labels, a second apart."""
    truth = np.resize(["yes", "no"], len(wrong)) if truth is None else truth
    other = np.where(truth == "yes", "no", "yes")
    times = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(len(wrong)), unit="s")
    return pd.DataFrame({"time": times, "answer": np.where(wrong, other, truth), "label": truth})


def test_a_model_that_errs_as_in_its_test_is_found_worse_in_fewer_than_one_stream_of_twenty():
    draw = np.random.default_rng(0)
    crossed = [first_crossing(draw.random(2000) < 0.1, 0.1) is not None for _ in range(200)]
    assert sum(crossed) <= 10


@pytest.mark.parametrize("good", [0, 1000])
def test_a_model_that_errs_in_forty_instead_of_ten_of_a_hundred_is_found_within_300_labels(good):
    draw = np.random.default_rng(1)
    wrong = np.r_[draw.random(good) < 0.1, draw.random(400) < 0.4]
    found = measure(labels(wrong), TESTED, numbers=False, tolerance=0.05)
    assert found.worse
    moment = pd.Timestamp(found.since).tz_localize(None) - pd.Timestamp("2026-01-01")
    assert good < moment.total_seconds() < good + 300


def test_a_rise_within_the_tolerance_is_not_worse_however_many_labels_show_it():
    draw = np.random.default_rng(2)
    wrong = draw.random(20_000) < 0.14
    assert not measure(labels(wrong), TESTED, numbers=False, tolerance=0.05).worse


def test_the_interval_of_the_error_share_holds_after_every_label():
    draw = np.random.default_rng(3)
    rows = np.arange(1, 1001)
    radius = np.array([anytime_radius(count) for count in rows.tolist()])
    means = np.cumsum(draw.random((200, 1000)) < 0.3, axis=1) / rows
    missed = (np.abs(means - 0.3) > radius).any(axis=1)
    assert missed.mean() <= 0.05


def test_a_baseline_that_beats_the_model_is_said_first():
    truth = np.repeat(["yes", "no"], 100)
    found = measure(labels(np.arange(200) % 5 == 0, truth), TESTED, numbers=False, tolerance=0.05)
    assert found.repeating == pytest.approx(1 / 199)
    assert found.summary.startswith(
        "repeating the truth before errs in 0.5% and needs no model; the model errs"
    )


def test_numbers_err_where_they_are_farther_off_than_nine_in_ten_were_in_the_test():
    frame = pd.DataFrame(
        {"time": pd.Timestamp("2026-01-01"), "answer": ["1.0", "5.0"], "label": ["1.2", "1.0"]}
    )
    found = measure(frame, np.linspace(0, 1, 101), numbers=True, tolerance=0.05)
    assert (found.errors, found.near) == (0.5, 0.9)


def test_a_label_that_is_no_number_is_left_out():
    frame = pd.DataFrame(
        {"time": pd.Timestamp("2026-01-01"), "answer": ["1.0", "2.0"], "label": ["1.1", "?"]}
    )
    assert measure(frame, np.linspace(0, 1, 101), numbers=True, tolerance=0.05).labels == 1


def test_without_a_test_nothing_is_said():
    assert measure(labels(np.zeros(50, bool)), np.zeros(5), numbers=False, tolerance=0.05) is None


def look(labels, performance):
    return DriftReport(
        project="p",
        version=1,
        verdict="insufficient",
        rows=9,
        labels=labels,
        share=0.0,
        descriptors=(),
        newest="",
        report=None,
        performance=performance,
    )


def test_the_page_says_where_labels_are_compared_with_nothing_and_which_count_for_nothing():
    found = Performance(
        labels=7,
        errors=0.1,
        low=0.0,
        high=0.3,
        tested=0.1,
        allowed=0.2,
        near=1.0,
        repeating=0.5,
        constant=0.5,
        worse=False,
        since="",
    )
    section = MonitoringConfig()
    assert "Late labels are compared with nothing: its bundle" in description(look(9, None), section)
    assert "; 2 labels are no numbers, and count for nothing." in description(look(9, found), section)
    assert "count for nothing" not in description(look(7, found), section)
    assert "abels" not in description(look(0, None), section).replace("late labels since", "")
