"""Rules about texts.

A closed set, else how they are written, and that new ones are no misspellings of old ones.
"""

import math
import re

from tasks.validation.checks.sql_conditions import FEWEST_LETTERS
from tasks.validation.proposal import patterns, suspicious_values
from tasks.validation.proposal.column import (
    MARGINS,
    NUMBER,
    REPEATED,
    SPELT,
    Column,
    Found,
    expectation,
    left_out,
)
from tasks.validation.proposal.holdout import Verdict, verdict
from tasks.validation.proposal.patterns import Counts
from tasks.validation.proposal.profile import Profile
from tasks.validation.proposal.report import Declined, Proposed
from tasks.validation.proposal.sample import Mask

SET = 200
"""A set of more values is not written down."""
NUMBERS = 20
"""More different numbers are measurements, not names of things."""
RUNNING = 10
"""Unique numbers that are denser than one in so many are running numbers."""


def text_rules(column: Column) -> Found:
    """A closed set where the values are one.

    Else how they are written, and that new ones are no misspellings of old ones.

    A set that later rows went beyond is only warned of: in sorted data every kind of row has values of its
    own.
    """
    if column.markers and not suspicious_values.few(column.markers, column.profile.values):
        rows = sum(column.profile.values[text] for text in column.markers)
        such = ", ".join(map(repr, sorted(column.markers)))
        yield Declined(
            column.name,
            f"that no value stands for a missing one: {rows} rows say {such}; name it as `missing` in the contract",
        )
    closed = list(set_rules(column))
    yield from closed
    if any(isinstance(each, Proposed) and each.expectation.severity == "quarantine" for each in closed):
        return
    if counts_up(column.profile):
        rule = expectation("values_to_match_regex", column.name, regex="^[0-9]+$")
        yield Proposed(rule, f"{column.profile.rows} rows, running numbers")
    else:
        yield from pattern_rules(column)
    yield from spelling_rules(column)


def counts_up(profile: Profile) -> bool:
    """Whether values are running numbers, which get more digits in time."""
    if not profile.unique or not all(text.isascii() and text.isdigit() for text in profile.values):
        return False
    numbers = list(map(int, profile.values))
    return max(numbers) - min(numbers) < RUNNING * profile.rows


def set_rules(column: Column) -> Found:
    """A column's values where there are few and some rows have nearly all of the others'.

    Nothing where new ones must be expected.
    """
    values, profile = column.good, column.profile
    many = len(values) > (NUMBERS if all(map(NUMBER.fullmatch, values)) else SET)
    if not values or not profile.complete or many or sum(values.values()) < 2 * len(values):
        return
    if column.name in column.structure.names:
        yield Declined(
            column.name,
            f"a set: its {len(values)} values name things that other columns describe, of which more will come",
        )
        return

    def flagged(learned: Mask, held_out: Mask) -> int:
        known, others = column.trial(learned, held_out)
        return sum(rows for text, rows in others.items() if text not in known)

    found = verdict([holdout for holdout in column.holdouts if holdout.by != "time"], flagged)
    if not found.holds:
        yield column.declined(f"a set of {len(values)} values", found)
        return
    lasting = verdict([holdout for holdout in column.holdouts if holdout.by == "time"], flagged).holds
    rule = expectation(
        "values_to_be_in_set", column.name, "quarantine" if lasting else "warn", value_set=sorted(values)
    )
    told = "" if lasting else "; later rows go beyond what earlier ones have, so it warns"
    yield column.proposed(rule, found, told + left_out(column.errors))


def pattern_rules(column: Column) -> Found:
    """The strictest expression that some rows foretell the others with; the length where none does.

    Where a stricter one holds for all but few odd texts, a person is warned of those.
    """
    found = pattern(column, set())
    if odd := suspicious_values.odd_shapes(column.good):
        strict = pattern(column, odd)
        if strict is not None and (found is None or strict[0] != found[0]):
            broken = {
                text: rows for text, rows in column.profile.values.items() if not re.match(strict[0], text)
            }
            yield column.proposed(
                expectation("values_to_match_regex", column.name, "warn", regex=strict[0]),
                strict[1],
                left_out(broken),
            )
    if found is not None:
        broken = {text: rows for text, rows in column.errors.items() if not re.match(found[0], text)}
        yield column.proposed(
            expectation("values_to_match_regex", column.name, regex=found[0]), found[1], left_out(broken)
        )
        return

    def flagged(learned: Mask, held_out: Mask) -> int:
        some, others = column.trial(learned, held_out)
        if not some:
            return 0
        ends = lengths(some)
        return sum(
            rows for text, rows in others.items() if not ends["min_value"] <= len(text) <= ends["max_value"]
        )

    tried = verdict(column.holdouts, flagged)
    if tried.holds:
        yield column.proposed(
            expectation("value_lengths_to_be_between", column.name, **lengths(column.good)), tried
        )
    else:
        yield column.declined("neither a pattern nor a length", tried)


def pattern(column: Column, without: set[str]) -> tuple[str, Verdict] | None:
    """The strictest expression that holds, learned without some texts; None where none does."""
    good = {text: rows for text, rows in column.good.items() if text not in without}
    for learn in patterns.LEARNERS:

        def flagged(learned: Mask, held_out: Mask, learn: patterns.Learner = learn) -> int | None:
            some, others = column.trial(learned, held_out, without)
            if not some:
                return 0
            regex = learn(some)
            return None if regex is None else unmatched_rows(regex, others)

        regex = learn(good) if good else None
        if regex is not None and (found := verdict(column.holdouts, flagged)).holds:
            return regex, found
    return None


def unmatched_rows(regex: str, counts: Counts) -> int:
    """Rows whose text an expression does not match."""
    compiled = re.compile(regex)
    return sum(rows for text, rows in counts.items() if not compiled.match(text))


def lengths(counts: Counts) -> dict[str, int]:
    """How long texts are, with a margin."""
    low, high = min(map(len, counts)), max(map(len, counts))
    margin = math.ceil(MARGINS[0] * (high - low))
    return {"min_value": max(0, low - margin), "max_value": high + margin}


def spelling_rules(column: Column) -> Found:
    """That new values are no near misses of old ones, where values repeat and good ones are none."""
    values = column.good
    if (
        not values
        or not column.profile.complete
        or len(column.profile.values) > SPELT
        or max(values.values()) < REPEATED
    ):
        return
    if all(map(NUMBER.fullmatch, values)):
        return

    def flagged(learned: Mask, held_out: Mask) -> int:
        known, others = column.trial(learned, held_out)
        new = {text: rows for text, rows in others.items() if text not in known}
        near = (
            text
            for text in new
            if len(text) >= FEWEST_LETTERS and not column.pairs.get(text, set()).isdisjoint(known)
        )
        return sum(new[text] for text in near)

    found = verdict(column.holdouts, flagged)
    if not found.holds:
        yield column.declined("that no value is nearly another", found)
        return
    rule = expectation(
        "tasks.validation.checks.expectations:ExpectColumnValuesNotToBeMisspelt",
        column.name,
        value_set=sorted(values),
    )
    broken = {
        text: rows
        for text, rows in column.errors.items()
        if len(text) >= FEWEST_LETTERS and column.pairs.get(text)
    }
    yield column.proposed(rule, found, left_out(broken))
