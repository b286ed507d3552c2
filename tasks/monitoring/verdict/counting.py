"""Both sides of a descriptor counted in blocks: memory that grows with neither side's rows.

Each value becomes a code, the place of its point. Up to SAMPLED rows of both sides together every distinct
value is a point, and nothing is lost. Beyond them values go to the nearest of some thousand points, closer
where there are more of them and in the tails. The points come from every so many rows of both sides alike:
which side a row is of has no say in them, so a test of codes is as valid as one of values. How far values
were moved is added up and widens the interval of the distance (tasks/monitoring/verdict/distances.py), so
rounding never makes an alarm.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.monitoring.verdict.tally import KEPT_TEXTS, OTHER, Floats, Tally
from tasks.monitoring.verdict.values import Values, numbers, texts

SAMPLED = 1 << 16
"""Rows of both sides together whose values are the points, and rows of production that are kept in order."""
POINTS, TAIL = 4096, 512
"""Points that are spread by rank, and how many of the least and greatest values are points besides."""
NEWEST = 20_000
"""Newest rows that are kept without a gap: their dependence is estimated."""
KNOWN = 100_000
"""Reference rows that say which texts are known."""
Codes = npt.NDArray[np.int64]
PRESENCE = np.array(["there", "missing"], dtype=object)


@dataclass
class Counted:
    """One way to code a descriptor's values, and what was counted of it."""

    points: npt.NDArray[Any]
    """A code's value."""
    are_texts: bool
    rows: int
    """Of production."""
    now: Floats = field(init=False)
    then: Floats = field(init=False)
    moved: list[float] = field(default_factory=lambda: [0.0, 0.0])
    """Of production and reference: by how much values were moved to their points, in all."""
    _codes: list[Codes] = field(default_factory=list)
    _places: list[Codes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.now, self.then = np.zeros(len(self.points)), np.zeros(len(self.points))

    def add_now(self, codes: Codes, places: Codes) -> None:
        """Counts production's codes; `places`: of their rows among all."""
        self.now += np.bincount(codes, minlength=len(self.points))
        kept = self.is_kept(places)
        self.keep(codes[kept], places[kept])

    def is_kept(self, places: Codes) -> npt.NDArray[np.bool_]:
        """Whether rows are kept in order: every so many, and the newest ones without a gap."""
        kept: npt.NDArray[np.bool_] = (places % step_of(self.rows) == 0) | (places >= self.rows - NEWEST)
        return kept

    def keep(self, codes: Codes, places: Codes) -> None:
        """Keeps production's codes in the order of time."""
        self._codes.append(codes)
        self._places.append(places)

    def add_then(self, codes: Codes) -> None:
        """Counts the reference's codes."""
        self.then += np.bincount(codes, minlength=len(self.points))

    @property
    def tally(self) -> Tally:
        """Points that occur, with their counts."""
        there = self.now + self.then > 0
        sides = zip(self.moved, (self.now, self.then), strict=True)
        rounding = sum(moved / max(1.0, float(side.sum())) for moved, side in sides)
        return Tally(self.points[there], self.now[there], self.then[there], self.are_texts, rounding)

    def scores(self, by_point: Floats) -> tuple[Floats, Codes, Floats]:
        """Production's scores in the order of time with their rows' places, and the newest ones without a gap.

        by_point: the score of each point of the tally
        """
        table = np.zeros(len(self.points))
        table[self.now + self.then > 0] = by_point
        scores, places = table[np.concatenate(self._codes)], np.concatenate(self._places)
        thinned = places % step_of(self.rows) == 0
        return scores[thinned], places[thinned], scores[places >= self.rows - NEWEST]


def step_of(rows: int) -> int:
    """Every how many of so many rows at most SAMPLED remain."""
    return max(1, math.ceil(rows / SAMPLED))


def count_numbers(now: Values, then: Values) -> tuple[Counted, Counted]:
    """A number's values, and which rows have none."""
    step = step_of(now.rows + then.rows)
    points, borders = number_points(now, then, step)
    values = Counted(points, are_texts=False, rows=now.rows)
    gone = Counted(PRESENCE, are_texts=True, rows=now.rows)
    for start, block in numbered(now):
        found = numbers(block)
        missing, places = np.isnan(found), start + np.arange(len(found))
        gone.add_now(missing.astype(np.int64), places)
        counts, moved = count_sorted(np.sort(found[~missing]), points, borders)
        values.now += counts
        values.moved[0] += moved
        kept = values.is_kept(places) & ~missing
        values.keep(np.searchsorted(borders, found[kept], side="right"), places[kept])
    for _, block in numbered(then):
        found = numbers(block)
        missing = np.isnan(found)
        gone.add_then(missing.astype(np.int64))
        counts, moved = count_sorted(np.sort(found[~missing]), points, borders)
        values.then += counts
        values.moved[1] += moved
    if step == 1:
        values.moved = [0.0, 0.0]  # every value is a point: what was added up is the error of adding
    return values, gone


def count_sorted(ordered: Floats, points: Floats, borders: Floats) -> tuple[Floats, float]:
    """How many values belong to each point, and how far they are from theirs, added up.

    A point has values below and above it, up to the borders. Their numbers and sums follow from where points
    and borders stand among the sorted values: a tenth of the time of looking up each value's point.
    """
    if not len(points):
        return np.zeros(0), 0.0
    edges = np.empty(2 * len(points) - 1)
    edges[::2], edges[1::2] = points, borders
    ends = np.concatenate([[0], np.searchsorted(ordered, edges), [len(ordered)]])
    counts = np.diff(ends).reshape(-1, 2)
    sums = np.diff(np.concatenate([[0.0], np.cumsum(ordered)])[ends]).reshape(-1, 2)
    moved = float((points * (counts[:, 0] - counts[:, 1]) - sums[:, 0] + sums[:, 1]).sum())
    return counts.sum(axis=1).astype(float), max(0.0, moved)


def number_points(now: Values, then: Values, step: int) -> tuple[Floats, Floats]:
    """Points in rising order, and the least value that belongs to each of them but the first.

    Of very many rows: the values of every so many of them, spread by rank, and the least and greatest of all.
    """
    drawn, ends = [np.empty(0)], np.empty(0)
    for sample in (then, now):
        for start, block in numbered(sample):
            found = numbers(block)
            # A copy: a view would keep the whole block.
            drawn.append(found[-start % step :: step].copy())
            if step > 1:
                ends = extremes(ends, found)
    values = np.concatenate(drawn)
    values = np.sort(values[~np.isnan(values)])
    points: Floats = np.unique(values)
    if step == 1:
        return points, points[1:]
    if len(points) > POINTS + 2 * TAIL:
        spread = values[:: max(1, len(values) // POINTS)]
        points = np.concatenate([values[:TAIL], spread, values[-TAIL:]])
    points = np.unique(np.concatenate([points, ends]))
    return points, points[:-1] / 2 + points[1:] / 2


def extremes(known: Floats, found: Floats) -> Floats:
    """The TAIL least and greatest of values that are known and some more, sorted."""
    if len(known) == 2 * TAIL:
        found = found[(found < known[TAIL - 1]) | (found > known[TAIL])]
    ordered = np.sort(np.concatenate([known, found[~np.isnan(found)]]))
    if len(ordered) <= 2 * TAIL:
        return ordered
    kept: Floats = np.concatenate([ordered[:TAIL], ordered[-TAIL:]])
    return kept


def count_texts(now: Values, then: Values) -> tuple[Counted, Counted, Counted]:
    """Texts, the frequent ones by themselves; which rows have none; and which have one that is new.

    The frequent ones are those of both sides together: chosen by the reference alone they would be those that
    came often there by chance, and every other sample would have fewer of them. Half of the reference says
    what is
    known: the other half is asked as production is, so rare texts are new to both.
    """
    kept, known = frequent_texts(now, then), known_texts(then)
    names = np.array([*kept.to_pylist(), OTHER], dtype=object)
    values = Counted(names, are_texts=True, rows=now.rows)
    gone = Counted(PRESENCE, are_texts=True, rows=now.rows)
    new = Counted(np.array(["known", "new"], dtype=object), are_texts=True, rows=now.rows)
    for start, block in numbered(now):
        found = texts(block)
        missing, places = is_missing(found), start + np.arange(len(found))
        there = found.drop_null()
        gone.add_now(missing.astype(np.int64), places)
        values.add_now(codes_among(there, kept), places[~missing])
        new.add_now(is_new(there, known), places[~missing])
    asked = 1
    for _, block in numbered(then):
        found = texts(block)
        there = found.drop_null()
        gone.add_then(is_missing(found).astype(np.int64))
        values.add_then(codes_among(there, kept))
        new.add_then(is_new(there, known)[asked::2])
        asked = (asked + len(there)) % 2
    return values, gone, new


def frequent_texts(now: Values, then: Values) -> pa.Array:
    """The most frequent texts of every so many rows of both sides, ties in alphabetical order."""
    step = step_of(now.rows + then.rows)
    drawn = []
    for sample in (then, now):
        for start, block in numbered(sample):
            found = texts(block)
            drawn.append(found.take(pa.array(np.arange(-start % step, len(found), step))).drop_null())
    counted = pc.value_counts(pa.chunked_array(drawn, pa.string()))
    named = sorted(
        zip(counted.field("counts").to_pylist(), counted.field("values").to_pylist(), strict=True),
        key=lambda each: (-each[0], each[1]),
    )
    return pa.array([text for _, text in named[:KEPT_TEXTS]], pa.string())


def known_texts(then: Values) -> pa.Array:
    """Texts of every second of at most KNOWN reference rows that have one."""
    drawn, seen = [], 0
    for _, block in numbered(then):
        there = texts(block).drop_null()
        drawn.append(there.take(pa.array(np.arange(seen % 2, len(there), 2))))
        seen += len(there)
        if seen >= KNOWN:
            break
    return pc.unique(pa.chunked_array(drawn, pa.string()))


def numbered(sample: Values) -> Iterator[tuple[int, Any]]:
    """A side's blocks, each with the number of rows before it."""
    start = 0
    for block in sample.blocks():
        yield start, block
        start += len(block)


def is_missing(found: pa.Array) -> npt.NDArray[np.bool_]:
    """Which texts are none."""
    gone: npt.NDArray[np.bool_] = found.is_null().to_numpy(zero_copy_only=False)
    return gone


def codes_among(there: pa.Array, kept: pa.Array) -> Codes:
    """Places among the kept texts, that of OTHER for any other."""
    found: Codes = (
        pc.fill_null(pc.index_in(there, value_set=kept), len(kept))
        .to_numpy(zero_copy_only=False)
        .astype(np.int64)
    )
    return found


def is_new(there: pa.Array, known: pa.Array) -> Codes:
    """1 for a text that is not known."""
    found: Codes = pc.invert(pc.is_in(there, value_set=known)).to_numpy(zero_copy_only=False).astype(np.int64)
    return found
