"""Evidence that may be looked at after every request.

A trial ends as soon as it is strong, and looking often makes no false alarm.

What is observed is the difference between challenger and champion on one row: -1 (the challenger is better),
0 or 1 (it is worse). Somebody who bets that the differences are above a limit on average, and may never go
into debt, multiplies the stake by F only with a probability of 1 / F where they are not, however often and
whenever it is looked (Ville's inequality). The bettor here spreads the stake over bets of many sizes, so the
capital depends on the counts alone (Waudby-Smith & Ramdas, Estimating means of bounded random variables by
betting, 2024).
"""

import math
from dataclasses import dataclass

import numpy as np

SIZES = 1 - np.geomspace(1, 1e-3, 33)[1:]
SIZES = np.unique(np.concatenate([SIZES, np.geomspace(1e-3, 0.9, 31)]))
"""Of bets, as shares of the largest that cannot end in debt."""


@dataclass(frozen=True)
class Differences:
    """How often each difference was seen."""

    better: int = 0
    equal: int = 0
    worse: int = 0

    @property
    def count(self) -> int:
        """Of all."""
        return self.better + self.equal + self.worse

    @property
    def mean(self) -> float:
        """0 where there are none."""
        return (self.worse - self.better) / self.count if self.count else 0.0

    def __add__(self, other: "Differences") -> "Differences":
        return Differences(self.better + other.better, self.equal + other.equal, self.worse + other.worse)

    def reversed(self) -> "Differences":
        """With champion and challenger in each other's place."""
        return Differences(self.worse, self.equal, self.better)


def evidence_above(seen: Differences, limit: float, least: float = -1.0) -> float:
    """How much a stake of 1 became that was bet on a mean above `limit`, as a natural logarithm.

    least: the smallest difference that there can be, 0 or -1
    """
    if limit >= 1:
        return -math.inf if seen.count else 0.0
    if limit <= least:
        # A single difference above what can be: no mean at the limit gives it.
        return math.inf if seen.worse or (seen.equal and limit < 0) else 0.0
    bets = SIZES / (limit - least)
    capital = seen.worse * np.log1p(bets * (1 - limit)) + seen.equal * np.log1p(-bets * limit)
    if seen.better:
        capital = capital + seen.better * np.log1p(bets * (-1 - limit))
    return float(np.logaddexp.reduce(capital) - math.log(len(bets)))


def evidence_below(seen: Differences, limit: float) -> float:
    """The same for a mean below `limit`."""
    return evidence_above(seen.reversed(), -limit)


def weight(logarithm: float) -> str:
    """Evidence in words: how much a stake of 1 became that was bet on it."""
    return "over a million" if logarithm > math.log(1e6) else f"{math.exp(logarithm):.3g}"


@dataclass(frozen=True)
class Measure:
    """One thing that a challenger may be worse in."""

    name: str
    seen: tuple[Differences, ...]
    """One, or several of which any may be worse, such as one a class."""
    limit: float
    """Mean difference up to which it is as good as the champion."""
    told: str
    """What was seen, in words."""
    least: float = -1.0
    """The smallest difference that there can be."""
    margin: float = 0.05
    """Beyond the limit: a mean surely below both together is good enough to end the trial early."""
    allowance: str = ""
    """The limit in words, where it is no share of the rows."""

    @property
    def against(self) -> float:
        """Logarithm of the evidence that the challenger is worse than the limit allows.

        The mean over the capitals of all.
        """
        capitals = [evidence_above(each, self.limit, self.least) for each in self.seen]
        return float(np.logaddexp.reduce(capitals) - math.log(len(capitals)))

    @property
    def in_favour(self) -> float:
        """Logarithm of the evidence that it is not worse than limit and margin together: the least of all."""
        return min(evidence_below(each, self.limit + self.margin) for each in self.seen)

    def line(self) -> dict[str, str]:
        """As a line of a table."""
        return {
            "measure": self.name,
            "seen": self.told,
            "allowed": self.allowance or f"up to {self.limit:.1%}",
            "evidence against": f"{weight(self.against)} to 1",
            "evidence in favour": f"{weight(self.in_favour)} to 1",
        }


@dataclass(frozen=True)
class Verdict:
    """What the measures together say at one look."""

    worse: Measure | None = None
    """In which the challenger is surely worse; None: in none."""
    good: bool = False
    """Whether it is surely good enough in all."""


MEASURES = 6
"""That there may be at most.

Each gets its part of the false alarms, also those that have seen nothing yet.
"""


def enough(false_alarm: float) -> float:
    """The evidence in one measure from which a challenger is surely worse, as a natural logarithm."""
    return math.log(MEASURES / false_alarm)


def judge(measures: list[Measure], false_alarm: float) -> Verdict:
    """The verdict of one look; at least one measure.

    false_alarm: probability that a challenger which keeps every limit is called worse in any measure at any
    look; and that one which is worse by more than the margin is called good
    """
    worst = max(measures, key=lambda measure: measure.against)
    if worst.against >= enough(false_alarm):
        return Verdict(worse=worst)
    return Verdict(good=min(measure.in_favour for measure in measures) >= math.log(1 / false_alarm))
