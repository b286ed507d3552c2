"""What a backtest found."""

from tasks.records.base import Record
from tasks.records.data import DatasetVersion


class PolicyOutcome(Record):
    """One policy over a history."""

    name: str
    score: float
    """Mean of the result's first metric over all blocks."""
    scores: tuple[float, ...]
    """Of each block, by the model that served it."""
    retrainings: tuple[tuple[int, str, str], ...] = ()
    """Look, cause, and what became of it."""
    rollbacks: tuple[tuple[int, str], ...] = ()
    """Look, and why an older version took over."""
    drifted: int = 0
    """Looks whose verdict was `drifted`."""


class Recommendation(Record):
    """Values of `retraining:` chosen on the first part of a history, and what they did on the rest."""

    values: dict[str, str]
    """By dotted key; empty where the YAML's own did best."""
    chosen_on: int
    """Blocks of the first part."""
    difference: float
    """Of the mean score on the other blocks, beside the YAML's values."""
    low: float
    high: float
    """Its 95 % interval over blocks."""
    retrainings: tuple[int, int]
    """In all, by these values and by the YAML's."""


class BacktestReport(Record):
    """Policies side by side over one history."""

    dataset: DatasetVersion
    metric: str
    rows: int
    blocks: int
    planned: int
    """Blocks that the history has; more than `blocks` where the budget of time ended before."""
    policies: tuple[PolicyOutcome, ...]
    """`never` first, then `policy`: the YAML's."""
    oracle: float
    """Mean score of who knows the future, as many retrainings as it likes."""
    oracle_retrainings: int
    baseline: float
    """Of the better one of repeating the truth before and one answer for all, which need no model."""
    baseline_name: str
    recommended: Recommendation
    fits: int
    """Models that it trained or found."""

    def outcome(self, name: str) -> PolicyOutcome:
        """Of a policy by its name."""
        return next(each for each in self.policies if each.name == name)

    @property
    def best_constant(self) -> PolicyOutcome:
        """Of the policies that retrain at every look the best one."""
        constant = [each for each in self.policies if each.name.startswith("constant")]
        return max(constant, key=lambda each: each.score)

    @property
    def gain(self) -> float | None:
        """Share of what retraining at every look gains that the YAML's policy has.

        None where that gains nothing.
        """
        never, best = self.outcome("never").score, self.best_constant.score
        return (self.outcome("policy").score - never) / (best - never) if best > never else None

    @property
    def summary(self) -> str:
        """In two sentences, the baseline first where it does better."""
        policy, never = self.outcome("policy"), self.outcome("never")
        better = self.baseline > policy.score
        first = f"{self.baseline_name} scores {self.baseline:.4f} and needs no model; " if better else ""
        left = f"; the budget left out {self.planned - self.blocks} blocks" * (self.planned > self.blocks)
        share = "" if self.gain is None else f", {self.gain:.0%} of the gain"
        return (
            f"{first}{self.metric} {policy.score:.4f} with {len(policy.retrainings)} retrainings in {self.blocks}"
            f" looks{share}; never {never.score:.4f}, at every look {self.best_constant.score:.4f}{left}"
        )
