"""Rules about one column, learned from its values and kept only where the half they were learned from foretells the other half.

So a rule says how new rows will look, not how the old ones happened to: a set of values that still grows is no set.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from configs.data import Expectation
from tasks.validation import patterns
from tasks.validation.patterns import Counts
from tasks.validation.profile import EARLY, EVEN, Profile

SET = 200
"""A set of more values is not written down."""
NUMBER = re.compile(r"[+-]?[0-9]*[.,]?[0-9]+(?:[eE][+-]?[0-9]+)?")
NUMBERS = 20
"""More different numbers are measurements, not names of things."""
SPELT = 1000
"""Values that misspellings are compared with, at most."""
MARGIN = 0.25
"""By which part of the range of a number's values new ones may lie outside it."""
MISSING_MARGIN = 1.5
"""How many times as many missing values are still ordinary."""
RUNNING = 10
"""Unique numbers that are denser than one in so many are running numbers."""
REPEATED = 2
"""Rows from which a value counts as known to misspellings."""
TOLERATED = 0.001
"""Share of good rows that a rule may flag beside one row, by what one half says of the other."""


def allowed(rows: int) -> float:
    """False alarms, both halves together, with which a rule is still proposed."""
    return 1 + TOLERATED * rows


def rules(profile: Profile, connection: duckdb.DuckDBPyConnection) -> Iterator[Expectation]:
    """The expectations about one column."""
    present = profile.rows - profile.missing
    yield from missing_rules(profile)
    if not present:
        return
    if profile.unique and (profile.kind in ("integer", "text")) and is_key(profile):
        yield expectation("unique", profile.name)
    if profile.kind in ("integer", "number", "timestamp"):
        yield from range_rules(profile)
    elif profile.kind == "text":
        yield from text_rules(profile, connection)


def expectation(rule: str, column: str, severity: Any = "quarantine", **kwargs: Any) -> Expectation:
    """An expectation about a column's values."""
    kind = rule if ":" in rule else f"expect_column_{rule}" if rule.startswith("value") else f"expect_column_values_to_be_{rule}"
    return Expectation(type=kind, severity=severity, kwargs={"column": column, **kwargs})


def missing_rules(profile: Profile) -> Iterator[Expectation]:
    """Whether values may be missing: never where none is in both halves; otherwise not many more than now.

    Where all are, the first values that come are told of.
    """
    rows, missing = profile.rows, profile.missing
    if not missing:
        yield expectation("values_to_not_be_null", profile.name)
    elif missing < rows:
        most = 1 - min(1.0, MISSING_MARGIN * missing / rows + 0.01)
        if most > 0:
            yield expectation("values_to_not_be_null", profile.name, "warn", mostly=math.floor(most * 1000) / 1000)
    else:
        yield expectation("null", profile.name, "warn")


def is_key(profile: Profile) -> bool:
    """Whether unique values look meant to be: whole numbers, or texts of one length or without blanks."""
    return profile.kind == "integer" or profile.low == profile.high or not any(" " in text for text in profile.values)


def range_rules(profile: Profile) -> Iterator[Expectation]:
    """The range of numbers, with a margin; the beginning of timestamps, whose end moves on; nothing of keys, which go on growing."""
    if profile.kind == "timestamp":
        yield expectation("values_to_be_between", profile.name, min_value=str(profile.low))
    elif not (profile.unique and profile.kind == "integer") and math.isfinite(float(profile.high) - float(profile.low)):
        low, high = float(profile.low), float(profile.high)
        margin = MARGIN * (high - low)
        least = 0.0 if 0 <= low <= margin else outward(low - margin, -1)
        yield expectation("values_to_be_between", profile.name, min_value=plain(least), max_value=plain(outward(high + margin, 1)))


def outward(value: float, sign: int) -> float:
    """A value with three digits, rounded up (1) or down (-1)."""
    if not value:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    return float(f"{(math.ceil if sign > 0 else math.floor)(value / step) * step:.6g}")


def plain(value: float) -> float | int:
    """A whole number without its point."""
    return int(value) if value.is_integer() else value


