"""Two samples of one descriptor, counted value by value: all that its distance and its test need to know."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
KEPT_TEXTS, OTHER = 30, "(other)"
"""Distinct texts of a descriptor that are told apart, and what the others become."""
FENCE = 5.0
"""Interquartile ranges beyond the quartiles from which a value is an outlier.

None of a million normal ones is.
"""


@dataclass(frozen=True)
class Tally:
    """How often each value comes in production (`now`) and in the reference (`then`)."""

    points: npt.NDArray[Any]
    """Distinct values in rising order; where `texts`, the texts."""
    now: Floats
    then: Floats
    texts: bool = False
    rounding: float = 0.0
    """By how much numbers were moved to their points: the means of both sides, added."""

    @property
    def shares(self) -> tuple[Floats, Floats]:
        """Counts as shares of each sample."""
        return self.now / self.now.sum(), self.then / self.then.sum()


def clip_outliers(tally: Tally) -> Tally:
    """The same with numbers outside the reference's fences moved onto them; itself where there are none.

    A thousandth of -9999 among temperatures makes a standard deviation in which no temperature moves.
    """
    then = np.cumsum(tally.then) / tally.then.sum()
    low, high = tally.points[np.searchsorted(then, [0.25, 0.75])]
    reach = FENCE * (high - low)
    if reach == 0 or (low - reach <= tally.points[0] and tally.points[-1] <= high + reach):
        return tally
    points, places = np.unique(np.clip(tally.points, low - reach, high + reach), return_inverse=True)
    now, then = (np.bincount(places, weights=counts).astype(float) for counts in (tally.now, tally.then))
    return Tally(points, now, then, rounding=tally.rounding)
