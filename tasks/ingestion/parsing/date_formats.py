"""The formats that dates are looked for in, and which of them some values fit."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from itertools import product

import pyarrow as pa
import pyarrow.compute as pc

from tasks.rows.timestamps import ISO, UNITS, pattern, read

ISO_8601 = ""
"""Stands for the format that needs no name."""
DAYS = (
    "%Y-%m-%d",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d.%m.%Y",
    "%m.%d.%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d.%m.%y",
    "%d-%m-%y",
    "%m-%d-%y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d/%b/%Y",
    "%d %b %Y",
    "%d %b %y",
    "%d. %b %Y",
    "%d%b%Y",
    "%b %d, %Y",
    "%b %d %Y",
    "%a, %d %b %Y",
    "%a %b %d %Y",
    "%Y-%m",
    "%m/%Y",
    "%b %Y",
    "%b-%Y",
    "%Y%m%d",
    "%Y%m",
)
"""Two-digit years come last: a year that is written first has four, or 25/03/12 could always be read in a
third way."""
TIMES = (
    "",
    " %H:%M",
    " %H:%M:%S",
    " %I:%M %p",
    " %I:%M%p",
    " %I:%M:%S %p",
    " %H:%M:%S.%f",
    ", %H:%M",
    ", %H:%M:%S",
    "T%H:%M",
    "T%H:%M:%S",
    "T%H:%M:%S.%f",
    ":%H:%M:%S",
)
ZONES = ("", "%z", " %z")
FORMATS = (
    *(f"{day}{time}{zone}" for zone, day, time in product(ZONES, DAYS, TIMES) if time or not zone),
    "%Y%m%d%H%M%S",
)
RANGES = {
    "seconds": (1e8, 1e10),
    "milliseconds": (1e11, 1e13),
    "microseconds": (1e14, 1e16),
    "nanoseconds": (1e17, 1e19),
    "excel": (7_000, 110_000),
}
"""Numbers that are taken for dates in a unit: 1973 to 2286, of Excel's days 1919 to 2201. No number is in two
of them."""
SINCE_1970 = ("seconds", "milliseconds", "microseconds", "nanoseconds")
YEARS = (1_800, 2_200)
ORDER = (ISO_8601, *FORMATS, "%Y", *RANGES)
DIGITS = r"[+-]?\d+(\.\d*)?"
SHAPE = 60
"""Characters; a longer text is no date."""
LOOKED_AT = 20
"""Different values that rule out most formats before the others are tried on all values."""


def likely_formats(values: pa.ChunkedArray) -> list[str]:
    """Formats that at least one of a column's first different values fits; ISO 8601 is the empty one."""
    some = [str(value) for value in pc.unique(values.slice(0, 1000)).drop_null().to_pylist()]
    texts = [text.strip() for text in some[:: max(1, len(some) // LOOKED_AT)]]
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        return number_formats(texts)
    found = {form for text in texts for form in formats_of_shape(shape(text))}
    found |= set(number_formats(text for text in texts if re.fullmatch(DIGITS, text)))
    return sorted(found, key=rank)


def rank(form: str) -> int:
    """Which of several formats that read values alike is named: ISO 8601 first."""
    return ORDER.index(form)


def shape(text: str) -> str:
    """A text with every digit and name as any other: what decides whether it matches a format's pattern."""
    return re.sub(r"(?!UTC|GMT)[A-Za-z]{3,}", "Jan", re.sub(r"\d", "0", text))[:SHAPE]


@lru_cache(maxsize=4096)
def formats_of_shape(text: str) -> tuple[str, ...]:
    """The formats whose patterns match a shape."""
    iso = (ISO_8601,) if re.match(ISO, text) else ()
    return iso + tuple(form for form in by_signs().get(signs(text), ()) if re.match(pattern(form), text))


@cache
def by_signs() -> Mapping[tuple[int, ...], list[str]]:
    """The formats by the signs between their fields.

    A pattern takes a while to be made, and few have the signs of a text.
    """
    found = defaultdict[tuple[int, ...], list[str]](list)
    for form in FORMATS:
        found[signs(form)].append(form)
    return found


def signs(text: str) -> tuple[int, ...]:
    """How many slashes, commas and blanks there are; no field of a format takes any of them."""
    return tuple(text.count(sign) for sign in "/, ")


def number_formats(texts: Iterable[str]) -> list[str]:
    """Formats that some numbers can have: a unit, a year, or digits such as 20200131."""
    numbers = [float(text) for text in texts]
    found = [unit for unit, (low, high) in RANGES.items() if any(low <= number < high for number in numbers)]
    if any(YEARS[0] <= number < YEARS[1] for number in numbers):
        found.append("%Y")
    if any(YEARS[0] * 100 <= number < YEARS[1] * 100 for number in numbers):
        found.append("%Y%m")
    if any(YEARS[0] * 10_000 <= number < YEARS[1] * 10_000 for number in numbers):
        found.append("%Y%m%d")
    return found


def fitting(values: pa.ChunkedArray, form: str) -> pa.ChunkedArray:
    """The timestamps of the values that fit a format.

    Numbers fit a unit in its range alone, so that a column of amounts fits none.
    """
    found = read(values, form or None)
    assert found is not None  # noqa: S101 - texts and numbers are all that is looked at
    if form not in UNITS:
        return found
    texts = pa.types.is_string(values.type)
    numbers = pc.utf8_trim_whitespace(values) if texts else values
    if texts:
        numbers = pc.if_else(
            pc.match_substring_regex(numbers, f"^{DIGITS}$"), numbers, pa.scalar(None, pa.string())
        )
    numbers = numbers.cast(pa.float64(), safe=False)
    low, high = RANGES[form]
    inside = pc.and_(pc.greater_equal(numbers, low), pc.less(numbers, high))
    return pc.if_else(pc.fill_null(inside, False), found, pa.scalar(None, found.type))
