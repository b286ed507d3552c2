"""How far production lies from the reference, and how sure that is.

A distance, what chance adds to it, and its standard error.

Numbers: Wasserstein's first distance in standard deviations of the reference. Texts: the Jensen-Shannon
distance (natural logarithm, 0 to 0.83). Both as Evidently has them.
"""

import math
from dataclasses import dataclass

import numpy as np

from tasks.monitoring.verdict.tally import Floats, Tally

SMALLEST_UNIT = 0.001
"""Stands for the standard deviation of a constant."""


@dataclass(frozen=True)
class Distance:
    """Of one descriptor."""

    value: float
    """As measured: of two samples of one distribution it is above 0 too."""
    beyond_chance: float
    """Without what chance adds."""
    error: float
    """Its standard error, of the reference's finite sample as well."""
    squared: bool = False
    """Whether the error is that of the square."""
    rounding: float = 0.0
    """By how much the values' points may have changed it at most."""

    def bound(self, deviations: float) -> float:
        """`beyond_chance` plus so many standard errors, 0 at least."""
        if self.squared:
            return math.sqrt(max(0.0, self.beyond_chance**2 + deviations * self.error))
        rounded = math.copysign(self.rounding, deviations)
        return max(0.0, self.beyond_chance + deviations * self.error + rounded)

    def deviations_above(self, tolerance: float) -> float:
        """Standard errors by which it lies above a tolerance."""
        power = 2 if self.squared else 1
        excess = self.beyond_chance**power - tolerance**power - self.rounding
        return excess / self.error if self.error > 0 else math.copysign(math.inf, excess)


def distance_of(tally: Tally, effective: float) -> Distance:
    """The distance of two samples that hold at least one value each.

    effective: how many independent rows production's are worth
    """
    return jensen_shannon(tally, effective) if tally.texts else wasserstein(tally, effective)


def wasserstein(tally: Tally, effective: float) -> Distance:
    """The integral of the gap between both distribution functions, in standard deviations of the reference.

    Its error is that of the mean difference of Kantorovich's potential, the function of slope +1 or -1 by the
    gap's sign, of which the distance is the mean difference (Sommerfeld and Munk 2018,
    doi:10.1111/rssb.12236).
    """
    now, then = tally.shares
    rows = tally.then.sum()
    unit = spread(tally.points, then) or SMALLEST_UNIT
    steps = np.diff(tally.points)
    below_now, below_then = np.cumsum(now)[:-1], np.cumsum(then)[:-1]
    gap = below_then - below_now
    value = float(np.abs(gap) @ steps)
    potential = np.concatenate([[0.0], np.cumsum(np.sign(gap) * steps)])
    variance = spread(potential, now) ** 2 / effective + spread(potential, then) ** 2 / rows
    # Mean size of the gap where both are samples of one distribution, which is then about normal at each point.
    both = (below_now * effective + below_then * rows) / (effective + rows)
    noise = np.sqrt(np.maximum(both * (1 - both), 0) * (1 / effective + 1 / rows) * 2 / math.pi)
    chance = float(noise @ steps)
    beyond = math.sqrt(max(0.0, value**2 - chance**2))
    # A value moved by so much moves the distance by no more than that, whichever side it is of.
    return Distance(value / unit, beyond / unit, math.sqrt(variance) / unit, rounding=tally.rounding / unit)


def jensen_shannon(tally: Tally, effective: float) -> Distance:
    """The root of the Jensen-Shannon divergence.

    Chance adds (k - 1) / 8 of (1 / rows now + 1 / rows then) to its square.
    """
    now, then = tally.shares
    rows, middle = tally.then.sum(), (now + then) / 2
    to_now, to_then = log_ratio(now, middle), log_ratio(then, middle)
    square = max(0.0, float(now @ to_now + then @ to_then) / 2)
    seen = np.count_nonzero(middle)
    chance = (seen - 1) * (1 / effective + 1 / rows) / 8
    variance = spread(to_now / 2, now) ** 2 / effective + spread(to_then / 2, then) ** 2 / rows
    beyond = math.sqrt(max(0.0, square - chance))
    return Distance(math.sqrt(square), beyond, math.sqrt(variance), squared=True)


def log_ratio(share: Floats, middle: Floats) -> Floats:
    """Logarithm of share / middle, 0 where the share is 0."""
    found: Floats = np.log(np.divide(share, middle, out=np.ones_like(share), where=share > 0))
    return found


def spread(values: Floats, shares: Floats) -> float:
    """Standard deviation of values with these shares."""
    mean = float(values @ shares)
    return math.sqrt(max(0.0, float((values - mean) ** 2 @ shares)))
