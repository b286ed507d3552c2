"""Policies side by side over one history.

Never, at every look, by a schedule, the YAML's, and who knows the future.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from configs.backtest import BacktestConfig, RowsConfig
from configs.monitoring import MonitoringConfig, RetrainingConfig
from tasks.backtest.fits import Fitted, Job, Sections, fit, run_job
from tasks.backtest.history import History
from tasks.backtest.oracle import best_schedule
from tasks.backtest.replay import Production, Replayed, replay, scheduled
from tasks.records import BacktestReport, DatasetVersion, PolicyOutcome, Recommendation
from tasks.result.confidence_interval import interval

Scores = npt.NDArray[np.float64]
Run = Callable[[Callable[[Job], int], Sequence[Job]], Iterable[int]]
"""Has jobs done, one after the other or side by side; yields what each answers."""
EVERY = 4
"""Looks between the retrainings of the schedule beside which the policy stands."""
COSTS = (0.02, 0.05, 0.1, 0.2)
PRICE = 0.01
"""Of a retraining in score x looks, by which values are recommended: a point until the next look."""


class Comparison:
    """A history with its fits, and the policies that can be asked of it."""

    def __init__(
        self,
        history: History,
        sections: Sections,
        monitoring: MonitoringConfig,
        backtest: BacktestConfig,
        store: Path,
    ) -> None:
        self.history, self.sections, self.monitoring = history, sections, monitoring
        self.backtest, self.store = backtest, store
        self.recipes: dict[str, RowsConfig] = {each.use: each for each in backtest.rows}
        self.fits: dict[tuple[int, str], Fitted] = {}

    def fit(self, known: int, recipe: str) -> Fitted:
        """A model of the store, trained where it is missing."""
        if (known, recipe) not in self.fits:
            # The first model serves under every policy alike.
            rows = self.recipes[recipe] if known else self.backtest.rows[0]
            self.fits[known, recipe] = fit(self.history, known, rows, self.sections, self.store)
        return self.fits[known, recipe]

    def production(self) -> Production:
        """What serves at the beginning."""
        first = self.backtest.rows[0].use
        return Production(self.history, self.fit, first, self.monitoring, self.sections.result)

    def train_all(self, run: Run) -> int:
        """Trains what any policy may ask for, the oldest first, until the budget of time is spent.

        Blocks that can be replayed.
        """
        self.history.keep(self.store)
        recipes = list(self.recipes.values())
        ends = None if self.backtest.minutes is None else time.monotonic() + 60 * self.backtest.minutes
        jobs = [
            Job(self.store, known, recipe, self.sections)
            for known in range(self.history.blocks - 1)
            for recipe in (recipes if known else recipes[:1])
        ]
        done: dict[int, int] = {}
        for known in run(run_job, jobs):
            done[known] = done.get(known, 0) + 1
            if ends is not None and time.monotonic() > ends:
                break
        whole = itertools.takewhile(
            lambda known: done.get(known, 0) >= (len(recipes) if known else 1), itertools.count()
        )
        return min(self.history.blocks, len(list(whole)) + 1)

    def matrix(self, recipe: str) -> Scores:
        """Score [models, blocks] of the model that knows so many blocks.

        NaN where it learned from the block.
        """
        blocks = self.history.blocks
        found = np.full((blocks - 1, blocks), np.nan)
        for known in range(blocks - 1):
            model = self.fit(known, recipe)
            offset = self.history.starts[known]
            for block in range(known, blocks):
                first, end = (self.history.starts[each] - offset for each in (block, block + 1))
                found[known, block] = model.scores[first:end].mean()
        return found


def compare(
    comparison: Comparison, retraining: RetrainingConfig, dataset: DatasetVersion, planned: int
) -> BacktestReport:
    """All policies over the history, whose models are trained."""
    history, recipes = comparison.history, tuple(comparison.recipes)
    found = [scheduled(comparison.production(), 0, recipes[0], "never")]
    policy = replay(comparison.production(), retraining, comparison.backtest)
    found.append(policy)
    found += [scheduled(comparison.production(), 1, recipe, f"constant {recipe}") for recipe in recipes]
    found.append(scheduled(comparison.production(), EVERY, recipes[0], f"every {EVERY} looks"))
    oracle, looks = best_schedule(np.fmax.reduce([comparison.matrix(recipe) for recipe in recipes]), 0.0)
    name, baseline = best_baseline(history, comparison.sections)
    return BacktestReport(
        dataset=dataset,
        metric=metric_of(comparison.sections),
        rows=len(history.frame),
        blocks=history.blocks,
        planned=planned,
        policies=tuple(outcome(each) for each in found),
        oracle=oracle,
        oracle_retrainings=len(looks),
        baseline=baseline,
        baseline_name=name,
        recommended=recommend(comparison, retraining, policy),
        fits=len(comparison.fits),
    )


def outcome(replayed: Replayed) -> PolicyOutcome:
    """As a record."""
    told = [
        (each.look, each.cause, f"{each.reason}; {each.recipe or 'refused'} {each.why}".strip())
        for each in replayed.retrained
    ]
    return PolicyOutcome(
        name=replayed.policy,
        score=replayed.score,
        scores=tuple(replayed.scores),
        retrainings=tuple(told),
        rollbacks=tuple(replayed.rollbacks),
        drifted=replayed.drifted,
    )


def recommend(comparison: Comparison, retraining: RetrainingConfig, mine: Replayed) -> Recommendation:
    """Values that do best on the first half of the blocks, a retraining at PRICE, and what they do on the second."""
    half = comparison.history.blocks // 2
    best, chosen, values = mine, net(mine, half), dict[str, str]()
    for cost in COSTS:
        tried = retraining.model_copy(update={"cost": cost, "worth": None})
        other = replay(comparison.production(), tried, comparison.backtest)
        if net(other, half) > chosen:
            best, chosen, values = other, net(other, half), {"retraining.cost": f"{cost:g}"}
    difference = np.array(best.scores[half:]) - np.array(mine.scores[half:])
    low, high = interval(difference)
    return Recommendation(
        values=values,
        chosen_on=half,
        difference=float(difference.mean()),
        low=low,
        high=high,
        retrainings=(len(best.retrained), len(mine.retrained)),
    )


def net(replayed: Replayed, blocks: int) -> float:
    """Mean score of the first blocks, retrainings paid for."""
    paid = PRICE * sum(each.look < blocks for each in replayed.retrained)
    return float(np.mean(replayed.scores[:blocks])) - paid / blocks


def metric_of(sections: Sections) -> str:
    """Name of the score."""
    from tasks.result import build_result

    return build_result(sections.result).metric


def best_baseline(history: History, sections: Sections) -> tuple[str, float]:
    """The better one of repeating the truth of the row before, and of one answer for all, by the first rows.

    Mean over blocks.
    """
    from tasks.result import build_result

    result = build_result(sections.result)
    targets = result.targets(history.frame[result.label])
    first = targets[: history.starts[0]]
    usual = np.median(first) if result.classes is None else np.bincount(first).argmax()
    said = {
        "repeating the truth before": np.roll(targets, 1),
        "one answer for all": np.full_like(targets, usual),
    }
    name = "prediction" if result.classes is None else "class"
    scores = {}
    for told, given in said.items():
        blocks = itertools.pairwise(history.starts)
        means = [result.scores({name: given[a:b]}, targets[a:b]).mean() for a, b in blocks]
        scores[told] = float(np.mean(means))
    best = max(scores, key=lambda told: scores[told])
    return best, scores[best]
