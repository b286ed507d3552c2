"""What rows look like as a whole.

Each number column's sum and outermost values, texts that may stand for no value, the last rows.

A partition's profile is kept beside its parts; profiles of one file are put together, so what is judged
(totals.py, undeclared.py) is judged by all of its rows.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from configs.intake import IntakeConfig, TabularIntakeConfig
from tasks.ingestion.lines import LINE
from tasks.ingestion.parsing.missing_markers import MARKERS
from tasks.rows import content_hash

TAIL = 3
"""Last rows that are kept: sums, means and one more line at most."""
EDGES = 5
"""Different values at either end of a column."""
KINDS = 50
"""Different texts of a column that are counted."""
SHOWN_CHARACTERS = 60
LONGEST = 12
"""Characters of a text that may stand for no value."""
ENDS = {2.0**31: 2**31 - 1, 2.0**32: 2**32 - 1}
"""Ends of integer types, which float32 rounds up."""
CODE = r"^[A-Z]{2,3}$"
"""Beside such texts NA is one more of them: Namibia, North America."""
OWN = (LINE, content_hash.COLUMN)


@dataclass
class Numbers:
    """The values of a number column."""

    count: int = 0
    total: float = 0.0
    low: dict[float, int] = field(default_factory=dict)
    """How often each of the EDGES least values comes."""
    high: dict[float, int] = field(default_factory=dict)

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Adds values; those that are no finite numbers are left out."""
        there = values[np.isfinite(values)]
        self.merge(Numbers(len(there), float(there.sum()), edge(there, least=True), edge(there, least=False)))

    def merge(self, other: "Numbers") -> None:
        """Adds another column's."""
        self.count += other.count
        self.total += other.total
        low, high = Counter(self.low) + Counter(other.low), Counter(self.high) + Counter(other.high)
        self.low = {value: low[value] for value in sorted(low)[:EDGES]}
        self.high = {value: high[value] for value in sorted(high, reverse=True)[:EDGES]}


def edge(values: npt.NDArray[np.float64], least: bool) -> dict[float, int]:
    """The EDGES least (or greatest) different values and how often each comes."""
    found: dict[float, int] = {}
    while len(values) and len(found) < EDGES:
        outermost = values.min() if least else values.max()
        same = values == outermost
        found[float(outermost)] = int(same.sum())
        values = values[~same]
    return found


@dataclass
class LastRow:
    """One of the last rows."""

    line: int
    cells: dict[str, str | None]
    """As the source has them, the first SHOWN_CHARACTERS of each."""
    numbers: dict[str, float | None]


@dataclass
class Texts:
    """What may stand for no value in a column, and how often."""

    present: int = 0
    numeric: bool = False
    """Whether the intake wants numbers here."""
    odd: dict[str, int] = field(default_factory=dict)
    """In a column that the intake reads as numbers or dates all texts that are none, in others those that are
    usual for missing values."""

    def add(self, present: int, odd: dict[str, int], numeric: bool) -> None:
        """Adds counts."""
        self.present += present
        self.numeric |= numeric
        for text, times in odd.items():
            if text in self.odd or len(self.odd) < KINDS:
                self.odd[text] = self.odd.get(text, 0) + times


