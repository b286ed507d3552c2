"""Values that look like errors, found without knowing which rows are good.

They are kept out of what is learned, and named.

Each needs a gap between what is ordinary and what is not. Where ordinary values thin out gradually nothing is
doubted, since the rare ones may be as good as the others.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tasks.validation.checks.sql_conditions import FEWEST_LETTERS
from tasks.validation.proposal.patterns import Counts, shape
from tasks.validation.proposal.sample import Mask, Sample

RARE = 2
"""Rows of a value that may be a slip of the pen where the value that was meant has OFTEN times as many."""
OFTEN = 5
ALWAYS = 50
"""How many times as many rows the value that was meant has where the slip is no rare one."""
ALIKE = 0.05
"""Share of the values with many rows that may be near misses of each other; in other columns near misses mean
nothing."""
MOSTLY = 0.5
"""Share of a column's rare values that must be near misses, or they are no more than alike by chance."""
SLIPS = 0.1
"""Share of the rows with doubtful values, at most; with more, they are how the data is."""
MARKED = 0.01
"""Share of the rows with a text for a missing value, at most; with more, the source's contract must name it.
"""
BY_CHANCE = 1e-6
"""Below this probability that most rows of a key are doubtful by chance, they are not errors but how that key
is."""
ODD = 0.03
"""Share of the rows written in odd ways, at most."""
REPEATED = 0.005
"""Share of the rows that one odd text has, at most; more are meant."""
SCATTERED = 0.01
"""Share of the rows written in one odd way, at most; more are an ordinary way."""
GAP = 10
"""How many times as many rows each ordinary way of writing has as all odd ones together."""
TAIL = 0.005
"""Share of the numbers at either end that may be errors."""
FAR = 5
"""How many times as far from the middle as nearly all numbers an error is."""
MARKERS = frozenset(
    {
        "?",
        "-",
        "--",
        "---",
        "n/a",
        "#n/a",
        "na",
        "nan",
        "null",
        "(null)",
        "<null>",
        "none",
        "nil",
        "missing",
        "undefined",
    }
)
"""Texts that stand for a missing value where other values are written otherwise."""


def slips(counts: Counts, pairs: Mapping[str, set[str]]) -> set[str]:
    """Rare texts that are a few edits from a frequent one, in a column whose frequent ones are not.

    pairs: near misses of each text
    """
    found = set[str]()
    for text in counts:
        meant = max((counts.get(other, 0) for other in pairs.get(text, ())), default=0)
        times = OFTEN if counts[text] <= RARE else ALWAYS if len(text) >= FEWEST_LETTERS else np.inf
        if len(text) > 1 and meant >= times * counts[text]:
            found.add(text)
    frequent = {text for text, rows in counts.items() if rows >= OFTEN and text not in found}
    alike = {text for text in frequent if not pairs.get(text, set()).isdisjoint(frequent)}
    rare = {text for text, rows in counts.items() if rows <= RARE}
    few = sum(counts[text] for text in found) <= SLIPS * sum(counts.values())
    told = len(found) >= MOSTLY * len(rare | found) and len(alike) <= ALIKE * len(frequent)
    return found if few and told else set()


def markers(counts: Counts) -> set[str]:
    """Texts that stand for a missing value and are written as no other."""
    found = {text for text in counts if text.strip().lower() in MARKERS or not text.strip()}
    others = {shape(text) for text in counts if text not in found}
    return {text for text in found if shape(text) not in others}


def few(texts: set[str], counts: Counts) -> bool:
    """Whether hardly a row has one of some texts for a missing value."""
    return sum(counts[text] for text in texts) <= MARKED * sum(counts.values())


def misplaced_values(counts: Mapping[str, Counts]) -> dict[str, set[str]]:
    """By column: rare texts that are frequent in another column, with which this one otherwise has no text in common.

    counts: of each column of texts
    """
    often = {
        name: {text for text, rows in found.items() if rows >= max(OFTEN, REPEATED * sum(found.values()))}
        for name, found in counts.items()
    }
    frequent = {name: found for name, found in often.items() if found}
    result: dict[str, set[str]] = {name: set() for name in counts}
    for name in counts:
        for other, theirs in frequent.items():
            common = {text for text in counts[name] if text in theirs}
            if (
                other == name
                or not common
                or sum(counts[name][text] for text in common) > ODD * sum(counts[name].values())
            ):
                continue
            result[name] |= {
                text for text in common - often[name] if counts[other][text] >= GAP * counts[name][text]
            }
    return result


def systematic(sample: Sample, doubtful: Mask, columns: Iterable[str]) -> Mask:
    """Doubtful rows [rows] of which a key of some column has mostly such.

    Errors fall here and there, and not on all rows of one key.
    """
    found = np.zeros(sample.rows, dtype=bool)
    if not doubtful.any():
        return found
    share = float(doubtful.mean())
    for column in columns:
        codes = sample.codes[column]
        keys = len(sample.values[column])
        if keys < 2:
            continue
        rows = np.bincount(codes[codes >= 0], minlength=keys)
        among = np.bincount(codes[doubtful & (codes >= 0)], minlength=keys)
        # A bound on the binomial probability of so many doubtful rows among those of a key.
        chance = rows * np.log(2) + among * np.log(share)
        whole = np.append((2 * among > rows) & (chance < np.log(BY_CHANCE)), False)
        found |= doubtful & whole[codes]
    return found


def odd_shapes(counts: Counts) -> set[str]:
    """Rare texts written in ways that hardly any row has, where the other ways are few and each has many rows.

    They may be as good as the others, and only written otherwise: a rule that flags them can but warn.
    """
    shapes, often = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    for text, rows in counts.items():
        shapes[shape(text)] += rows
        often[shape(text)] = max(often[shape(text)], rows)
    total = sum(counts.values())
    ordered = sorted(shapes.items(), key=lambda each: (each[1], each[0]))
    odd, tail, best = set[tuple[str, ...]](), 0, set[tuple[str, ...]]()
    for (kinds, rows), (_, following) in pairwise(ordered):
        tail += rows
        odd = odd | {kinds}
        if (
            tail > ODD * total
            or rows > max(RARE, SCATTERED * total)
            or often[kinds] > max(RARE, REPEATED * total)
        ):
            break
        if following >= GAP * tail:
            best = odd
    return {text for text in counts if shape(text) in best}


def bulk(numbers: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The range outside which numbers are errors.

    Much farther from the middle than nearly all are, by their logarithms too.

    numbers: [rows], none missing; the logarithm keeps what is only skewed, such as amounts of money
    """
    if not len(numbers):
        return -np.inf, np.inf
    low, high = reach(numbers)
    if numbers.min() > 0:
        skewed = np.exp(reach(np.log(numbers)))
        low, high = min(low, float(skewed[0])), max(high, float(skewed[1]))
    return low, high


def reach(numbers: npt.NDArray[np.float64], tail: float = TAIL) -> tuple[float, float]:
    """Where numbers are far from the middle; infinite where nearly all are the same."""
    bottom, middle, top = np.quantile(numbers, [tail, 0.5, 1 - tail])
    low = middle - FAR * (middle - bottom) if bottom < middle else -np.inf
    high = middle + FAR * (top - middle) if top > middle else np.inf
    return float(low), float(high)
