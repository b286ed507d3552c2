"""Rows held out while a rule is learned: every second one, the later ones, and all rows of whole keys.

A rule that was learned from all there is fits all there is. What it will flag in rows to come is told by rows
that it has not seen, and in rows about new things by things that it has not seen.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.validation.proposal.sample import Mask, Sample

TOLERATED = 0.001
"""Share of good rows that a rule may flag beside one row, by what one half says of the other."""
SURE = 0.1
"""With fewer held-out things than make the share of flagged ones surely (95 %) smaller than this, a rule only
warns."""
DEALS = 2
"""Ways in which keys are dealt into halves."""
GROUPS = 4
"""Kinds of things whose keys are held out."""


def allowed_alarms(rows: int) -> float:
    """False alarms, both halves together, with which a rule is still proposed."""
    return 1 + TOLERATED * rows


@dataclass(frozen=True)
class Holdout:
    """One way to deal the sampled rows into two halves."""

    by: str
    """`rows`, `time` for the first half and the later one, or the column whose keys stay together."""
    half: npt.NDArray[np.int8]
    """0 or 1 for each row; -1 where it is in neither."""

    @property
    def rows(self) -> int:
        """Rows in both halves."""
        return int((self.half >= 0).sum())

    def trials(self) -> Iterator[tuple[Mask, Mask]]:
        """Rows to learn from and rows held out, and the other way round."""
        yield self.half == 0, self.half == 1
        yield self.half == 1, self.half == 0


@dataclass(frozen=True)
class Verdict:
    """What became of a rule on the rows held out."""

    holds: bool
    by: str
    """Of the hold-out with the most false alarms."""
    flagged: int
    rows: int


def holdouts(sample: Sample, groups: Sequence[str]) -> list[Holdout]:
    """By rows, by time, and by the keys of some columns."""
    place = np.arange(sample.rows)
    found = [
        Holdout("rows", (place % 2).astype(np.int8)),
        Holdout("time", (2 * place >= sample.rows).astype(np.int8)),
    ]
    return found + [deal_keys(sample, name, deal) for name in groups[:GROUPS] for deal in range(DEALS)]


def deal_keys(sample: Sample, column: str, deal: int) -> Holdout:
    """Half of a column's keys against the other half; which are together is the same every time."""
    values = sample.values[column]
    order = sorted(range(len(values)), key=lambda place: zlib.crc32(f"{deal} {values[place]}".encode()))
    half = np.full(len(values) + 1, -1, dtype=np.int8)
    half[order] = np.arange(len(order)) % 2
    return Holdout(column, half[sample.codes[column]])


def verdict(tried: Sequence[Holdout], flagged: Callable[[Mask, Mask], int | None]) -> Verdict:
    """Whether a rule that is learned from one half holds for the other, in each way to halve.

    flagged: good rows of the second mask that what is learned from the first one flags; None where nothing
    can be learned
    """
    worst = Verdict(True, "rows", 0, 0)
    for holdout in tried:
        total = 0
        for learned, held_out in holdout.trials():
            found = flagged(learned, held_out)
            if found is None:
                return Verdict(False, holdout.by, holdout.rows, holdout.rows)
            total += found
        if total > allowed_alarms(holdout.rows):
            return Verdict(False, holdout.by, total, holdout.rows)
        if total >= worst.flagged:
            worst = Verdict(True, holdout.by, total, holdout.rows)
    return worst


def upper(flagged: int, of: int) -> float:
    """The share that, with 95 % confidence, is not exceeded (Clopper and Pearson, 1934)."""
    from scipy.stats import beta

    return 1.0 if flagged >= of else float(beta.ppf(0.95, flagged + 1, of - flagged))
