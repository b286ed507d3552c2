"""The machine by examples, then by thousands of generated histories."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from configs.monitoring import BudgetConfig, MonitoringConfig, RetrainingConfig
from tasks.monitoring.episodes import (
    GRACE,
    Announced,
    ClaimRequested,
    History,
    Instruction,
    Observed,
    Released,
    RetrainingEnded,
    step,
)
from tasks.monitoring.policy.decide import News
from tasks.records import DriftReport, Performance

START = datetime(2026, 1, 1, tzinfo=UTC)
MONITORING = MonitoringConfig(window=200, min_predictions=100, confirmations=2)
RETRAINING = RetrainingConfig(
    minimum_labels=150, cooldown_seconds=600, max_attempts=3, budget={"saved": 1000, "in_30_days": 1000}
)


def look(verdict="drifted", newest=1, labels=150, version=1, oldest=None, cause="", performance=None):
    return DriftReport(
        cause=cause,
        performance=performance,
        oldest=""
        if oldest is None
        else (START + timedelta(seconds=oldest)).isoformat(timespec="microseconds"),
        project="digits",
        version=version,
        verdict=verdict,
        rows=200,
        labels=labels,
        share=0.0,
        descriptors=(),
        newest=(START + timedelta(seconds=newest)).isoformat(timespec="microseconds"),
        report=None,
    )


class Play:
    """A history that remembers what the machine said."""

    def __init__(self, monitoring=MONITORING, retraining=RETRAINING):
        self.history, self.now, self.monitoring, self.retraining = History(), START, monitoring, retraining

    def tell(self, event):
        self.history, instructions = step(self.history, event)
        return instructions

    def observe(self, *, after=1.0, **report):
        self.now += timedelta(seconds=after)
        return self.tell(Observed(look(**report), self.now, self.monitoring, self.retraining))

    def late_look(self, superseded_by, **report):
        self.now += timedelta(seconds=1)
        event = Observed(look(**report), self.now, self.monitoring, self.retraining, superseded_by)
        return self.tell(event)

    def announced(self):
        self.observe(newest=1)
        assert kinds(self.observe(newest=2)) == ["open", "announce"]
        return self

    def claimed(self, run="run-1"):
        self.announced()
        assert kinds(self.tell(ClaimRequested("digits-1", run))) == ["grant"]
        return self


def kinds(instructions):
    return [instruction.kind for instruction in instructions]


def test_a_look_that_began_before_a_release_opens_no_episode_after_it():
    play = Play(retraining=RETRAINING.model_copy(update={"cooldown_seconds": 0})).announced()
    play.tell(ClaimRequested("digits-1", "run"))
    play.tell(Released(2, play.now))
    before = play.history
    for newest in (3, 4, 5):
        (answer,) = play.late_look(2, newest=newest)
        assert (answer.kind, answer.reason) == ("wait", "version 2 took over while version 1 was looked at")
    assert play.history == before


def test_an_episode_opens_after_enough_drifted_verdicts_on_new_predictions():
    play = Play()
    assert play.observe(newest=1) == (Instruction("wait", "drift seen 1 of 2 times in a row"),)
    assert kinds(play.observe(newest=1)) == ["wait"]
    assert kinds(play.observe(newest=2)) == ["open", "announce"]
    assert play.history.current.id == "digits-1"


def test_an_ok_verdict_begins_the_count_anew():
    play = Play()
    play.observe(newest=1)
    play.observe(newest=2, verdict="ok")
    assert play.observe(newest=3) == (Instruction("wait", "drift seen 1 of 2 times in a row"),)


def test_insufficient_neither_counts_nor_resets():
    play = Play()
    play.observe(newest=1)
    play.observe(newest=2, verdict="insufficient")
    assert play.history.streak == 1
    assert kinds(play.observe(newest=3)) == ["open", "announce"]


def test_a_late_older_verdict_does_not_count():
    play = Play()
    play.observe(newest=5)
    assert kinds(play.observe(newest=4)) == ["wait"]


def test_an_open_episode_waits_for_labels():
    play = Play()
    play.observe(newest=1, labels=0)
    assert play.observe(newest=2, labels=37)[-1] == Instruction(
        "wait", "drift seen, waiting for labels: 37 of 150"
    )
    assert play.history.current.state == "open"
    assert kinds(play.tell(ClaimRequested("digits-1", "run-1"))) == ["refuse"]
    assert kinds(play.observe(newest=2, labels=150)) == ["announce"]


def test_an_event_that_nobody_answers_is_announced_again_after_the_grace_period():
    play = Play().announced()
    assert kinds(play.observe(newest=2, after=20)) == ["wait"]
    assert kinds(play.observe(newest=2, after=GRACE.total_seconds())) == ["announce"]


def test_the_same_run_gets_its_claim_again_and_another_does_not():
    play = Play().claimed("run-1")
    assert kinds(play.tell(ClaimRequested("digits-1", "run-2"))) == ["refuse"]
    assert kinds(play.tell(ClaimRequested("digits-1", "run-1"))) == ["grant"]
    assert play.history.current.attempts == 1


@pytest.mark.parametrize("forged", ["digits-0", "digits-2", "letters-1", ""])
def test_a_forged_episode_is_refused(forged):
    assert kinds(Play().announced().tell(ClaimRequested(forged, "run-1"))) == ["refuse"]


def test_a_failed_retraining_is_announced_again():
    play = Play().claimed()
    play.tell(RetrainingEnded("run-1"))
    assert kinds(play.observe(newest=3)) == ["announce"]
    assert kinds(play.tell(ClaimRequested("digits-1", "run-2"))) == ["grant"]


def test_the_end_of_another_run_leaves_the_claim():
    play = Play().claimed()
    play.tell(RetrainingEnded("run-9"))
    assert play.history.current.state == "claimed"


def test_after_enough_failures_a_person_must_look_and_a_release_goes_on():
    play = Play().claimed("run-1")
    for attempt in (2, 3):
        play.tell(RetrainingEnded(f"run-{attempt - 1}"))
        play.observe(newest=attempt + 1)
        play.tell(ClaimRequested("digits-1", f"run-{attempt}"))
    play.tell(RetrainingEnded("run-3"))
    (given_up,) = play.observe(newest=9)
    assert given_up.kind == "give-up"
    assert given_up.reason.startswith("3 retrainings ended without a newer version")
    assert kinds(play.observe(newest=10, after=1e6)) == ["wait"]
    assert kinds(play.tell(ClaimRequested("digits-1", "run-4"))) == ["refuse"]
    assert kinds(play.tell(Released(2, play.now))) == ["close"]


def test_a_newer_version_closes_the_episode_and_an_older_one_does_not():
    play = Play().claimed()
    assert play.tell(Released(1, play.now)) == ()
    assert play.tell(Released(2, play.now)) == (
        Instruction("close", "version 2 serves instead of version 1"),
    )
    assert play.history.current is None


def test_the_sweep_notices_a_release_that_nobody_told():
    assert kinds(Play().claimed().observe(newest=3, version=2, verdict="insufficient")) == ["close", "wait"]


def test_no_episode_opens_before_the_cooldown_is_over():
    play = Play().claimed()
    play.tell(Released(2, play.now))
    play.observe(newest=3, version=2)
    (wait,) = play.observe(newest=4, version=2)
    assert wait.reason == "drift seen, cooling down until 2026-01-01 00:10:02 UTC"
    assert kinds(play.observe(newest=4, version=2, after=600)) == ["open", "announce"]
    assert play.history.current.id == "digits-2"


def test_a_world_that_moved_back_closes_an_episode_that_no_run_holds():
    play = Play().announced()
    assert kinds(play.observe(newest=3, verdict="ok")) == ["wait"]
    assert play.observe(newest=4, verdict="ok")[0] == Instruction(
        "close", "production looks like the training rows again"
    )


def test_a_world_that_moved_back_leaves_a_running_retraining():
    play = Play().claimed()
    play.observe(newest=3, verdict="ok")
    assert play.observe(newest=4, verdict="ok") == (Instruction("wait", "flow run run-1 is retraining"),)


def test_an_event_id_is_kept_for_its_own_episode_only():
    play = Play().announced()
    play.tell(Announced("digits-9", "forged"))
    play.tell(Announced("digits-1", "event-1"))
    assert play.history.current.event_id == "event-1"


class Histories(RuleBasedStateMachine):
    """Any order of looks, claims, ends and releases.

    A model of what must hold, kept apart from the machine's own bookkeeping.
    """

    def __init__(self):
        super().__init__()
        self.play = Play()
        self.serving, self.newest = 1, 0
        self.confirmed, self.counted = 0, -1
        self.holder: str | None = None
        self.claims: dict[str, int] = {}
        self.closed_at: datetime | None = None

    def judge(self, instructions, labels=0):
        for instruction in instructions:
            if instruction.kind == "open" and instruction.reason.startswith("version"):
                assert self.confirmed >= MONITORING.confirmations
                assert self.closed_at is None or self.play.now >= self.closed_at + timedelta(
                    seconds=RETRAINING.cooldown_seconds
                )
            if instruction.kind == "announce":
                assert labels >= RETRAINING.minimum_labels
                assert self.holder is None
            if instruction.kind == "close":
                self.closed_at, self.holder, self.confirmed = self.play.now, None, 0

    @rule(
        verdict=st.sampled_from(["drifted", "drifted", "drifted", "ok", "insufficient"]),
        fresh=st.sampled_from([0, 1, 1]),
        labels=st.sampled_from([0, 149, 150, 900]),
        after=st.sampled_from([0.0, 20.0, 61.0, 700.0]),
    )
    def observe(self, verdict, fresh, labels, after):
        self.newest += fresh
        if self.newest > self.counted and verdict != "insufficient":
            self.confirmed, self.counted = self.confirmed + 1 if verdict == "drifted" else 0, self.newest
        instructions = self.play.observe(
            verdict=verdict, newest=self.newest, labels=labels, version=self.serving, after=after
        )
        self.judge(instructions, labels)
        assert max(self.play.history.streak, 0) == self.confirmed

    @rule(run=st.sampled_from(["a", "b", "c"]), offset=st.sampled_from([0, 0, 0, -1, 1]))
    def claim(self, run, offset):
        episode = f"digits-{self.play.history.opened + offset}"
        (answer,) = self.play.tell(ClaimRequested(episode, run))
        if answer.kind == "grant":
            assert self.holder in (None, run)
            assert self.play.history.current.id == episode
            self.claims[episode] = self.claims.get(episode, 0) + (self.holder is None)
            self.holder = run

    @rule(run=st.sampled_from(["a", "b", "c"]))
    def end(self, run):
        self.play.tell(RetrainingEnded(run))
        self.holder = None if run == self.holder else self.holder

    @rule(told=st.booleans())
    def release(self, told):
        self.serving, self.counted = self.serving + 1, -1
        if told:
            self.judge(self.play.tell(Released(self.serving, self.play.now)))
        self.confirmed = 0

    @invariant()
    def one_claim_and_limited_attempts(self):
        episode = self.play.history.current
        assert (episode.flow_run_id if episode and episode.state == "claimed" else None) == self.holder
        assert all(attempts <= RETRAINING.max_attempts for attempts in self.claims.values())


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=300, stateful_step_count=40, deadline=None, derandomize=True)


def test_windows_that_overlap_do_not_confirm_each_other():
    play = Play()
    play.observe(oldest=0, newest=200)
    play.observe(oldest=150, newest=350)
    assert play.history.current is None
    play.observe(oldest=201, newest=401)
    assert play.history.current


def test_an_overlapping_window_with_another_verdict_ends_the_streak():
    play = Play()
    play.observe(oldest=0, newest=200)
    play.observe(oldest=150, newest=350, verdict="ok")
    play.observe(oldest=351, newest=551)
    assert play.history.current is None


def test_labels_that_say_the_model_got_worse_open_an_episode_that_says_so():
    play = Play()
    play.observe(verdict="ok", newest=200)
    instructions = play.observe(cause="performance", newest=200)
    assert play.history.current.cause == "performance"
    assert instructions[0].reason.startswith("version 1, cause performance: ")


def performance(errors):
    facts = {"labels": 150, "errors": errors, "low": 0, "high": 1, "tested": 0.1, "allowed": 0.2}
    return Performance(**facts, near=None, repeating=0.5, constant=0.5, worse=False, since="")


def test_an_episode_of_inputs_ends_when_labels_come_and_show_no_more_errors():
    play = Play(monitoring=MONITORING.model_copy(update={"confirmations": 1}))
    play.observe(newest=1, cause="inputs", labels=0)
    assert play.history.current.cause == "inputs"
    closed, wait = play.observe(newest=2, cause="inputs", performance=performance(0.1))
    assert closed == Instruction("close", "labels came, and they show no more errors than are tolerated")
    assert wait.kind == "wait"
    assert play.history.current is None


def test_an_episode_of_inputs_goes_on_when_labels_show_errors():
    play = Play(monitoring=MONITORING.model_copy(update={"confirmations": 1}))
    play.observe(newest=1, cause="inputs", labels=0)
    assert kinds(play.observe(newest=2, cause="inputs", performance=performance(0.3))) == ["announce"]


def test_labels_that_came_open_an_episode_though_nothing_drifted_and_ok_verdicts_leave_it():
    play = Play()
    news = News(learned=1000, known=1000)
    for newest in range(1, 12):
        report = look("ok", newest=newest, labels=0)
        play.tell(Observed(report, play.now, MONITORING, RETRAINING, news=news))
        news = news.model_copy(update={"known": news.known + 100})
    assert play.history.current.cause == "gain"
    assert kinds(play.observe(verdict="ok", newest=20)) == ["announce"]


def test_a_retraining_that_is_granted_counts_against_the_budget_however_often_it_is_asked_for():
    spent = RETRAINING.model_copy(update={"budget": BudgetConfig(share=0, saved=1)})
    play = Play(retraining=spent).claimed()
    play.tell(ClaimRequested("digits-1", "run-1"))
    assert play.history.ledger.retrainings == 1
    play.tell(RetrainingEnded("run-1"))
    (wait,) = play.observe(newest=9)
    assert wait.reason.startswith("a retraining is due; but the budget is spent: 1 retrainings")
