"""A history of two worlds, replayed with real trainings: small ones, each made once for all tests."""

import numpy as np
import pandas as pd
import pytest
import torch

from configs.backtest import BacktestConfig, RowsConfig
from configs.intake import TabularIntakeConfig
from configs.monitoring import MonitoringConfig, RetrainingConfig
from configs.result import ClassificationResultConfig
from configs.training import TrainingConfig
from tasks.backtest import fits
from tasks.backtest.compare import Comparison, compare
from tasks.backtest.fits import Sections, fit
from tasks.backtest.history import cut
from tasks.backtest.picture import picture
from tasks.backtest.replay import replay
from tasks.backtest.task import description
from tasks.records import BacktestReport, DatasetVersion
from tasks.rows.recency import WEIGHT, choose

INTAKE = TabularIntakeConfig(kind="tabular", numeric=("a", "b"))
SECTIONS = Sections(
    INTAKE,
    ClassificationResultConfig(kind="classification", label="y", classes=("no", "yes")),
    TrainingConfig(strategy="single", ranks=1, epochs=6, batch_size=64, learning_rate=0.02),
)
RECENT = RowsConfig(use="recent", share=0.15, least=150)
BACKTEST = BacktestConfig(looks=8, first=0.2, rows=(RowsConfig(), RECENT))
RETRAINING = RetrainingConfig(budget={"saved": 5})
VERSION = DatasetVersion(
    uri="", digest="", project="worlds", version=1, tag="worlds/v1", commit="", rows=0, splits={}
)


def rows(count=1500):
    """The truth turns round after half of the rows; inputs never move."""
    draw = np.random.default_rng(5)
    frame = pd.DataFrame({"a": draw.normal(size=count), "b": draw.normal(size=count)})
    turned = np.arange(count) >= 0.5 * count
    truth = np.where(turned, frame["a"] < frame["b"], frame["a"] > frame["b"])
    return frame.assign(y=np.where(truth, "yes", "no"))


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    threads = torch.get_num_threads()
    history = cut(rows(), INTAKE, None, BACKTEST.first, BACKTEST.looks)
    yield Comparison(history, SECTIONS, MonitoringConfig(), BACKTEST, tmp_path_factory.mktemp("store"))
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def report(comparison):
    return compare(comparison, RETRAINING, VERSION, BACKTEST.looks)


def test_labels_that_show_more_errors_start_the_retraining_that_brings_the_model_back(report):
    never, policy = report.outcome("never"), report.outcome("policy")
    assert "performance" in {cause for _, cause, _ in policy.retrainings}
    assert policy.scores[-1] > never.scores[-1] + 0.5
    assert report.oracle >= policy.score > never.score


def test_no_retraining_is_counted_twice_or_beyond_the_budget(report):
    looks = [look for look, _, _ in report.outcome("policy").retrainings]
    assert looks == sorted(set(looks))
    assert len(looks) <= 5 + 0.2 * BACKTEST.looks


def test_a_policy_without_causes_is_the_one_that_never_retrains(comparison, report):
    causes = {"performance": False, "inputs": "never", "answers": "never", "gain": False}
    still = replay(comparison.production(), RetrainingConfig(causes=causes), BacktestConfig(rollback=False))
    assert tuple(still.scores) == report.outcome("never").scores
    assert still.retrained == []


def test_a_look_knows_no_label_of_its_own_block(comparison):
    """Every block's truth is turned round once the look at it is over: what it decided stays."""
    production = comparison.production()
    before = [production.report(look, 1) for look in range(3)]
    labels = production.history.frame["y"].to_numpy(copy=True)
    known = production.history.starts[2]
    production.history.frame.loc[known:, "y"] = "no"
    after = [production.report(look, 1) for look in range(3)]
    production.history.frame["y"] = labels
    assert after == before


def test_a_backtest_that_was_stopped_goes_on_without_training_again(comparison, report, monkeypatch):
    def refuse(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(fits, "make", refuse)
    again = Comparison(comparison.history, SECTIONS, MonitoringConfig(), BACKTEST, comparison.store)
    assert compare(again, RETRAINING, VERSION, BACKTEST.looks) == report
    with pytest.raises(AssertionError, match="trained again"):
        fit(comparison.history, 1, RowsConfig(use="weighted"), SECTIONS, comparison.store)


def test_a_budget_of_time_leaves_blocks_out_and_the_report_says_so(comparison, report):
    short = BACKTEST.model_copy(update={"minutes": 1e-9})
    limited = Comparison(comparison.history, SECTIONS, MonitoringConfig(), short, comparison.store)
    assert limited.train_all(map) == 2
    told = report.model_copy(update={"blocks": 2, "planned": 8})
    assert told.summary.endswith("; the budget left out 6 blocks")


def test_the_page_names_each_retraining_with_its_cause_and_is_drawn(report):
    page = description(report)
    for look, cause, _ in report.outcome("policy").retrainings:
        assert f"| {look} | {cause} |" in page
    assert picture(report).startswith(b"\x89PNG")


def test_a_baseline_that_needs_no_model_is_named_first_where_it_does_better(report):
    better = report.model_copy(update={"baseline": 0.999, "baseline_name": "repeating the truth before"})
    assert better.summary.startswith("repeating the truth before scores 0.9990 and needs no model; ")
    assert BacktestReport.model_validate_json(report.model_dump_json()) == report


def test_rows_without_a_date_are_named():
    frame = rows(100).assign(when=["2026-01-01"] * 99 + [None])
    with pytest.raises(ValueError, match=r"backtest\.time: 1 of 100 rows have no 'when'"):
        cut(frame, INTAKE, "when", 0.1, 5)
    with pytest.raises(ValueError, match=r"100 rows are too few for 200 looks"):
        cut(rows(100), INTAKE, None, 0.1, 200)


def test_rows_are_taken_in_the_order_of_their_dates():
    days = pd.date_range("2026-01-01", periods=100).to_series().sample(frac=1, random_state=1)
    history = cut(rows(100).assign(when=days.to_numpy()), INTAKE, "when", 0.5, 5)
    assert history.frame["when"].is_monotonic_increasing
    assert history.days.tolist() == [59, 69, 79, 89, 99]


def test_recent_and_weighted_rows_are_the_newest_and_the_newer_the_more():
    frame = pd.DataFrame({"row": range(100)})
    recent = choose(frame, RowsConfig(use="recent", share=0.2, least=10))
    assert recent["row"].tolist() == list(range(80, 100))
    weighted = choose(frame, RowsConfig(use="weighted", half_life=0.1))
    assert weighted[WEIGHT].is_monotonic_increasing
    assert weighted[WEIGHT].iloc[-11] == pytest.approx(0.5)