def text_rules(profile: Profile, connection: duckdb.DuckDBPyConnection) -> Iterator[Expectation]:
    """A closed set where the values are one; else how they are written, and that new ones are no misspellings of old ones.

    A set that later rows went beyond is only warned of: in sorted data every kind of row has values of its own.
    """
    if values := closed_set(profile, EVEN):
        lasting = closed_set(profile, EARLY) is not None
        yield expectation("values_to_be_in_set", profile.name, "quarantine" if lasting else "warn", value_set=values)
        if lasting:
            return
    if counts_up(profile):
        yield expectation("values_to_match_regex", profile.name, regex="^[0-9]+$")
    elif found := pattern(profile):
        yield expectation("values_to_match_regex", profile.name, regex=found)
    else:
        yield expectation("value_lengths_to_be_between", profile.name, **lengths(profile))
    if misspellings_stand_out(profile, connection):
        yield expectation("tasks.validation.rules:ExpectColumnValuesNotToBeMisspelt", profile.name, value_set=sorted(profile.values))


def counts_up(profile: Profile) -> bool:
    """Whether values are running numbers, which get more digits in time."""
    if not profile.unique or not all(text.isascii() and text.isdigit() for text in profile.values):
        return False
    numbers = list(map(int, profile.values))
    return max(numbers) - min(numbers) < RUNNING * profile.rows


def closed_set(profile: Profile, places: tuple[int, ...]) -> list[str] | None:
    """A column's values where there are few and some folds have nearly all of the others'; None where new ones must be expected."""
    values = profile.values
    many = len(values) > (NUMBERS if all(map(NUMBER.fullmatch, values)) else SET)
    if not profile.complete or many or sum(values.values()) < 2 * len(values):
        return None
    unseen = sum(rows for half, other in profile.trials(places) for text, rows in other.items() if text not in half)
    return sorted(values) if unseen <= allowed(profile.rows) else None


def pattern(profile: Profile) -> str | None:
    """The strictest expression that some rows foretell the others with; None where none does."""
    return next(
        (learn(profile.values) for learn in patterns.LEARNERS if all(foretells(learn, profile, fold) for fold in (EVEN, EARLY))), None
    )


def foretells(learn: patterns.Learner, profile: Profile, places: tuple[int, ...]) -> bool:
    """Whether what is learned from some folds holds for the others."""
    found = [(learn(half), other) for half, other in profile.trials(places)]
    wrong = sum(alarms(learnt, other) for learnt, other in found if learnt is not None)
    return all(learnt is not None for learnt, _ in found) and wrong <= allowed(profile.rows)


def alarms(learnt: str, counts: Counts) -> int:
    """Rows whose text an expression does not match."""
    expression = re.compile(learnt)
    return sum(rows for text, rows in counts.items() if not expression.match(text))


def lengths(profile: Profile) -> dict[str, int]:
    """How long texts are, with a margin."""
    margin = math.ceil(MARGIN * (profile.high - profile.low))
    return {"min_value": max(0, profile.low - margin), "max_value": profile.high + margin}


def misspellings_stand_out(profile: Profile, connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether values repeat, and new values are no near misses of old ones."""
    values = profile.values
    if not profile.complete or len(values) > SPELT or max(values.values()) < REPEATED:
        return False
    return all(misspelt_alarms(profile, connection, places) <= allowed(profile.rows) for places in (EVEN, EARLY))


def misspelt_alarms(profile: Profile, connection: duckdb.DuckDBPyConnection, places: tuple[int, ...]) -> int:
    """Rows that would be misspellings of the other folds' values."""
    from tasks.validation.rules import misspelt

    found = 0
    for half, other in profile.trials(places):
        new = [text for text in other if text not in half]
        if new and half:
            asked = f"SELECT v FROM (SELECT unnest(?::VARCHAR[]) AS v) WHERE {misspelt('v', sorted(half))}"  # noqa: S608
            found += sum(other[text] for (text,) in connection.execute(asked, [new]).fetchall())
    return found
