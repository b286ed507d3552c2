"""Finds the slices that a model is worst on.

Single columns and pairs of them, without what chance alone would show.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.compilation.slices import Slice

Numbers = npt.NDArray[np.float64]

ERROR = 0.05
"""Chance that a model which is equally good everywhere is told any weak slice at all."""
MOST_SLICES = 500
"""Of single columns, the first that are large enough; their pairs are a hundred thousand."""
ROWS_A_BLOCK = 16_384
"""Bounds the memory of counting."""


@dataclass(frozen=True)
class Moments:
    """Rows, sum and sum of squares of scores, of one set of rows or of many."""

    rows: Numbers
    total: Numbers
    squares: Numbers

    def __sub__(self, other: "Moments") -> "Moments":
        return Moments(self.rows - other.rows, self.total - other.total, self.squares - other.squares)

    @property
    def mean(self) -> Numbers:
        """0 of no rows."""
        return self.total / np.maximum(self.rows, 1)

    @property
    def variance(self) -> Numbers:
        """Of a row's score."""
        return np.maximum(self.squares / np.maximum(self.rows, 1) - self.mean**2, 0)


def discover_slices(singles: Sequence[Slice], scores: Numbers, most: int, minimum: int) -> list[Slice]:
    """At most so many of the single slices and of their pairs, on which the scores [rows] are lower, the greatest loss first.

    The loss of a slice is its rows x the distance of its mean from that of the whole. A slice has `minimum`
    rows, 1 % of all and half of them at the most; the chance that any is found on scores that have nothing to
    do with the slices is under ERROR. A pair is found where it is worse than the rest of both of its slices,
    and stands for one of them whose rest is no worse than the whole. What was found is set aside, and the
    next is worse than what is left as well as than the whole, so that nothing is told twice.
    """
    least = max(minimum, 0.01 * len(scores))
    singles = [each for each in singles if each.members.sum() >= least][:MOST_SLICES]
    if not singles:
        return []
    members = np.stack([each.members for each in singles], axis=1)
    found: list[Slice] = []
    left = np.ones(len(scores), dtype=np.bool_)
    inside, rest, whole = pairs(members, scores), moments(scores), moments(scores)
    candidates = np.triu((inside.rows >= least) & (inside.rows <= len(scores) / 2))
    error = ERROR / max(1, int(candidates.sum()))
    while len(found) < most:
        low = (
            candidates
            & (inside.rows >= least)
            & (p_value_of_lower_mean(inside, whole - inside, whole) < ERROR)
        )
        if (place := worst_pair(inside, rest, low, error)) is None:
            break
        both = members[:, place[0]] & members[:, place[1]]
        found.append(Slice(" & ".join(singles[each].name for each in sorted(set(place))), both))
        gone, left = both & left, left & ~both
        inside, rest = inside - pairs(members[gone], scores[gone]), rest - moments(scores[gone])
    return found


def worst_pair(
    inside: Moments, whole: Moments, candidates: npt.NDArray[np.bool_], error: float
) -> tuple[int, int] | None:
    """The pair (or the single slice, twice) with the greatest loss.

    None where nothing is significant at `error`.
    """
    own = Moments(*(np.diag(each)[:, None] for each in (inside.rows, inside.total, inside.squares)))
    rest = own - inside
    significant = candidates & (p_value_of_lower_mean(inside, whole - inside, whole) < error)
    alone = np.eye(len(candidates), dtype=np.bool_)
    worse = p_value_of_lower_mean(inside, rest, whole) < error
    significant &= alone | (worse & worse.T)
    if not significant.any():
        return None
    loss = np.where(significant, inside.rows * (whole.mean - inside.mean), -np.inf)
    first, second = np.unravel_index(np.argmax(loss), loss.shape)
    if first == second:
        # A slice is as bad as a pair in it makes it, where without the pair there is nothing wrong with it.
        harmless = p_value_of_lower_mean(rest, whole - own, whole) >= error
        within = np.where((harmless & ~alone)[first], np.maximum(loss, loss.T)[first], -np.inf)
        if within.max() > -np.inf:
            second = np.argmax(within)
    return int(first), int(second)


def moments(scores: Numbers) -> Moments:
    """Of all rows, [1, 1]."""
    return Moments(*np.array([len(scores), scores.sum(), (scores**2).sum()])[:, None, None])


def pairs(members: npt.NDArray[np.bool_], scores: Numbers) -> Moments:
    """Of the rows that each two slices have in common, [slices, slices]; on the diagonal, of each slice."""
    width = members.shape[1]
    summed = np.zeros((3, width, width))
    for start in range(0, len(scores), ROWS_A_BLOCK):
        block, score = (
            members[start : start + ROWS_A_BLOCK].astype(np.float64),
            scores[start : start + ROWS_A_BLOCK, None],
        )
        summed += [block.T @ block, block.T @ (block * score), block.T @ (block * score**2)]
    return Moments(*summed)


def p_value_of_lower_mean(one: Moments, other: Moments, whole: Moments) -> Numbers:
    """The p-value of a mean that lies under another: Welch's test.

    No set of rows counts as less scattered than the whole.

    A few rows that are all wrong alike would otherwise be certain of it. 1 where either has fewer than two
    rows.
    """
    from scipy.special import stdtr

    least = np.minimum(one.rows, other.rows)
    error = sum(np.maximum(each.variance, whole.variance) / np.maximum(each.rows, 1) for each in (one, other))
    distance = np.divide(
        one.mean - other.mean, np.sqrt(error), out=np.zeros(np.shape(error)), where=error > 0
    )
    chance: Numbers = np.where(least > 1, stdtr(np.maximum(least - 1, 1), distance), 1.0)
    return chance
