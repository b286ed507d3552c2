"""A column that rules are learned about.

Its values, which of them look wrong, and a trial on rows that were held out.
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
from tasks.validation.checks.sql_conditions import near_pairs
from tasks.validation.proposal import suspicious_values
from tasks.validation.proposal.dependencies import Structure
from tasks.validation.proposal.holdout import SURE, Holdout, Verdict, upper
from tasks.validation.proposal.patterns import Counts
from tasks.validation.proposal.profile import Profile
from tasks.validation.proposal.report import Declined, Proposed
from tasks.validation.proposal.sample import Mask, Sample

NUMBER = re.compile(r"[+-]?[0-9]*[.,]?[0-9]+(?:[eE][+-]?[0-9]+)?")
SPELT = 1000
"""Values that misspellings are compared with, at most."""
MARGINS = (0.25, 1.0, 4.0)
"""By which part of the range of a number's values new ones may lie outside it: the first that holds on rows
held out."""
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
        """Texts that are left out of what is learned, and their rows.

        Right for no key, slips of the pen, or no values at all.
        """
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
    """A column's texts that are near misses of other texts of it.

    Nothing where values do not repeat, or are too many.
    """
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


def left_out(errors: Counts) -> str:
    """Values that a rule was not learned from, for people."""
    if not errors:
        return ""
    such = ", ".join(f"{text!r:.40}" for text in sorted(errors)[:EXAMPLES])
    return f"; {sum(errors.values())} rows here break it, such as {such}"
