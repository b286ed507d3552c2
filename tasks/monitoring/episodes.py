"""Decides about drift episodes: events in, a new history and instructions out. No I/O, no clock.

An episode opens after enough drifted verdicts, waits for labels, is announced, is claimed by one retraining,
and closes when another version serves or production looks like training again. A retraining that ended
without a newer version opens it again, a limited number of times.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from configs.monitoring import MonitoringConfig, RetrainingConfig
from tasks.monitoring.policy.decide import Ledger, News, decide, labels_deny, why_not_now
from tasks.records import DriftReport, Episode, Record

GRACE = timedelta(seconds=60)
"""An announced episode that nobody claimed for this long is announced again: its event was lost."""


class History(Record):
    """What is remembered of one project's drift."""

    episode: Episode | None = None
    """The last one, whatever its state."""
    opened: int = 0
    """Episodes so far."""
    version: int | None = None
    """Model version that the verdicts were about."""
    newest: str = ""
    """Newest prediction of the last verdict that counted."""
    streak: int = 0
    """Verdicts in a row: drifted ones above 0, ok ones below."""
    announced_at: datetime | None = None
    """When the open episode was announced; None when it must not be claimed yet."""
    closed_at: datetime | None = None
    ledger: Ledger = Ledger()
    """What its retrainings brought, and how many there were."""

    @property
    def current(self) -> Episode | None:
        """The episode that is not over."""
        return self.episode if self.episode and self.episode.state != "closed" else None


@dataclass(frozen=True)
class Observed:
    """Somebody looked at production."""

    report: DriftReport
    now: datetime
    monitoring: MonitoringConfig
    retraining: RetrainingConfig
    superseded_by: int | None = None
    """The version that serves by now, where that is not the one that was looked at."""
    news: News | None = None
    """What is labelled that the champion did not learn from; None where nobody counted it."""


@dataclass(frozen=True)
class Announced:
    """The episode's drift event was sent."""

    episode: str
    event_id: str


@dataclass(frozen=True)
class ClaimRequested:
    """A flow run wants to answer an episode."""

    episode: str
    flow_run_id: str


@dataclass(frozen=True)
class RetrainingEnded:
    """A flow run is over, however it ended."""

    flow_run_id: str


@dataclass(frozen=True)
class Released:
    """A version serves from now on."""

    version: int
    now: datetime


Event = Observed | Announced | ClaimRequested | RetrainingEnded | Released


@dataclass(frozen=True)
class Instruction:
    """What to do, and why, as a sentence for people."""

    kind: Literal["wait", "open", "announce", "close", "give-up", "grant", "refuse"]
    reason: str


Step = tuple[History, tuple[Instruction, ...]]


def step(history: History, event: Event) -> Step:
    """The history after an event, and what follows from it.

    Only `announce` asks for an action; the rest is for people to read.
    """
    match event:
        case Observed():
            return _on_observed(history, event)
        case Announced():
            known = history.current and history.current.id == event.episode
            return (_episode(history, event_id=event.event_id) if known else history), ()
        case ClaimRequested():
            return _on_claim_requested(history, event)
        case RetrainingEnded():
            return _on_retraining_ended(history, event)
        case Released():
            return _on_released(history, event)


def _on_observed(history: History, event: Observed) -> Step:
    version = event.report.version
    if version is None:
        return history, (Instruction("wait", "no model serves yet"),)
    if event.superseded_by is not None:
        # What it saw has ended with that version: counted now, it would open an episode that nothing drifted for.
        superseded = f"version {event.superseded_by} took over while version {version} was looked at"
        return history, (Instruction("wait", superseded),)
    before, history = history, _count_verdict(history, event.report)
    if history.newest != before.newest or (event.news and event.news.gain):
        history = history.model_copy(update={"ledger": history.ledger.looked(event.news, event.now)})
    closed: tuple[Instruction, ...] = ()
    if reason := _reason_to_close(history, event, version):
        history, closed = _close(history, event.now, reason)
    after, instructions = _pursue(history, event) if history.current else _consider(history, event, version)
    return after, closed + instructions


def _count_verdict(history: History, report: DriftReport) -> History:
    """Counts a verdict once, and only one that rests on enough predictions, newer than the last ones."""
    if report.version != history.version:
        history = history.model_copy(update={"version": report.version, "newest": "", "streak": 0})
    # Labels tell of predictions that were counted before; once is enough.
    by_labels = report.cause == "performance" and history.streak <= 0
    if report.verdict == "insufficient" or (report.newest <= history.newest and not by_labels):
        return history
    repeats = history.streak > 0 if report.verdict == "drifted" else history.streak < 0
    if repeats and report.oldest and report.oldest <= history.newest:
        # The windows overlap: the same predictions would confirm themselves.
        return history
    streak = max(history.streak, 0) + 1 if report.verdict == "drifted" else min(history.streak, 0) - 1
    return history.model_copy(update={"newest": report.newest, "streak": streak})


