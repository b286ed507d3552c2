"""What changed or was lost when a source's values became what the intake takes.

Counted partition by partition, told once a source.

Counts of a partition are kept beside its parts, so a partition that was read in an earlier run still says
what it lost.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from configs.intake import IntakeConfig, TabularIntakeConfig
from tasks.ingestion.lines import LINE
from tasks.records import Finding

EXAMPLES = 3
KINDS = 200
SHOWN_CHARACTERS = 40
EXACT_FLOAT32 = 2.0**24
"""From here on float32 rounds some whole numbers, from 2^53 on float64 does too."""
EXACT_FLOAT64 = 2.0**53
Mask = npt.NDArray[np.bool_]


@dataclass
class Count:
    """How often one thing happened to one column."""

    check: str
    """The key of `checks` that decides about it."""
    about: str
    count: int = 0
    total: int = 0
    examples: tuple[str, ...] = ()
    kinds: dict[str, int] = field(default_factory=dict)
    """How often each kind of it happened, such as each size of an image; at most KINDS of them."""

    def finding(self) -> Finding:
        """With the most frequent kinds first among the examples."""
        frequent = sorted(self.kinds.items(), key=lambda kind: (-kind[1], kind[0]))[:EXAMPLES]
        examples = (*(f"{kind} ({count:,})" for kind, count in frequent), *self.examples)
        facts = {"about": self.about, "count": self.count, "total": self.total, "examples": examples}
        return Finding(stage="ingest", check=self.check, **facts, **TOLD[self.check])


class Conversions:
    """Counts of one partition, or of several together."""

    keeps_rows = False
    """Whether `leave_out` keeps the rows that it is told of.

    Then readers leave out single rows that else stop them.
    """

    def __init__(self, counts: Iterable[dict[str, Any]] = ()) -> None:
        """counts: as `as_json` gave them; those of the same check and column are added up."""
        self._counts: dict[tuple[str, str], Count] = {}
        self.take(counts)

    def take(self, counts: Iterable[dict[str, Any]]) -> None:
        """Adds counts as `as_json` gave them."""
        for each in counts:
            self.add(
                each["check"], each["about"], each["count"], each["total"], each["examples"], each["kinds"]
            )

    def add(
        self,
        check: str,
        about: str,
        count: int,
        total: int,
        examples: Iterable[str] = (),
        kinds: Mapping[str, int] | None = None,
    ) -> None:
        """Notes that it happened to `count` of `total` values."""
        found = self._counts.setdefault((check, about), Count(check, about))
        found.count += count
        found.total += total
        found.examples = (*found.examples, *examples)[:EXAMPLES]
        for kind, times in (kinds or {}).items():
            if kind in found.kinds or len(found.kinds) < KINDS:
                found.kinds[kind] = found.kinds.get(kind, 0) + times

    def leave_out(self, check: str, origin: str, line: int | None, reason: str, text: str) -> None:
        """Is told of every row that is left out whole, beside its count, for a caller who keeps such rows.

        line: where it stands in a file of lines; text: the row as it is written, or the name of its file
        """

    def count(self, check: str) -> int:
        """How often something happened, in all columns."""
        return sum(each.count for each in self._counts.values() if each.check == check)

    def as_json(self) -> list[dict[str, Any]]:
        """For `Conversions`."""
        return [asdict(each) for each in self._counts.values()]

    def findings(self) -> tuple[Finding, ...]:
        """What happened at least once."""
        return tuple(each.finding() for each in self._counts.values() if each.count)

    def told(self) -> str:
        """What happened, to be put behind an error about rows that are not there; empty where nothing did."""
        return "".join(f"; {each.text}" for each in self.findings())

    def compare(self, source: pa.Table, made: pa.Table, section: IntakeConfig) -> None:
        """Notes which values of a table the intake's columns no longer have, or have only rounded."""
        for name in (
            name for name in made.column_names if name in source.column_names and name not in ("id", LINE)
        ):
            before, after = source[name].combine_chunks(), made[name].combine_chunks()
            if pa.types.is_nested(before.type) or pa.types.is_nested(after.type):
                continue
            if after.null_count > before.null_count:
                there = present(before)
                lost = there & after.is_null().to_numpy(zero_copy_only=False)
                self.add(
                    "unreadable_values",
                    name,
                    int(lost.sum()),
                    int(there.sum()),
                    examples_of(lost, before, source),
                )
            else:  # as in most columns of most tables: nothing can be lost, and millions of values need no second look
                self.add("unreadable_values", name, 0, len(before) - before.null_count)
            if isinstance(section, TabularIntakeConfig) and name in section.numeric:
                self.compare_numbers(name, before, after, source)

    def compare_numbers(self, name: str, before: pa.Array, after: pa.Array, source: pa.Table) -> None:
        """Notes whole numbers of a column that are other numbers as float32."""
        exact, kept = whole_numbers(before), after.cast(pa.float64()).to_numpy(zero_copy_only=False)
        whole = np.isfinite(exact) & (np.floor(exact) == exact)
        rounded = whole & (np.abs(exact) > EXACT_FLOAT32) & (exact != kept)
        huge = whole & (np.abs(exact) >= EXACT_FLOAT64)
        total = int(np.isfinite(exact).sum())
        self.add(
            "rounded_numbers",
            name,
            int((rounded & ~huge).sum()),
            total,
            examples_of(rounded & ~huge, before, source),
        )
        self.add("identifier_numbers", name, int(huge.sum()), total, examples_of(huge, before, source))


