"""What stands for a missing value though nothing declares it.

Texts among numbers, usual marks among words, numbers far from all others.

A word such as None or unknown may be an answer, so it takes evidence: the same text stands where a number
should be.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from configs.source import ColumnConfig
from tasks.ingestion.parsing.missing_markers import DOUBTFUL, MARKERS
from tasks.ingestion.partitions.profile import EDGES, Numbers, Profile, Texts, format_number
from tasks.records import Finding

STRAYS = 3
"""Different texts that repeat in a column of numbers and may stand for no value, at most."""
LIMITS = (32767, 32768, 65535, 2147483647, 2147483648, 4294967295, 4294967296)
"""Ends of integer types, as float32 has them too."""
FAR = 10.0
"""Spreads of all other values from which on any value that repeats is no value like the others."""


def undeclared_missing(profile: Profile, columns: Mapping[str, ColumnConfig]) -> tuple[Finding, ...]:
    """A finding a column.

    columns: the contract
    """
    found = []
    for name, marks in marks_by_column(profile).items():
        numbers = profile.numbers.get(name)
        total = profile.texts[name].present if name in profile.texts else 0
        total = total or (numbers.count if numbers else 0) + len(profile.last)
        told = "values look like marks of missing values, which nothing declares"
        facts: dict[str, Any] = {
            "stage": "ingest",
            "check": "undeclared_missing",
            "about": name,
            "count": sum(marks.values()),
            "total": total,
        }
        examples = tuple(
            f"{mark!r} ({times:,})"
            for mark, times in sorted(marks.items(), key=lambda mark: (-mark[1], mark[0]))
        )
        advice = f"if they are, declare them: {declaration(name, list(marks), columns, numbers is not None)}"
        found.append(Finding(**facts, told=told, examples=examples, advice=advice))
    return tuple(found)


def marks_by_column(profile: Profile) -> dict[str, dict[str, int]]:
    """By column what looks like a mark of missing values, and how often it comes."""
    strays = {name: stray_marks(texts) for name, texts in profile.texts.items() if texts.numeric}
    seen = {mark for marks in strays.values() for mark in marks}
    found: dict[str, dict[str, int]] = {}
    for name, texts in profile.texts.items():
        marks = strays.get(name) or {mark: times for mark, times in texts.odd.items() if mark in MARKERS}
        if name not in strays:
            marks = {mark: times for mark, times in marks.items() if mark not in DOUBTFUL or mark in seen}
        if marks:
            found[name] = marks
    for name, numbers in profile.numbers.items():
        whole = Numbers()
        whole.merge(numbers)
        for row in profile.last:
            value = row.numbers.get(name)
            if value is not None:
                whole.merge(Numbers(1, value, {value: 1}, {value: 1}))
        if marks := {format_number(value): times for value, times in far_values(whole)}:
            found[name] = found.get(name, {}) | marks
    return found


def stray_marks(texts: Texts) -> dict[str, int]:
    """Texts in a column of numbers that stand for no value.

    The usual ones, or a few that repeat where most values are numbers.
    """
    usual = {text: times for text, times in texts.odd.items() if text in MARKERS}
    others = {text: times for text, times in texts.odd.items() if text not in MARKERS}
    few = len(others) <= STRAYS and 2 * sum(texts.odd.values()) <= texts.present
    return usual | ({text: times for text, times in others.items() if times > 1} if few else {})


def far_values(numbers: Numbers) -> Iterator[tuple[float, int]]:
    """Values that repeat far outside all others, such as -999, and how often."""
    highest, lowest = outside(numbers.high), outside(numbers.low)
    rest = [value for value in {*numbers.high, *numbers.low} if value not in highest and value not in lowest]
    if len(rest) < 2:
        return
    spread = max(rest) - min(rest)
    for value, times in {**lowest, **highest}.items():
        gap = value - max(rest) if value > max(rest) else min(rest) - value
        if gap <= 0:
            continue
        alone = value == -1 and min(rest) >= 0 and len(rest) >= EDGES
        needed = FAR if not is_pattern(value) or times < 2 else 1.0 if abs(value) >= 100 else 3.0
        if times > 1 and (alone or (gap >= needed * spread and (is_pattern(value) or times > 2))):
            yield value, times


def outside(values: Mapping[float, int]) -> dict[float, int]:
    """The outermost value, and those next to it that are written like marks.

    What all others are compared with has none of them.
    """
    found: dict[float, int] = {}
    for place, (value, times) in enumerate(values.items()):
        if place and not (is_pattern(value) and times > 1):
            break
        if times < 2:
            break
        found[value] = times
    return found


def is_pattern(value: float) -> bool:
    """Whether a number is written as marks of missing values are.

    All nines, eights or sevens, or the end of a type.
    """
    digits = set(format_number(abs(value)).replace(".", ""))
    return digits in ({"9"}, {"8"}, {"7"}) or abs(value) in LIMITS or value == -1


def declaration(name: str, marks: list[str], columns: Mapping[str, ColumnConfig], number: bool) -> str:
    """The part of the YAML that declares the marks."""
    spec = columns.get(name) or ColumnConfig(type="number" if number else "text")
    kept = spec.model_dump(exclude_defaults=True, exclude={"usual"}, mode="json")
    column = {"type": spec.type} | kept | {"missing": [*spec.missing, *marks]}
    section: dict[str, Any] = {"columns": {name: column}}
    if not columns:
        section = {"extra": "keep"} | section
    made: str = yaml.safe_dump(
        {"source": section}, default_flow_style=True, sort_keys=False, allow_unicode=True, width=2**20
    )
    return made.strip().removeprefix("{").removesuffix("}")
