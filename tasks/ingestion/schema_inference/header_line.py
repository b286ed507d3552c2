"""Whether the first line of a CSV file names the columns.

Judged by how it differs from the lines below, with the reason.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa

from tasks.ingestion.parsing.missing_markers import MISSING

NAME_LETTERS = 60
"""A longer cell is no column's name."""
ALIKE = 0.9
"""Share of a column's values that must be of one kind for it to have one."""
FEWEST_COUNTED = 3
"""Numbers of a first line from which their order says something."""
NUMBER = re.compile(r"[+-]?[$¢£¤¥₠-⃀]?\s?(\d[\d.,' ]*|\.\d+)([eE][+-]?\d+)?\s?%?")
MOMENT = re.compile(r"(?=.*\d)[\d\-/.:,TZ+ ]+")

UNLIKE = (("text", "number"), ("text", "moment"), ("moment", "number"))
"""Kinds of a cell and of the values below it that show the cell is no value."""


@dataclass(frozen=True)
class Header:
    """Whether there is a header line, and why."""

    there: bool
    why: str
    names: tuple[str, ...]
    """Different names for all columns: the header's own, where it has them."""
    repeated: tuple[str, ...] = ()
    """Names that the header has more than once; an empty text where it leaves one out."""


def judge_header(rows: pa.Table) -> Header:
    """By a file's first rows, all of them texts, the first line among them."""
    first = [str(column[0].as_py() or "").strip() for column in rows.columns]
    below = [[str(value or "").strip() for value in column.slice(1).to_pylist()] for column in rows.columns]
    there, why = decide(first, below)
    if not there:
        return Header(False, why, tuple(f"column_{number + 1}" for number in range(len(first))))
    repeated = tuple(name for name, times in Counter(first).items() if times > 1 or not name)
    return Header(True, why, different(first), repeated)


def decide(first: list[str], below: list[list[str]]) -> tuple[bool, str]:
    """Whether the first line names the columns, and why."""
    kinds = [kind_of_column(values) for values in below]
    above = [cell for cell, kind in zip(first, kinds, strict=True) if (kind_of(cell), kind) in UNLIKE]
    same = [
        cell
        for cell, kind in zip(first, kinds, strict=True)
        if kind and kind_of(cell) in ("number", "moment")
    ]
    same = [cell for cell in same if cell not in above]
    if counts_up(first, kinds, [values[0] for values in below if values]):
        return True, f"its numbers {', '.join(same[:3])}, ... count up as those of no other line do"
    if above and len(above) >= len(same):
        return True, f"{above[0]!r} stands over numbers"
    if same:
        return False, f"the first line holds {same[0]!r} where the lines below hold numbers too"
    return decide_by_texts(first, below)


def decide_by_texts(first: list[str], below: list[list[str]]) -> tuple[bool, str]:
    """As `decide`, of a file without a column of numbers."""
    if long := [cell for cell in first if len(cell) > NAME_LETTERS]:
        return False, f"{long[0][:NAME_LETTERS]!r}... is too long for a name"
    for cell, values in zip(first, below, strict=True):
        if cell and cell in values:
            return False, f"{cell!r} in the first line comes again in the lines below it"
    if first.count("") > 1:
        return False, "the first line leaves values out"
    return True, "what is in the first line comes nowhere below it"


def kind_of(cell: str) -> str:
    """What a cell holds: number, moment or text; empty for what stands for no value."""
    if cell in MISSING:
        return ""
    if NUMBER.fullmatch(cell):
        return "number"
    return "moment" if MOMENT.fullmatch(cell) else "text"


def kind_of_column(values: Sequence[str]) -> str:
    """What nearly all values of a column are, where that is number or moment; empty for any other column."""
    found = Counter(kind for value in values if (kind := kind_of(value)))
    if not found:
        return ""
    kind, times = found.most_common(1)[0]
    return kind if kind != "text" and times >= ALIKE * found.total() else ""


def counts_up(first: list[str], kinds: list[str], second: list[str]) -> bool:
    """Whether the numbers over columns of numbers count up evenly, such as years or the pixels of an image, and those below do not."""
    places = [
        place for place, kind in enumerate(kinds) if kind == "number" and re.fullmatch(r"-?\d+", first[place])
    ]
    numbers = [int(first[place]) for place in places]
    steps = {later - sooner for sooner, later in pairwise(numbers)}
    if len(numbers) < FEWEST_COUNTED or len(steps) != 1 or steps <= {0} or not second:
        return False
    if any(
        kind == "number" and kind_of(first[place]) == "number" and place not in places
        for place, kind in enumerate(kinds)
    ):
        return False
    next_line = [second[place] for place in places]
    if not all(re.fullmatch(r"-?\d+", cell) for cell in next_line):
        return True
    return {int(later) - int(sooner) for sooner, later in pairwise(next_line)} != steps


def different(names: Sequence[str]) -> tuple[str, ...]:
    """The names, those that repeat with a number behind them, those that are empty with their place."""
    made: list[str] = []
    for place, name in enumerate(names):
        plain = name.strip() or f"column_{place + 1}"
        number, unlike = 2, plain
        while unlike in made or (unlike != plain and unlike in names):
            unlike, number = f"{plain}_{number}", number + 1
        made.append(unlike)
    return tuple(made)
