"""Two samples of one descriptor, counted value by value: all that its distance and its test need to know."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
KEPT_TEXTS, OTHER = 30, "(other)"
"""Distinct texts of a descriptor that are told apart, and what the others become."""
FENCE = 5.0
"""Interquartile ranges beyond the quartiles from which a value is an outlier: none of a million normal ones is."""


@dataclass(frozen=True)
class Tally:
    """How often each value comes in production (`now`) and in the reference (`then`)."""

    points: npt.NDArray[Any]
    """Distinct values in rising order; where `texts`, the texts."""
    now: Floats
    then: Floats
    texts: bool = False

    @property
    def shares(self) -> tuple[Floats, Floats]:
        """Counts as shares of each sample."""
        return self.now / self.now.sum(), self.then / self.then.sum()


def tally_numbers(now: Floats, then: Floats) -> Tally:
    """Finite numbers of both samples."""
    points, places = np.unique(np.concatenate([now, then]), return_inverse=True)
    return Tally(
        points,
        np.bincount(places[: len(now)], minlength=len(points)).astype(float),
        np.bincount(places[len(now) :], minlength=len(points)).astype(float),
    )


def tally_texts(now: pd.Series, then: pd.Series) -> Tally:
    """Texts of both samples, the most frequent of both together by themselves and the others as one.

    Chosen by the reference alone, the frequent ones would be those that came often there by chance, and every
    other sample would have fewer of them.
    """
    counts = pd.concat([now.value_counts(), then.value_counts()], axis=1).fillna(0)
    counts = counts.iloc[np.lexsort((counts.index.astype(str), -counts.sum(axis=1)))]
    kept, rest = counts.iloc[:KEPT_TEXTS], counts.iloc[KEPT_TEXTS:].sum()
    values = kept.to_numpy(float)
    names = [str(name) for name in kept.index]
    if rest.sum():
        values, names = np.vstack([values, rest.to_numpy(float)]), [*names, OTHER]
    return Tally(np.array(names, dtype=object), values[:, 0], values[:, 1], texts=True)


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
    return Tally(points, now, then)
