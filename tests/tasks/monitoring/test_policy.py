"""When a retraining is worth it, by facts alone."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from configs.monitoring import RetrainingConfig
from tasks.monitoring.policy.challengers import Evidence, choose, is_no_worse
from tasks.monitoring.policy.decide import Ledger, News, decide
from tasks.monitoring.policy.forecast import PRIOR, Gain, Rate
from tasks.monitoring.policy.versions import best_version
from tasks.records import DriftReport, Performance

START = datetime(2026, 1, 1, tzinfo=UTC)


def report(cause="", errors=0.1, allowed=0.2, labels=500):
    performance = Performance(
        labels=labels,
        errors=errors,
        low=0,
        high=1,
        tested=0.1,
        allowed=allowed,
        near=None,
        repeating=0.5,
        constant=0.5,
        worse=cause == "performance",
        since="",
    )
    return DriftReport(
        project="wine",
        version=1,
        verdict="drifted" if cause else "ok",
        cause=cause,
        rows=200,
        labels=labels,
        share=0,
        descriptors=(),
        newest="",
        performance=performance,
        report=None,
    )


def looked(looks, learned=1000, batch=50, gain=None):
    ledger = Ledger()
    for look in range(looks):
        news = News(learned=learned, known=learned + look * batch, gain=gain)
        ledger = ledger.looked(news, START + timedelta(days=look))
    return ledger


def test_inputs_that_drift_start_nothing_while_late_labels_show_no_more_errors():
    decision = decide(report("inputs"), Ledger(), RetrainingConfig())
    assert decision.cause == ""
    assert decision.reason == "inputs drifted, but late labels show no more errors than are tolerated"


@pytest.mark.parametrize("few_or_bad", [{"labels": 5}, {"errors": 0.3}])
def test_inputs_that_drift_start_one_where_labels_are_few_or_show_errors(few_or_bad):
    assert decide(report("inputs", **few_or_bad), Ledger(), RetrainingConfig()).cause == "inputs"


def test_a_cause_that_is_switched_off_starts_nothing():
    off = RetrainingConfig(causes={"inputs": "never", "performance": False, "gain": False})
    for cause in ("inputs", "performance", ""):
        assert decide(report(cause, errors=0.5), looked(100), off).cause == ""


def test_labels_that_come_start_a_retraining_once_the_forecast_has_paid_for_it():
    causes = [decide(report(), looked(looks), RetrainingConfig()).cause for looks in range(1, 12)]
    assert causes.index("gain") == causes.count("") == 4
    dearer = [decide(report(), looked(looks), RetrainingConfig(cost=0.2)).cause for looks in range(1, 12)]
    assert dearer.count("") > causes.count("")


def test_releases_that_brought_nothing_make_the_next_one_wait_longer():
    nothing = Gain(news=0.2, mean=-0.001, error=0.001)
    ledger = looked(6, gain=nothing)
    assert ledger.rate.mean < PRIOR / 2
    assert ledger.started().fruitless == 1
    assert decide(report(), ledger, RetrainingConfig()).cause == ""


def test_a_rate_that_was_measured_goes_back_to_the_prior_as_rows_come():
    sure = Rate(mean=0.3, variance=0.0001)
    assert PRIOR < sure.aged(1.0).mean < 0.3
    assert sure.aged(1.0).variance > sure.variance


def test_worth_in_money_decides_by_days():
    def first(point_day):
        worth = RetrainingConfig(worth={"point_day": point_day, "retraining": 10})
        return [decide(report(), looked(looks), worth).cause for looks in range(1, 60)].count("")

    assert first(1000) < first(10) < first(1)


def test_the_budget_stops_every_cause_and_says_so():
    spent = Ledger(looks=10, retrainings=4)
    decision = decide(report("performance", errors=0.5), spent, RetrainingConfig())
    assert decision.cause == ""
    assert decision.reason.endswith("4 retrainings in 10 looks (retraining.budget.share 0.2)")


def test_the_budget_of_a_month_counts_the_last_thirty_days():
    starts = tuple(START + timedelta(days=day) for day in range(10))
    ledger = Ledger(looks=1000, retrainings=10, started_at=starts, at=START + timedelta(days=29))
    bad = report("performance", errors=0.5)
    assert "10 retrainings in 30 days" in decide(bad, ledger, RetrainingConfig()).reason
    later = ledger.model_copy(update={"at": START + timedelta(days=31)})
    assert decide(bad, later, RetrainingConfig()).cause == "performance"


def test_a_breaker_asks_a_person_and_waits_for_more_labels_each_time():
    bad, config = report("performance", errors=0.5), RetrainingConfig()
    ledger = Ledger(looks=1000, known=1200, started_with=1000, fruitless=3)
    assert "3 releases in a row brought nothing" in decide(bad, ledger, config).reason
    assert "waits for 1250 labelled rows, there are 1200" in decide(bad, ledger, config).reason
    assert decide(bad, ledger.model_copy(update={"known": 1250}), config).cause == "performance"
    assert "1500" in decide(bad, ledger.model_copy(update={"fruitless": 4}), config).reason


def rows(share, seed=0, count=400):
    return (np.random.default_rng(seed).random(count) < share).astype(float)


def test_all_rows_are_chosen_unless_others_are_better_by_more_than_chance():
    alike = Evidence().seen({"all": rows(0.8), "recent": rows(0.8, seed=4)})
    assert 0 < alike.advantages["recent"].mean < alike.advantages["recent"].error
    assert choose(alike, ("all", "recent")) == "all"
    better = Evidence().seen({"all": rows(0.7), "recent": rows(0.9, seed=1)})
    assert choose(better, ("all", "recent")) == "recent"


def test_what_earlier_blocks_told_outweighs_one_that_disagrees():
    evidence = Evidence()
    for _ in range(4):
        evidence = evidence.seen({"all": rows(0.9), "recent": rows(0.7, seed=1)})
    assert choose(evidence.seen({"all": rows(0.7), "recent": rows(0.9, seed=1)}), ("all", "recent")) == "all"


def test_a_challenger_need_not_be_better_but_no_worse_than_the_margin():
    champion = np.array([1.0] * 90 + [0.0] * 10)
    assert is_no_worse(champion, champion, 0.0)[0]
    worse = np.array([1.0] * 85 + [0.0] * 15)
    assert is_no_worse(worse, champion, 0.06)[0]
    assert is_no_worse(worse, champion, 0.02) == (
        False,
        "-0.0500 beside the champion on 100 newest rows that neither learned from, -0.02 is allowed",
    )


def test_an_older_version_takes_over_where_the_newest_labels_show_it_to_be_better():
    scores = {1: [rows(0.9)], 2: [rows(0.6, seed=1)]}
    version, why = best_version(scores, 2)
    assert version == 1
    assert why.startswith("version 1 scores +0.2600 (0.0293 by chance) beside version 2")
    assert best_version(scores, 1) == (1, "")


def test_rows_that_a_version_learned_from_say_nothing_for_it():
    assert best_version({1: [rows(0.6)], 2: [None]}, 1) == (1, "")
