"""Rules about one column, learned from its values and kept only where what one half of the rows teaches holds for the other half.

So a rule says how new rows will look, not how the old ones happened to: a set of values that still grows is
no set, and a set that whole new keys go beyond, such as the names of the shops so far, is none either.
"""

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import duckdb
import numpy as np

from configs.validation import ExpectationConfig
from tasks.validation.checks.sql_conditions import FEWEST_LETTERS, near_pairs
from tasks.validation.proposal import patterns, suspicious_values
from tasks.validation.proposal.dependencies import Structure
from tasks.validation.proposal.holdout import SURE, Holdout, Verdict, upper, verdict
from tasks.validation.proposal.patterns import Counts
from tasks.validation.proposal.profile import Profile
from tasks.validation.proposal.report import Declined, Proposed
from tasks.validation.proposal.sample import Mask, Sample

SET = 200
"""A set of more values is not written down."""
NUMBER = re.compile(r"[+-]?[0-9]*[.,]?[0-9]+(?:[eE][+-]?[0-9]+)?")
NUMBERS = 20
"""More different numbers are measurements, not names of things."""
SPELT = 1000
"""Values that misspellings are compared with, at most."""
MARGINS = (0.25, 1.0, 4.0)
"""By which part of the range of a number's values new ones may lie outside it: the first that holds on rows
held out."""
MISSING_MARGIN = 1.5
"""How many times as many missing values are still ordinary."""
RUNNING = 10
"""Unique numbers that are denser than one in so many are running numbers."""
REPEATED = 2
"""Rows from which a value counts as known to misspellings."""
EXAMPLES = 3

Found = Iterator[Proposed | Declined]


@dataclass(frozen=True)
class Column:
    """A column, the rows that it is tried on, and what is known of it from the others."""

    profile: Profile
    sample: Sample
    holdouts: Sequence[Holdout]
    structure: Structure
    doubted: Mask
    """Sampled rows [rows] whose value the other rows of their key contradict."""
    confirmed: Mask
    """Sampled rows [rows] whose value they share."""
    pairs: dict[str, set[str]]
    """Texts that are near misses of others, by the text."""
    misplaced: set[str]
    """Texts that belong into another column."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.profile.name

    @cached_property
    def errors(self) -> dict[str, int]:
        """Texts that are left out of what is learned, and their rows: right for no key, slips of the pen, or no values at all."""
        values = self.profile.values
        wrong = {*self.sample.counts(self.name, self.doubted)} - {
            *self.sample.counts(self.name, self.confirmed)
        }
        if suspicious_values.few(self.markers, values):
            wrong |= self.markers
        others = {text: rows for text, rows in values.items() if text not in wrong | self.misplaced}
        wrong |= suspicious_values.slips(others, self.pairs)
        if not wrong | self.misplaced:
            return {}
        codes = self.sample.codes[self.name]
        places = np.array([text in wrong for text in self.sample.values[self.name]] + [False])
        meant = suspicious_values.systematic(
            self.sample, places[codes], [name for name in self.sample.codes if name != self.name]
        )
        wrong = wrong - {*self.sample.counts(self.name, meant)} | self.misplaced
        return {text: rows for text, rows in values.items() if text in wrong}

    @cached_property
    def markers(self) -> set[str]:
        """Texts that look like a missing value."""
        return suspicious_values.markers(self.profile.values)

    @cached_property
    def good(self) -> Counts:
        """The other texts."""
        return {text: rows for text, rows in self.profile.values.items() if text not in self.errors}

    def trial(self, learned: Mask, held_out: Mask, without: Collection[str] = ()) -> tuple[Counts, Counts]:
        """Good texts of some rows, and of others."""
        left_out = {*self.errors, *without}
        both = [self.sample.counts(self.name, rows & ~self.doubted) for rows in (learned, held_out)]
        some, others = ({text: rows for text, rows in half.items() if text not in left_out} for half in both)
        return some, others

    def proposed(self, expectation: ExpectationConfig, found: Verdict, told: str = "") -> Proposed:
        """A rule with its evidence; where too little was held out to be sure, it only warns."""
        key, things = self.structure.units.get(self.name, ("rows", self.profile.rows))
        flagged = found.flagged if key == "rows" else math.ceil(found.flagged * things / max(1, found.rows))
        most = upper(flagged, things)
        unit = "rows" if key == "rows" else f"values of {key}"
        kinds = list(
            dict.fromkeys(
                ["rows"] + [holdout.by for holdout in self.holdouts if holdout.by not in ("rows", "time")]
            )
        )
        text = f"{found.rows} rows, held out by {', '.join(kinds)}: {found.flagged} flagged; of {things} {unit} at most {most:.1%} (95 %)"
        if most > SURE and expectation.severity == "quarantine":
            expectation = expectation.model_copy(update={"severity": "warn"})
            text += "; too few to be sure of, so it warns"
        return Proposed(expectation, text + told)

    def declined(self, rule: str, found: Verdict) -> Declined:
        """A rule that does not hold where rows are held out."""
        by = {"rows": "on every second row", "time": "on later rows"}.get(
            found.by, f"where values of {found.by} are held out"
        )
        return Declined(
            self.name, f"{rule} does not hold {by} ({found.flagged} of {found.rows} rows flagged)"
        )


def near_misses(profile: Profile, connection: duckdb.DuckDBPyConnection) -> dict[str, set[str]]:
    """A column's texts that are near misses of other texts of it; nothing where values do not repeat, or are too many."""
    values = profile.values
    if (
        profile.kind != "text"
        or not profile.complete
        or not 1 < len(values) <= SPELT
        or max(values.values()) < REPEATED
    ):
        return {}
    if all(map(NUMBER.fullmatch, values)):
        return {}
    found = dict[str, set[str]]()
    for one, other in connection.execute(near_pairs(), [sorted(values)]).fetchall():
        found.setdefault(one, set()).add(other)
    return found


