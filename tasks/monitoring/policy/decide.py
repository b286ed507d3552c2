"""Whether to retrain at this look, for which cause, or why not."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from configs.monitoring import RetrainingConfig
from tasks.monitoring.policy.forecast import Gain, Rate
from tasks.records import DriftReport, Record

Cause = Literal["", "performance", "inputs", "answers", "gain"]
POINT = 0.01
"""A point of score."""
MONTH = timedelta(days=30)
BROKEN_GROWTH = 0.25
"""Labels, as a share of those at the last retraining, that an open breaker waits for.

Twice as many each time.
"""


class News(Record):
    """What a look knows of rows beyond those that the newest version learned from."""

    learned: int
    """Rows that it learned from."""
    known: int
    """Rows that are labelled by now, these among them."""
    gain: Gain | None = None
    """Of the newest version over the one before it, on labels that came since the last look."""


class Ledger(Record):
    """What is remembered of a project's retrainings."""

    looks: int = 0
    """That brought predictions or labels not seen before."""
    at: datetime | None = None
    """When the last of them was."""
    known: int = 0
    """Rows that were labelled at that time."""
    retrainings: int = 0
    """Started."""
    started_at: tuple[datetime, ...] = ()
    """Those of the last MONTH."""
    started_with: int = 0
    """Rows that were labelled when the last one started."""
    fruitless: int = 0
    """Releases in a row that late labels showed to have brought nothing."""
    rate: Rate = Rate()
    lost: float = 0.0
    """Forecast of the score that the rows not learned from cost, summed over requests, as a share of the rows learned from."""
    lost_days: float = 0.0
    """The same, summed over days."""
    gains: tuple[Gain, ...] = ()
    """Of the newest release over the one before, a batch of labels each."""

    def looked(self, news: News | None, now: datetime) -> "Ledger":
        """After a look that found something not seen before."""
        if news is None or not news.learned:
            return self.model_copy(update={"looks": self.looks + 1, "at": now})
        share = max(0, news.known - (self.known or news.known)) / news.learned
        days = (now - self.at) / timedelta(days=1) if self.at else 0.0
        rate, gains = self.rate.aged(share), self.gains
        if news.gain is not None:
            rate, gains = rate.measured(news.gain), (*gains, news.gain)
        gain = max(0.0, rate.gain(news.learned, news.known))
        changes: dict[str, object] = {
            "lost": self.lost + gain * share,
            "lost_days": self.lost_days + gain * days,
        }
        changes |= {"looks": self.looks + 1, "at": now, "known": news.known, "rate": rate, "gains": gains}
        return self.model_copy(update=changes)

    def started(self) -> "Ledger":
        """After a retraining was started at the last look.

        What was lost is paid for, and the last release is judged.
        """
        fruitless = self.fruitless
        if self.gains:
            fruitless = fruitless + 1 if sum(each.mean for each in self.gains) <= 0 else 0
        starts = self.started_at if self.at is None else (*self.started_at, self.at)
        changes: dict[str, object] = {
            "retrainings": self.retrainings + 1,
            "lost": 0.0,
            "lost_days": 0.0,
            "gains": (),
        }
        changes |= {"fruitless": fruitless, "started_at": starts[-100:], "started_with": self.known}
        return self.model_copy(update=changes)


@dataclass(frozen=True)
class Decision:
    """A retraining and its cause, or none; `reason` is a sentence for people."""

    cause: Cause
    reason: str


def decide(report: DriftReport, ledger: Ledger, retraining: RetrainingConfig) -> Decision:
    """The first cause that holds, unless the budget or the breaker forbids it."""
    wanted = cause_for(report, ledger, retraining)
    if not wanted.cause:
        return wanted
    if forbidden := why_not_now(ledger, retraining):
        return Decision("", f"{wanted.reason}; but {forbidden}")
    return wanted


def why_not_now(ledger: Ledger, retraining: RetrainingConfig) -> str:
    """Why no retraining may start, whatever its cause; empty where one may."""
    budget = retraining.budget
    if ledger.retrainings + 1 > budget.share * ledger.looks + budget.saved:
        return (
            f"the budget is spent: {ledger.retrainings} retrainings in {ledger.looks} looks"
            f" (retraining.budget.share {budget.share:g})"
        )
    recent = [start for start in ledger.started_at if ledger.at and ledger.at - start < MONTH]
    if len(recent) >= budget.in_30_days:
        return f"the budget is spent: {len(recent)} retrainings in 30 days (retraining.budget.in_30_days)"
    broken = ledger.fruitless - retraining.breaker
    needed = ledger.started_with * (1 + BROKEN_GROWTH * 2.0**broken) if broken >= 0 else 0
    if ledger.known < needed:
        return (
            f"{ledger.fruitless} releases in a row brought nothing on later labels (retraining.breaker): a person"
            f" should look; the next one waits for {needed:.0f} labelled rows, there are {ledger.known}"
        )
    return ""


def cause_for(report: DriftReport, ledger: Ledger, retraining: RetrainingConfig) -> Decision:
    """As `decide`, whatever the budget says."""
    causes = retraining.causes
    drifted = report.verdict == "drifted"
    if drifted and report.cause == "performance" and causes.performance:
        return Decision("performance", report.summary)
    if drifted and report.cause != "performance":
        cause: Cause = report.cause or "inputs"
        if labels_deny(report, retraining, cause):
            told = f"{cause} drifted, but late labels show no more errors than are tolerated"
        elif getattr(causes, cause) == "never":
            told = f"{cause} drifted (retraining.causes.{cause} is never)"
        else:
            return Decision(cause, report.summary)
    else:
        told = "production looks like the training rows"
    if causes.gain and worth_it(ledger, retraining):
        reason = f"the rows that came since would have brought {ledger.lost / POINT:.2g} points by now, by the forecast"
        return Decision("gain", reason)
    return Decision("", told)


def labels_deny(report: DriftReport, retraining: RetrainingConfig, cause: str) -> bool:
    """Whether enough late labels show that the champion errs no more often than it may, whatever its inputs or answers do."""
    found = report.performance
    if found is None or getattr(retraining.causes, cause, "") != "unless_labels_deny":
        return False
    return found.labels >= retraining.minimum_labels and found.errors <= found.allowed


def worth_it(ledger: Ledger, retraining: RetrainingConfig) -> bool:
    """Whether as much was lost as a retraining costs, which counts double for each release in a row that brought nothing.

    To act once the loss has reached the price is at most twice as dear as to know the future (ski rental;
    Karlin et al., Competitive snoopy caching, 1988).
    """
    times = 2.0**ledger.fruitless
    if retraining.worth is not None:
        return ledger.lost_days / POINT * retraining.worth.point_day >= retraining.worth.retraining * times
    return ledger.lost / POINT >= retraining.cost * times
