"""One policy through one history: each block is a look at production, by the code that production runs.

At look s the champion answers block s, and the labels of the block before arrive (they are one look late).
The look compares, as tasks/monitoring/drift.py does, the newest predictions with what the champion learned
from, and its errors on late labels with those of its test; the policy decides (tasks/monitoring/policy/), the
state machine opens, announces and grants the episode (tasks/monitoring/episodes.py). A retraining learns from
the labels that are
there: challengers by several choices of rows are compared with each other on the newest labelled block, which
none of them saw, and the best one with the champion; where it is no worse, the same is trained with that
block too and serves from the next one on.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from configs.backtest import BacktestConfig
from configs.monitoring import MonitoringConfig, RetrainingConfig
from configs.result import ResultConfig
from tasks.backtest.fits import Fitted
from tasks.backtest.history import History
from tasks.monitoring import drift, nearest, performance
from tasks.monitoring.episodes import ClaimRequested, Observed, Released, RetrainingEnded, step
from tasks.monitoring.episodes import History as Drift
from tasks.monitoring.policy.challengers import Evidence, choose, is_no_worse
from tasks.monitoring.policy.decide import News
from tasks.monitoring.policy.forecast import Gain
from tasks.monitoring.policy.versions import best_version, squared_error
from tasks.production.drift_reference import ERROR
from tasks.records import DriftReport, Performance

REMEMBERED = 12
"""Blocks of labels by which versions are compared; older ones would count next to nothing."""
START = datetime(2000, 1, 1, tzinfo=UTC)
PROJECT = "backtest"
Fit = Callable[[int, str], Fitted]
"""The model that knows so many blocks, by a choice of rows."""


@dataclass(frozen=True)
class Retrained:
    """A retraining that a replay started."""

    look: int
    cause: str
    reason: str
    recipe: str
    released: bool
    why: str


@dataclass
class Replayed:
    """What came of a policy."""

    policy: str
    scores: list[float] = field(default_factory=list)
    """Of each block, by the model that served it."""
    retrained: list[Retrained] = field(default_factory=list)
    rollbacks: list[tuple[int, str]] = field(default_factory=list)
    """Looks at which an older version took over, and why."""
    drifted: int = 0
    """Looks whose verdict was `drifted`."""

    @property
    def score(self) -> float:
        """Mean over the blocks."""
        return float(np.mean(self.scores))


class Production:
    """What serves, what it answered, and what is known of it by now."""

    def __init__(
        self, history: History, fit: Fit, first: str, monitoring: MonitoringConfig, result: ResultConfig
    ) -> None:
        self.history, self.fit, self.monitoring = history, fit, monitoring
        self.numbers, self.label = drift.gives_numbers(result), result.label
        self.version, self.since = 1, 0
        self.versions: dict[int, Fitted] = {1: fit(0, first)}
        """All that were released."""

    @property
    def champion(self) -> Fitted:
        """What serves."""
        return self.versions[self.version]

    def release(self, model: Fitted, block: int) -> None:
        """Another model serves from a block on."""
        self.versions[max(self.versions) + 1] = model
        self.version, self.since = max(self.versions), block

    def roll_back(self, look: int, kept: int) -> str:
        """Whether another of the newest `kept` versions serves from the next block on, and why.

        Empty where none does.
        """
        names = sorted({*sorted(self.versions)[-kept:], self.version})
        blocks = range(max(0, look - REMEMBERED), look)
        scores = {name: [self.unseen(self.versions[name], each) for each in blocks] for name in names}
        best, why = best_version(scores, self.version)
        if best != self.version:
            self.version, self.since = best, look + 1
        return why

    def unseen(self, model: Fitted, block: int) -> npt.NDArray[np.float64] | None:
        """A model's scores of a block that it did not learn from."""
        return self.score(model, block) if block >= model.known else None

    @property
    def newest(self) -> Fitted:
        """The version that learned from most rows."""
        return self.versions[max(self.versions)]

    def score(self, model: Fitted, block: int) -> npt.NDArray[np.float64]:
        """A model's scores of a block's rows."""
        return model.scores[self.places(model, block, block + 1)]

    def places(self, model: Fitted, first: int, end: int) -> slice:
        """Of some blocks' rows in a model's answers."""
        offset = self.history.starts[model.known]
        return slice(self.history.starts[first] - offset, self.history.starts[end] - offset)

    def report(self, look: int, number: int) -> DriftReport:
        """As a look at production's log would report after block `look`."""
        mine = self.places(self.champion, self.since, look + 1)
        rows = mine.stop - mine.start
        window = min(rows, self.monitoring.window)
        known = (
            max(0, self.history.starts[look] - self.history.starts[self.since]) if look > self.since else 0
        )
        report = DriftReport(
            project=PROJECT,
            version=self.version,
            verdict="insufficient",
            rows=window,
            labels=known,
            share=0.0,
            descriptors=(),
            oldest=self.moment(look, 0),
            newest=self.moment(look, 1),
            performance=self.performance(look),
            report=None,
        )
        if window < self.monitoring.min_predictions:
            return report
        current, kept = self.described(mine.stop - window, mine.stop)
        found, _, _ = nearest.judge_nearest(current, kept, self.monitoring, number)
        names = [name for name in kept[1].columns if not str(name).startswith("gyre.")]
        return drift.conclude(report, tuple(found), names, self.monitoring)

    def described(self, first: int, end: int) -> tuple[pd.DataFrame, tuple[pd.DataFrame, pd.DataFrame]]:
        """Descriptors of the champion's predictions, and its reference's."""
        offset = self.history.starts[self.champion.known]
        inputs = self.history.described.iloc[offset + first : offset + end].reset_index(drop=True)
        given = self.champion.answers.iloc[first:end].reset_index(drop=True)
        given = given.rename(columns=lambda name: f"model {name}")
        return pd.concat([inputs, given], axis=1), (self.champion.inputs, self.champion.tested)

    def performance(self, look: int) -> Performance | None:
        """The champion's errors on the blocks that it served and whose labels are there."""
        if look <= self.since:
            return None
        first, end = self.history.starts[self.since], self.history.starts[look]
        answers = self.champion.answers["answer"].iloc[self.places(self.champion, self.since, look)]
        labelled = pd.DataFrame(
            {
                "answer": answers.to_numpy(),
                "label": self.history.frame[self.label].iloc[first:end].to_numpy(),
                "time": pd.Timestamp(START).tz_localize(None),
            }
        )
        tested = self.champion.tested[ERROR].to_numpy()
        return performance.measure(labelled, tested, self.numbers, self.monitoring.performance_tolerance)

    def moment(self, look: int, end: int) -> str:
        """When a block begins or ends; a window never overlaps the last one's."""
        found = START + timedelta(days=float(look + end) - (1e-6 if end else 0))
        return found.isoformat(timespec="microseconds")

    def gain(self, look: int) -> Gain | None:
        """What the newest release brought over the one before, on the block whose labels came with this look."""
        if len(self.versions) < 2 or look - 1 < self.newest.known:
            return None
        before = self.versions[max(self.versions) - 1]
        difference = self.score(self.newest, look - 1) - self.score(before, look - 1)
        rows = [self.history.starts[model.known] for model in (before, self.newest)]
        error = math.sqrt(squared_error(difference))
        return Gain(news=math.log(rows[1] / rows[0]), mean=float(difference.mean()), error=error)