def rules(column: Column) -> Found:
    """The expectations about one column."""
    profile = column.profile
    yield from missing_rules(profile)
    if profile.missing == profile.rows:
        return
    if profile.unique and (profile.kind in ("integer", "text")) and is_key(profile):
        yield Proposed(expectation("unique", profile.name), f"{profile.rows} rows, none twice")
    if profile.kind in ("integer", "number"):
        yield from range_rules(column)
    elif profile.kind == "timestamp":
        yield Proposed(
            expectation("values_to_be_between", profile.name, min_value=str(profile.low)),
            f"{profile.rows} rows, none before; no end",
        )
    elif profile.kind == "text":
        yield from text_rules(column)


def expectation(rule: str, column: str, severity: Any = "quarantine", **kwargs: Any) -> ExpectationConfig:
    """An expectation about a column's values."""
    kind = (
        rule
        if ":" in rule
        else f"expect_column_{rule}"
        if rule.startswith("value")
        else f"expect_column_values_to_be_{rule}"
    )
    return ExpectationConfig(type=kind, severity=severity, kwargs={"column": column, **kwargs})


def missing_rules(profile: Profile) -> Iterator[Proposed]:
    """Whether values may be missing: never where none is; otherwise not many more than now.

    Where all are, the first values that come are told of.
    """
    rows, missing = profile.rows, profile.missing
    if not missing:
        yield Proposed(expectation("values_to_not_be_null", profile.name), f"{rows} rows, none missing")
    elif missing < rows:
        most = 1 - min(1.0, MISSING_MARGIN * missing / rows + 0.01)
        if most > 0:
            rule = expectation(
                "values_to_not_be_null", profile.name, "warn", mostly=math.floor(most * 1000) / 1000
            )
            yield Proposed(rule, f"{missing} of {rows} rows missing")
    else:
        yield Proposed(expectation("null", profile.name, "warn"), f"{rows} rows, all missing")


def is_key(profile: Profile) -> bool:
    """Whether unique values look meant to be: whole numbers, or texts of one length or without blanks."""
    return (
        profile.kind == "integer"
        or profile.low == profile.high
        or not any(" " in text for text in profile.values)
    )


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


def text_rules(column: Column) -> Found:
    """A closed set where the values are one; else how they are written, and that new ones are no misspellings of old ones.

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
    """A column's values where there are few and some rows have nearly all of the others'; nothing where new ones must be expected."""
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


def left_out(errors: Counts) -> str:
    """Values that a rule was not learned from, for people."""
    if not errors:
        return ""
    such = ", ".join(f"{text!r:.40}" for text in sorted(errors)[:EXAMPLES])
    return f"; {sum(errors.values())} rows here break it, such as {such}"


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
