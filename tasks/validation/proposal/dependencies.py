"""Columns whose rows agree about another column, such as the rows of a zip code about its city.

A dependency says only that rows which share a key agree; what they agree on is not written down, so it holds
for keys that are yet to come. What the key groups are is also what other rules are tried on: whole keys are
held out while a rule is learned.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.validation.proposal.holdout import allowed_alarms
from tasks.validation.proposal.profile import Profile
from tasks.validation.proposal.sample import Codes, Sample
from tasks.validation.proposal.suspicious_values import systematic

COLUMNS = 40
"""Of the columns with repeated values, so many with the most different values are looked at; the work grows
with their square."""
FIRST = 4000
"""Rows that a pair of columns is first tried on; most pairs are out after them."""
MAJORITY = 3
"""Rows of a key from which they are a majority."""
COVERED = 0.3
"""Share of the rows whose key must have a majority."""
SLIPS = 0.1
"""Share of rows that may contradict with values that are right nowhere: they are errors, and no sign against
a dependency."""
SURPRISE = 15.0
"""Contradictions that chance would bring where two columns had nothing to do with each other; fewer, and
agreement says nothing."""
KEYS = 10
"""Different values from which a column that determines another names things, of which more will come; fewer
are categories."""
NAMED_THRICE = 5
"""The same for a thing that three columns name."""
SECOND = 0.15
"""Share of the rows that say the same from which a second key is another thing, not the first one misspelt.
"""
DETERMINANTS = 2
"""Rules a determined column; where the determinant is wrong itself, the other speaks."""


@dataclass(frozen=True)
class Dependency:
    """Rows with one value of `column` have one value of `other`."""

    column: str
    other: str
    keys: int
    """Values of `column` with a majority."""
    covered: int
    """Their rows."""
    wrong: int
    """Rows that contradict with a value that is right for other keys."""
    slips: int
    """Rows that contradict with a value that is right for none."""
    chance: float
    """Contradictions expected by chance."""
    says: Codes
    """For each value of `column` what its rows say, -1 where they do not."""
    sizes: Codes
    """How many rows say it."""

    @property
    def holds(self) -> bool:
        """Whether it is one, as far as its rows tell."""
        few = self.wrong <= allowed_alarms(self.covered) and self.slips <= SLIPS * self.covered
        return few and self.chance >= SURPRISE + 3 * self.slips + 10 * self.wrong


@dataclass(frozen=True)
class Refused:
    """A dependency that the rows seem to have, and why it is not proposed."""

    column: str
    other: str
    why: str


@dataclass(frozen=True)
class Structure:
    """How columns hang together."""

    dependencies: tuple[Dependency, ...]
    refused: tuple[Refused, ...]
    leaks: tuple[Dependency, ...]
    """Dependencies on the label, or of the label."""
    groups: tuple[str, ...]
    """Columns that name things, one for each kind of thing, those with the most different values first."""
    names: frozenset[str]
    """All columns that name things."""
    units: dict[str, tuple[str, int]]
    """For a column that things determine: the column that names them, and how many there are."""


def structure(sample: Sample, profiles: Sequence[Profile], label: str | None = None) -> Structure:
    """What the rows say about pairs of columns."""
    held = {
        (pair.column, pair.other): pair
        for pair in pairs(sample, profiles)
        if pair.holds and slips_here_and_there(sample, pair)
    }
    leaks = tuple(pair for (column, other), pair in held.items() if label in (column, other))
    held = {key: pair for key, pair in held.items() if label not in key}
    finer = {key for key, pair in held.items() if shares(pair)}
    kept, refused = list[Dependency](), list[Refused]()
    for (column, other), pair in held.items():
        if (other, column) in finer:
            refused.append(Refused(column, other, f"several values of {other} have the same {column}"))
            continue
        keys = [key for key, coarser in finer if coarser == column and (key, other) in held]
        if not keys:
            kept.append(pair)
            continue
        key = max(keys, key=lambda name: (held[name, column].keys, name))
        collapsed = of_keys(held[key, column], held[key, other])
        if collapsed.chance >= SURPRISE and not collapsed.wrong + collapsed.slips:
            kept.append(pair)
        else:
            refused.append(Refused(column, other, reason(collapsed, key)))
    names = things(held, finer)
    return Structure(
        tuple(best(kept)), tuple(refused), leaks, groups(held, finer, names), names, units(held, names)
    )


def slips_here_and_there(sample: Sample, pair: Dependency) -> bool:
    """Whether what contradicts is spread over the rows.

    What is in all rows of a shop is how things are in that shop.
    """
    if pair.slips <= allowed_alarms(pair.covered):
        return True
    keys, values = sample.codes[pair.column], sample.codes[pair.other]
    says = np.append(pair.says, -1)[keys]
    contradicting = (says >= 0) & (values >= 0) & (values != says)
    others = [name for name in sample.codes if name not in (pair.column, pair.other)]
    return int(systematic(sample, contradicting, others).sum()) <= allowed_alarms(pair.covered)


def reason(collapsed: Dependency, key: str) -> str:
    """Why a dependency is not taken from the rows of the things that explain it."""
    if against := collapsed.wrong + collapsed.slips:
        return f"{against} of {collapsed.covered} values of {key} that share one with another contradict it"
    return f"{key} says both, and only {collapsed.covered} of its values share one with another: no evidence for new ones"


def pairs(sample: Sample, profiles: Sequence[Profile]) -> list[Dependency]:
    """Every pair of columns that could be one, with its contradictions.

    Most are left after a look at few rows.
    """
    keys = candidates(profiles)
    others = [
        profile
        for profile in profiles
        if profile.name in sample.codes and 2 <= profile.distinct <= 0.6 * profile.rows
    ]
    others = sorted(others, key=lambda profile: profile.kind == "number")[: 2 * COLUMNS]
    spread = np.linspace(0, sample.rows - 1, min(FIRST, sample.rows)).astype(np.int64)
    found = []
    for key in keys:
        for other in others:
            if key is other or key.distinct < 0.9 * other.distinct:
                continue
            if sample.rows > FIRST:
                first = agreement(sample, key.name, other.name, spread)
                if first.wrong > 5 + 5 * allowed_alarms(first.covered):
                    continue
            pair = agreement(sample, key.name, other.name)
            if pair.covered >= COVERED * sample.rows:
                found.append(pair)
    return found


def candidates(profiles: Sequence[Profile]) -> list[Profile]:
    """Columns whose values repeat; not numbers with a fraction, which name nothing."""
    repeating = [
        profile
        for profile in profiles
        if profile.kind in ("text", "integer", "boolean") and 2 <= profile.distinct <= 0.6 * profile.rows
    ]
    kept = sorted(repeating, key=lambda profile: -profile.distinct)[:COLUMNS]
    return [profile for profile in repeating if profile in kept]


def agreement(sample: Sample, column: str, other: str, rows: Codes | None = None) -> Dependency:
    """How far the rows of each value of a column agree about another."""
    a, b = sample.codes[column], sample.codes[other]
    if rows is not None:
        a, b = a[rows], b[rows]
    return count_agreement(column, other, a, b, len(sample.values[column]), MAJORITY)


def count_agreement(column: str, other: str, a: Codes, b: Codes, keys: int, majority: int) -> Dependency:
    """How far rows with the same `a` [rows] have the same `b` [rows].

    Rows where one is missing (-1) do not count.
    """
    there = (a >= 0) & (b >= 0)
    a, b = a[there], b[there]
    values = int(b.max(initial=0)) + 1
    pair, count = np.unique(a * values + b, return_counts=True)
    key, value = pair // values, pair % values
    total = np.bincount(key, count, keys).astype(np.int64)
    most = np.zeros(keys, dtype=np.int64)
    np.maximum.at(most, key, count)
    clear = 2 * most > total
    says = np.full(keys, -1)
    right = clear[key] & (count == most[key]) & (total[key] >= 2)
    says[key[right]] = value[right]
    enough = total >= majority
    minority = enough[key] & (says[key] != value)
    # A value that most rows of another key have is a good one: it speaks against the dependency, where a slip
    # of the pen does not.
    good = np.zeros(values, dtype=bool)
    good[says[says >= 0]] = True
    elsewhere = good[value] | (count > 1) & ~clear[key]
    covered, groups = int(total[enough].sum()), int(enough.sum())
    # By chance rows differ as often as two rows with good values do; where one value alone is good, agreement
    # says nothing.
    share = np.bincount(b[good[b]], minlength=values) / max(1, int(good[b].sum()))
    chance = (covered - groups) * max(0.0, 1 - float((share**2).sum()))
    wrong, slips = int(count[minority & elsewhere].sum()), int(count[minority & ~elsewhere].sum())
    return Dependency(
        column, other, groups, covered, wrong, slips, chance, says, np.where(says >= 0, most, 0)
    )


def shares(pair: Dependency) -> bool:
    """Whether two keys say the same, so that the column is finer than what it determines.

    A misspelt key is no second one.
    """
    said = (pair.says >= 0) & (pair.sizes >= MAJORITY)
    rows = np.bincount(pair.says[said], pair.sizes[said])
    most = np.zeros(len(rows))
    np.maximum.at(most, pair.says[said], pair.sizes[said])
    return bool((rows - most > SECOND * rows).any())


def of_keys(first: Dependency, second: Dependency) -> Dependency:
    """Whether the things that share what `first` says agree about what `second` says.

    One vote a thing, however many rows it has.
    """
    known = (first.says >= 0) & (second.says >= 0)
    a, b = first.says[known], second.says[known]
    return count_agreement(first.other, second.other, a, b, int(a.max(initial=0)) + 1, 2)


Held = dict[tuple[str, str], Dependency]


def same(held: Held, finer: set[tuple[str, str]], one: str, other: str) -> bool:
    """Whether two columns name the same things."""
    return {(one, other), (other, one)} <= held.keys() and not {(one, other), (other, one)} & finer


def things(held: Held, finer: set[tuple[str, str]]) -> frozenset[str]:
    """Columns that name things of which more will come: by many values, or by several names for one."""
    found = set[str]()
    for column in {column for column, _ in held}:
        named = {other for first, other in held if first == column and same(held, finer, column, other)}
        keys = max(pair.keys for (first, _), pair in held.items() if first == column)
        if keys >= (NAMED_THRICE if len(named) >= 2 else KEYS):
            found.add(column)
    return frozenset(found)


def groups(held: Held, finer: set[tuple[str, str]], names: frozenset[str]) -> tuple[str, ...]:
    """One column for each kind of thing.

    First the things that no finer one determines, such as shops before their towns.
    """
    keys = {
        column: max(pair.keys for (first, _), pair in held.items() if first == column) for column in names
    }
    coarse = {other for column, other in finer if column in names and (other, column) not in finer}
    found = list[str]()
    for column in sorted(names, key=lambda name: (name in coarse, -keys[name], name)):
        if not any(same(held, finer, column, other) for other in found):
            found.append(column)
    return tuple(found)


def units(held: Held, names: frozenset[str]) -> dict[str, tuple[str, int]]:
    """The fewest things that determine each column; a column that names things is determined by itself."""
    found = dict[str, tuple[str, int]]()
    for (column, other), pair in held.items():
        if column not in names:
            continue
        for about in (column, other):
            if about not in found or pair.keys < found[about][1]:
                found[about] = (column, pair.keys)
    return found


def best(kept: Sequence[Dependency]) -> list[Dependency]:
    """The best determinants of each column, those with the fewest contradictions first."""
    found = list[Dependency]()
    for other in dict.fromkeys(pair.other for pair in kept):
        of_column = [pair for pair in kept if pair.other == other]
        of_column.sort(key=lambda pair: (pair.wrong + pair.slips, -pair.covered, pair.keys, pair.column))
        found += of_column[:DETERMINANTS]
    return found