@dataclass
class Profile:
    """Of the rows of one file, table or reader, or of a partition of it."""

    rows: int = 0
    """Above the last ones."""
    gaps: dict[str, int] = field(default_factory=dict)
    """How many rows above the last ones have no value, by column."""
    numbers: dict[str, Numbers] = field(default_factory=dict)
    """Of the rows above the last ones."""
    texts: dict[str, Texts] = field(default_factory=dict)
    last: list[LastRow] = field(default_factory=list)

    def add(self, source: pa.Table, made: pa.Table, section: IntakeConfig, named: tuple[str, ...]) -> None:
        """Adds a table's rows.

        source: as the source has them; made: the same rows as the intake has them
        named: columns that are no inputs, such as the key and the label
        """
        plain = [
            name
            for name in source.column_names
            if name not in OWN and not pa.types.is_nested(source[name].type)
        ]
        numeric = [name for name in plain if name in made.column_names and is_number(made[name].type)]
        self.add_rows(source.select([*plain, LINE]), made.select(numeric))
        for name in plain:
            if pa.types.is_string(source[name].type) and name not in named:
                after = made[name] if name in made.column_names else source[name]
                self.add_texts(name, source[name], after, section)

    def add_rows(self, source: pa.Table, numbers: pa.Table) -> None:
        """Adds rows; the last of them take the place of those that were last."""
        kept = max(0, TAIL - len(source))
        self.fold(self.last[: max(0, len(self.last) - kept)])
        above = max(0, len(source) - TAIL)
        self.rows += above
        for name in source.column_names:
            self.gaps[name] = self.gaps.get(name, 0) + source[name].slice(0, above).null_count
        for name in numbers.column_names:
            self.numbers.setdefault(name, Numbers()).add(floats(numbers[name].slice(0, above)))
        for place in range(above, len(source)):
            row = source.slice(place, 1).to_pylist()[0]
            line = row.pop(LINE)
            texts = {
                name: None if value is None else str(value)[:SHOWN_CHARACTERS] for name, value in row.items()
            }
            values = {name: floats(numbers[name].slice(place, 1))[0] for name in numbers.column_names}
            self.last.append(
                LastRow(
                    line,
                    texts,
                    {name: float(value) if np.isfinite(value) else None for name, value in values.items()},
                )
            )

    def fold(self, rows: list[LastRow]) -> None:
        """Makes some of the last rows ordinary ones."""
        self.rows += len(rows)
        for row in rows:
            for name, value in row.cells.items():
                self.gaps[name] = self.gaps.get(name, 0) + (value is None)
            for name, number in row.numbers.items():
                self.numbers.setdefault(name, Numbers()).add(np.array([np.nan if number is None else number]))
        self.last = self.last[len(rows) :]

    def add_texts(
        self, name: str, before: pa.ChunkedArray, after: pa.ChunkedArray, section: IntakeConfig
    ) -> None:
        """Counts the texts of a column that may stand for no value."""
        there = pc.and_(
            pc.is_valid(before), pc.fill_null(pc.less_equal(pc.binary_length(before), LONGEST), False)
        )
        typed = isinstance(section, TabularIntakeConfig) and name in (*section.numeric, *section.dates)
        if typed:
            there = pc.and_(there, pc.is_null(after))
        short = pc.utf8_trim_whitespace(before.filter(there))
        if not typed:
            short = short.filter(pc.is_in(short, pa.array(MARKERS)))
        odd = {row["values"]: row["counts"] for row in pc.value_counts(short).to_pylist() if row["values"]}
        if (
            "NA" in odd
            and not typed
            and pc.any(pc.match_substring_regex(before.filter(pc.not_equal(before, "NA")), CODE)).as_py()
        ):
            del odd["NA"]
        numeric = isinstance(section, TabularIntakeConfig) and name in section.numeric
        self.texts.setdefault(name, Texts()).add(len(before) - before.null_count, odd, numeric)

    def merge(self, later: "Profile") -> None:
        """Adds the rows that come after these."""
        if later.rows or later.last:
            kept = max(0, TAIL - len(later.last)) if not later.rows else 0
            self.fold(self.last[: max(0, len(self.last) - kept)])
        self.rows += later.rows
        self.last += later.last
        for name, gaps in later.gaps.items():
            self.gaps[name] = self.gaps.get(name, 0) + gaps
        for name, numbers in later.numbers.items():
            self.numbers.setdefault(name, Numbers()).merge(numbers)
        for name, texts in later.texts.items():
            self.texts.setdefault(name, Texts()).add(texts.present, texts.odd, texts.numeric)

    def as_json(self) -> dict[str, Any]:
        """For `profile_of`."""
        made = asdict(self)
        for numbers in made["numbers"].values():
            for end in ("low", "high"):
                numbers[end] = list(numbers[end].items())
        return made


def profile_of(kept: dict[str, Any]) -> Profile:
    """A profile as `as_json` gave it."""
    numbers = {
        name: Numbers(
            each["count"], each["total"], dict(map(tuple, each["low"])), dict(map(tuple, each["high"]))
        )
        for name, each in kept["numbers"].items()
    }
    texts = {name: Texts(**each) for name, each in kept["texts"].items()}
    return Profile(
        kept["rows"], dict(kept["gaps"]), numbers, texts, [LastRow(**each) for each in kept["last"]]
    )


def merge_profiles(profiles: Iterable[Profile]) -> Profile:
    """Profiles of partitions of one file in their order, as one."""
    whole = Profile()
    for each in profiles:
        whole.merge(each)
    return whole


def is_number(kind: pa.DataType) -> bool:
    """Whether a column holds numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def floats(values: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Values as float64 [rows], NaN where there is none."""
    return np.asarray(pc.cast(values, pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def format_number(value: float) -> str:
    """A number as people write it."""
    whole = ENDS.get(value, int(value)) if abs(value) < 1e16 else 0
    return str(whole) if whole == value or value in ENDS else f"{value:.7g}"