TOLD: dict[str, dict[str, str]] = {
    "unreadable_values": {
        "told": "values could not be read as the intake wants them and count as missing",
        "advice": "name texts that stand for no value in source.columns.<column>.missing, or list the column under another kind in intake; "
        "of dates, set intake.date_formats.<column>",
    },
    "unreadable_images": {
        "told": "files cannot be read as images and were left out",
        "advice": "mend them or take them out of the source",
    },
    "resized_images": {
        "told": "images had another size",
        "advice": "set intake.height and intake.width to the usual size, and intake.resize to what shall become of the others",
    },
    "lost_colours": {
        "told": "images with colours became grey",
        "advice": "set intake.channels to 3",
    },
    "converted_images": {
        "told": "images were changed as they were read",
        "advice": "look at one of each kind",
    },
    "unlabelled_images": {
        "told": "images have no line in the labels and were left out",
        "advice": "label them, or take them out",
    },
    "absent_images": {
        "told": "lines of the labels have no image of their own",
        "advice": "bring the images, take out the lines, or set source.images.file_column to the column with their paths",
    },
    "blank_lines": {
        "told": "lines are blank and no rows",
        "advice": "see whether something is missing there",
    },
    "ragged_lines": {
        "told": "lines have more or fewer fields than there are columns and were left out",
        "advice": "mend them, such as by quotation marks around values that hold the delimiter, or set source.csv.delimiter or quote",
    },
    "trailing_delimiters": {
        "told": "lines end with a delimiter behind the last column, which was cut as nothing follows it",
        "advice": "nothing needs to be done, unless a column's name is missing",
    },
    "header_rows": {
        "told": "rows are the header line again",
        "advice": "take these lines out of the file",
    },
    "unmarked_rows": {
        "told": "rows have no value in source.watermark, so no run reads them",
        "advice": "give them one, or set source.watermark to a column that every row has",
    },
    "unmatched_dropped": {
        "told": "rows have no match in the joined source and were left out (how: inner)",
        "advice": "bring the missing rows there, or set how: left in source.join, which keeps rows without a match",
    },
    "unmatched_kept": {
        "told": "rows have no match in the joined source, so its columns are empty beside them",
        "advice": "see whether both write the value of `on` in the same way, and bring the missing rows",
    },
    "unmatched_joined": {
        "told": "rows of the joined source have no row that they belong to and were left out",
        "advice": "see whether both write the value of `on` in the same way",
    },
    "rounded_numbers": {
        "told": "whole numbers are rounded, as float32 holds seven digits",
        "advice": "take the column out of intake.numeric if it is an identifier; a time belongs into intake.dates",
    },
    "identifier_numbers": {
        "told": "values have more digits than any floating point number holds, so they are no quantities",
        "advice": "take the column out of intake.numeric, or list it under intake.categorical",
    },
}
"""What is said of each check."""


def present(values: pa.Array) -> Mask:
    """Which values are there [rows]: neither missing, nor NaN, nor blank text."""
    there = values.is_valid()
    if pa.types.is_floating(values.type):
        there = pc.and_(there, pc.fill_null(pc.invert(pc.is_nan(values)), False))
    elif pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        there = pc.and_(there, pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(values), ""), False))
    return np.asarray(there.to_numpy(zero_copy_only=False))


def whole_numbers(values: pa.Array) -> npt.NDArray[np.float64]:
    """Values as float64 [rows], NaN for whatever is not written as a whole number.

    A fraction is rounded by any float; that a whole number becomes another one is what nobody expects.
    """
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        whole = pc.match_substring_regex(values, r"^\s*[+-]?\d{8,}\s*$")
        digits = pc.utf8_trim_whitespace(
            pc.if_else(pc.fill_null(whole, False), values, pa.scalar(None, values.type))
        )
        values = pc.cast(digits, pa.float64())
    found = pc.cast(values, pa.float64(), safe=False)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.float64)


def examples_of(mask: Mask, values: pa.Array, source: pa.Table) -> list[str]:
    """The first values where the mask holds, each with its line."""
    found = []
    for place in np.flatnonzero(mask)[:EXAMPLES]:
        value = values[int(place)].as_py()
        shown = "no value" if value is None else repr(str(value)[:SHOWN_CHARACTERS])
        line = source[LINE][int(place)].as_py() if LINE in source.column_names else int(place) + 1
        found.append(f"{shown} in line {line}")
    return found
