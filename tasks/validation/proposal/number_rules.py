"""Rules about numbers: the range that values of some rows foretell for the others, with a margin."""

import math

import numpy as np

from tasks.validation.proposal import suspicious_values
from tasks.validation.proposal.column import EXAMPLES, MARGINS, Column, Found, expectation
from tasks.validation.proposal.holdout import verdict
from tasks.validation.proposal.report import Declined
from tasks.validation.proposal.sample import Mask


def range_rules(column: Column) -> Found:
    """The range of numbers, with a margin; nothing of keys, which go on growing."""
    profile, numbers = column.profile, column.sample.numbers(column.name)
    if profile.unique and profile.kind == "integer":
        yield Declined(column.name, "a range: its values are unique whole numbers, which go on growing")
        return
    if not math.isfinite(float(profile.high) - float(profile.low)):
        return
    there = np.isfinite(numbers) & ~column.doubted
    low, high = suspicious_values.bulk(numbers[there])
    beyond = there & ((numbers < low) | (numbers > high))
    good = there & ~beyond

    for margin in MARGINS:

        def flagged(learned: Mask, held_out: Mask, margin: float = margin) -> int:
            some, others = numbers[learned & good], numbers[held_out & good]
            if not len(some):
                return 0
            least, most = with_margin(float(some.min()), float(some.max()), margin)
            return int(((others < least) | (others > most)).sum())

        found = verdict(column.holdouts, flagged)
        if found.holds:
            break
    else:
        yield column.declined("a range", found)
        return
    ends = (numbers[good].min(), numbers[good].max()) if beyond.any() else (profile.low, profile.high)
    least, most = with_margin(float(ends[0]), float(ends[1]), margin)
    rule = expectation(
        "values_to_be_between", column.name, min_value=plain_number(least), max_value=plain_number(most)
    )
    outside = there & ((numbers < least) | (numbers > most))
    examples = ", ".join(f"{value:.6g}" for value in np.unique(numbers[outside])[:EXAMPLES])
    yield column.proposed(
        rule, found, f"; {outside.sum()} rows here break it, such as {examples}" if outside.any() else ""
    )


def with_margin(low: float, high: float, share: float) -> tuple[float, float]:
    """The ends of a range that new values may have."""
    margin = share * (high - low)
    least = 0.0 if 0 <= low <= margin else outward(low - margin, -1)
    return least, outward(high + margin, 1)


def outward(value: float, sign: int) -> float:
    """A value with three digits, rounded up (1) or down (-1)."""
    if not value:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    return float(f"{(math.ceil if sign > 0 else math.floor)(value / step) * step:.6g}")


def plain_number(value: float) -> float | int:
    """A whole number without its point."""
    return int(value) if value.is_integer() else value
