"""Which of several challengers is chosen, and whether it may take the champion's place.

By rows that none of them saw.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tasks.records import Record

Scores = npt.NDArray[np.float64]
KEEP = 0.8
"""Of what earlier retrainings told about a choice of rows, that counts at the next."""


class Advantage(Record):
    """Of a choice of rows over all rows, on the blocks that were held out so far, the newest counting most."""

    weight: float = 0.0
    total: float = 0.0
    variance: float = 0.0

    @property
    def mean(self) -> float:
        """Difference of scores."""
        return self.total / self.weight if self.weight else 0.0

    @property
    def error(self) -> float:
        """Its standard error."""
        return math.sqrt(self.variance) / self.weight if self.weight else math.inf

    def seen(self, difference: Scores) -> "Advantage":
        """After another block."""
        error = float(difference.std() / math.sqrt(len(difference)))
        return Advantage(
            weight=KEEP * self.weight + 1,
            total=KEEP * self.total + float(difference.mean()),
            variance=KEEP**2 * self.variance + error**2,
        )


class Evidence(Record):
    """What held-out blocks told about choices of rows, by name."""

    advantages: dict[str, Advantage] = Field(default_factory=dict)

    def seen(self, scores: Mapping[str, Scores]) -> "Evidence":
        """After another retraining's challengers answered the same rows."""
        first = next(iter(scores))
        found = dict(self.advantages)
        for name, mine in scores.items():
            if name != first:
                found[name] = found.get(name, Advantage()).seen(mine - scores[first])
        return Evidence(advantages=found)


def choose(evidence: Evidence, names: Sequence[str]) -> str:
    """The first, unless another is better by more than one standard error: of those the best.

    The rule of one standard error: one block is few rows, and a choice that changes with chance costs more
    than the second best choice.
    """
    best, lead = names[0], 0.0
    for name in names[1:]:
        found = evidence.advantages.get(name, Advantage())
        if found.mean > found.error and found.mean > lead:
            best, lead = name, found.mean
    return best


def is_no_worse(challenger: Scores, champion: Scores, margin: float) -> tuple[bool, str]:
    """Whether a challenger is no worse than the champion on the same rows, by more than `margin`.

    And the figures.

    It need not be better: what it gains by the newest rows, which are held out here, comes on top.
    """
    difference = float((challenger - champion).mean())
    told = f"{difference:+.4f} beside the champion on {len(champion)} newest rows that neither learned from"
    return difference >= -margin, f"{told}, {-margin:+g} is allowed"