def replay(
    production: Production, retraining: RetrainingConfig, backtest: BacktestConfig, name: str = "policy"
) -> Replayed:
    """The YAML's policy over all blocks."""
    found, play = Replayed(name), Play(production, retraining, backtest)
    last = production.history.blocks - 1
    for look in range(last + 1):
        found.scores.append(float(production.score(production.champion, look).mean()))
        if look < last:
            play.look(look, found)
    return found


class Play:
    """What a policy remembers from look to look.

    The state machine's history, and what held-out blocks told.
    """

    def __init__(
        self, production: Production, retraining: RetrainingConfig, backtest: BacktestConfig
    ) -> None:
        self.production, self.retraining, self.backtest = production, retraining, backtest
        self.state, self.evidence, self.number = Drift(), Evidence(), 0

    def look(self, look: int, found: Replayed) -> None:
        """One look, and what follows from it."""
        production, history = self.production, self.production.history
        self.number += 1
        report = production.report(look, self.number)
        found.drifted += report.verdict == "drifted"
        rows, known = history.starts[production.newest.known], history.starts[look]
        news = News(learned=rows, known=known, gain=production.gain(look))
        now = START + timedelta(days=float(history.days[look]))
        seen = Observed(report, now, production.monitoring, self.retraining, news=news)
        self.state, instructions = step(self.state, seen)
        announced = any(each.kind == "announce" for each in instructions)
        if announced and self.state.current and look:
            opened = [each.reason for each in instructions if each.kind == "open"]
            self.answer(look, now, opened, found)
        elif self.backtest.rollback and (why := production.roll_back(look, self.backtest.keep)):
            found.rollbacks.append((look, why))
            self.number = 0

    def answer(self, look: int, now: datetime, opened: list[str], found: Replayed) -> None:
        """The retraining that an episode asks for, as the flow would run it."""
        episode, run = self.state.current, f"look-{look}"
        if episode is None:
            return
        self.state, (answer,) = step(self.state, ClaimRequested(episode.id, run))
        self.evidence, model, why = retrain(self.production, look, self.backtest, self.evidence)
        reason, recipe = " ".join(opened) or answer.reason, model.recipe if model else ""
        found.retrained.append(Retrained(look, episode.cause, reason, recipe, model is not None, why))
        if model is None:
            self.state, _ = step(self.state, RetrainingEnded(run))
            return
        self.production.release(model, look + 1)
        self.number = 0
        self.state, _ = step(self.state, Released(self.production.version, now))


def retrain(
    production: Production,
    look: int,
    backtest: BacktestConfig,
    evidence: Evidence,
) -> tuple[Evidence, Fitted | None, str]:
    """Challengers without the newest labelled block, the choice among them, and where it is no worse the same with that block."""
    block = look - 1
    scores: dict[str, npt.NDArray[np.float64]] = {
        each.use: production.score(production.fit(block, each.use), block) for each in backtest.rows
    }
    evidence = evidence.seen(scores)
    chosen = choose(evidence, tuple(scores))
    champion = production.score(production.champion, block)
    fine, why = is_no_worse(scores[chosen], champion, backtest.margin)
    return evidence, production.fit(look, chosen) if fine else None, why


def scheduled(production: Production, every: int, recipe: str, name: str) -> Replayed:
    """A retraining every so many looks, whatever they find, and released unseen; 0: never."""
    found = Replayed(name)
    for look in range(production.history.blocks):
        found.scores.append(float(production.score(production.champion, look).mean()))
        if every and look and look % every == 0 and look < production.history.blocks - 1:
            production.release(production.fit(look, recipe), look + 1)
            found.retrained.append(Retrained(look, "schedule", f"every {every} looks", recipe, True, ""))
    return found