def _reason_to_close(history: History, event: Observed, version: int) -> str | None:
    """Why the current episode is over; a claimed one ends only by a newer version."""
    episode = history.current
    if episode is None:
        return None
    if version > episode.version or (version != episode.version and episode.state != "claimed"):
        return f"version {version} serves instead of version {episode.version}"
    if episode.state == "claimed" or episode.cause in ("performance", "gain"):
        return None
    if -history.streak >= event.monitoring.confirmations:
        return "production looks like the training rows again"
    if episode.cause and labels_deny(event.report, event.retraining, episode.cause):
        return "labels came, and they show no more errors than are tolerated"
    return None


def _consider(history: History, event: Observed, version: int) -> Step:
    """Without an episode: opens one where a cause holds and the last episode is long enough ago."""
    confirmations = event.monitoring.confirmations
    if event.report.verdict == "insufficient":
        return history, (
            Instruction("wait", f"{event.report.rows} of {event.monitoring.min_predictions} predictions"),
        )
    decision = decide(event.report, history.ledger, event.retraining)
    if not decision.cause:
        return history, (Instruction("wait", decision.reason),)
    by_drift = decision.cause in ("inputs", "answers")
    if by_drift and history.streak < confirmations:
        seen = f"drift seen {max(0, history.streak)} of {confirmations} times in a row"
        return history, (Instruction("wait", seen),)
    if history.closed_at and event.now < (
        rested := history.closed_at + timedelta(seconds=event.retraining.cooldown_seconds)
    ):
        return history, (
            Instruction("wait", f"drift seen, cooling down until {rested:%Y-%m-%d %H:%M:%S} UTC"),
        )
    opened = history.opened + 1
    project = event.report.project
    episode = Episode(
        id=f"{project}-{opened}",
        project=project,
        version=version,
        state="open",
        attempts=0,
        flow_run_id=None,
        event_id=None,
        cause=decision.cause,
    )
    after, instructions = _pursue(
        history.model_copy(update={"episode": episode, "opened": opened, "announced_at": None}), event
    )
    return after, (
        Instruction("open", f"version {version}, cause {episode.cause}: {decision.reason}"),
        *instructions,
    )


def _pursue(history: History, event: Observed) -> Step:
    """With an episode: what brings it to its end."""
    episode, labels, needed = history.current, event.report.labels, event.retraining.minimum_labels
    if episode is None or episode.state == "claimed":
        return history, (Instruction("wait", f"flow run {episode and episode.flow_run_id} is retraining"),)
    if episode.attempts >= event.retraining.max_attempts:
        reason = f"{episode.attempts} retrainings ended without a newer version; a person must look, the next release goes on"
        return _episode(history, state="given-up"), (
            Instruction("wait" if episode.state == "given-up" else "give-up", reason),
        )
    if labels < needed:
        return history, (Instruction("wait", f"drift seen, waiting for labels: {labels} of {needed}"),)
    if history.announced_at and event.now < history.announced_at + GRACE:
        return history, (Instruction("wait", "announced, waiting for a retraining to claim it"),)
    if spent := why_not_now(history.ledger, event.retraining):
        return history, (Instruction("wait", f"a retraining is due; but {spent}"),)
    again = " again" if history.announced_at else ""
    history = _episode(history.model_copy(update={"announced_at": event.now}), state="open")
    return history, (Instruction("announce", f"announced{again}: {labels} labels are enough to retrain"),)


def _on_claim_requested(history: History, event: ClaimRequested) -> Step:
    """One flow run holds an episode; the same run gets it again, so it can resume."""
    episode = history.current
    if episode is None or episode.id != event.episode:
        return history, (Instruction("refuse", f"{event.episode} is not an episode that is open"),)
    if episode.state == "claimed":
        mine = episode.flow_run_id == event.flow_run_id
        return history, (
            Instruction("grant" if mine else "refuse", f"flow run {episode.flow_run_id} holds {episode.id}"),
        )
    if episode.state != "open" or history.announced_at is None:
        return history, (Instruction("refuse", f"{episode.id} is {episode.state} and was not announced"),)
    history = history.model_copy(update={"ledger": history.ledger.started()})
    history = _episode(history, state="claimed", flow_run_id=event.flow_run_id, attempts=episode.attempts + 1)
    return history, (Instruction("grant", f"attempt {episode.attempts + 1} of {episode.id}"),)


def _on_retraining_ended(history: History, event: RetrainingEnded) -> Step:
    """A claim whose run is over without a release is free again.

    The next look announces the episode or gives it up.
    """
    episode = history.current
    if episode is None or episode.state != "claimed" or episode.flow_run_id != event.flow_run_id:
        return history, ()
    history = _episode(history.model_copy(update={"announced_at": None}), state="open", flow_run_id=None)
    return history, (Instruction("open", f"flow run {event.flow_run_id} ended without a newer version"),)


def _on_released(history: History, event: Released) -> Step:
    episode = history.current
    if episode is None or event.version <= episode.version:
        return history, ()
    return _close(history, event.now, f"version {event.version} serves instead of version {episode.version}")


def _close(history: History, now: datetime, reason: str) -> Step:
    """The streak begins anew: the next episode needs verdicts of its own."""
    fresh = {"closed_at": now, "announced_at": None, "streak": 0}
    return _episode(history.model_copy(update=fresh), state="closed"), (Instruction("close", reason),)


def _episode(history: History, **changes: object) -> History:
    """The history with a changed episode."""
    return history.model_copy(
        update={"episode": history.episode and history.episode.model_copy(update=changes)}
    )
