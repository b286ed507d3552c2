"""Timestamps from texts by a format, strictly: years have four digits, and 31 February is no day.

C's strptime, which Arrow's own is, takes 1/1/11 for the year 11 and 31 February for 3 March; so a format becomes a pattern, whose groups
are put together as ISO 8601, which Arrow checks.
"""

import re
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

MOMENT = pa.timestamp("us")
GROUPS = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d{2})",
    "m": r"(?P<m>\d{1,2})",
    "b": r"(?P<b>[A-Za-z]+)\.?",
    "d": r"(?P<d>\d{1,2})",
    "H": r"(?P<H>\d{1,2})",
    "I": r"(?P<I>\d{1,2})",
    "M": r"(?P<M>\d{1,2})",
    "S": r"(?P<S>\d{1,2})",
    "f": r"(?P<f>\d{1,9})",
    "p": r"(?P<p>[AaPp])\.?[Mm]\.?",
    "z": r"(?P<z>Z|[+-]\d{2}:?\d{2})",
    "a": r"[A-Za-z]+\.?",
    "%": "%",
}
SAME = {"B": "%b", "A": "%a", "F": "%Y-%m-%d", "T": "%H:%M:%S", "D": "%m/%d/%y", "R": "%H:%M", "e": "%d", "h": "%b"}
ISO = (
    r"^(?P<Y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})"
    r"(?:[T ](?P<H>\d{2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?(?: ?(?P<z>Z|[+-]\d{2}:?\d{2}))?)?$"
)
VALID = (
    r"^\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|[12]\d))"
    r" (?:[01]\d|2[0-3])(?::[0-5]\d){2}\."
)
MONTHS = pa.array(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])
PIVOT = 69
"""Two-digit years from here on are of the last century, as in POSIX."""


def parsed(texts: pa.ChunkedArray, form: str | None) -> pa.ChunkedArray:
    """timestamp[us] in UTC of texts in a strptime format, or ISO 8601; null where one is not in it or no day. Raises ValueError."""
    if form is None:
        try:
            return texts.cast(MOMENT)
        except pa.ArrowInvalid:
            return assembled(texts, ISO)
    return assembled(texts, pattern(form))


@cache
def pattern(form: str) -> str:
    """A strptime format as a regular expression with a group a field. Raises ValueError for a field that is not known."""
    form = re.sub(r"%([BAFTDReh])", lambda found: SAME[found[1]], form)
    parts = re.split(r"%(.)", form)
    if unknown := [field for field in parts[1::2] if field not in GROUPS]:
        raise ValueError(f"format {form!r}: %{unknown[0]} is not known; known are {', '.join(f'%{field}' for field in [*GROUPS, *SAME])}")
    return "^" + "".join(GROUPS[part] if number % 2 else re.escape(part) for number, part in enumerate(parts)) + "$"


def assembled(texts: pa.ChunkedArray, expression: str) -> pa.ChunkedArray:
    """The moments that the groups of an expression tell."""
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    found = pc.extract_regex(texts, expression)
    groups = {field.name: pc.struct_field(found, field.name) for field in found.type}
    year, month = year_of(groups), month_of(groups)
    day = pc.utf8_lpad(groups.get("d", pa.scalar("01")), 2, "0")
    date = pc.binary_join_element_wise(year, month, day, "-")
    time = pc.binary_join_element_wise(hour_of(groups), two(groups, "M"), two(groups, "S"), ":")
    fraction = pc.utf8_slice_codeunits(pc.utf8_rpad(groups.get("f", pa.scalar("0")), 6, "0"), 0, 6)
    clock = pc.binary_join_element_wise(time, fraction, ".")
    text = pc.binary_join_element_wise(date, clock, " ")
    text = text if isinstance(text, pa.Array) else pa.array([text.as_py()] * len(texts), pa.string())
    moments = existing(pc.if_else(pc.is_valid(found), text, pa.scalar(None, pa.string())))
    return pa.chunked_array([shifted(moments, groups["z"]) if "z" in groups else moments])


def existing(text: pa.Array) -> pa.Array:
    """Moments of ISO texts; null where a date or time is none, such as 31 February."""
    try:
        return text.cast(MOMENT)
    except pa.ArrowInvalid:
        text = pc.if_else(pc.match_substring_regex(text, VALID), text, pa.scalar(None, pa.string()))
        return pc.if_else(leap_day_missing(text), pa.scalar(None, pa.string()), text).cast(MOMENT)


def leap_day_missing(text: pa.Array) -> pa.Array:
    """Where a text is 29 February of a year that has none."""
    year = pc.utf8_slice_codeunits(text, 0, 4).cast(pa.int64())
    leap = pc.or_(pc.and_(divides(year, 4), pc.invert(divides(year, 100))), divides(year, 400))
    return pc.and_(pc.invert(leap), pc.equal(pc.utf8_slice_codeunits(text, 5, 10), "02-29"))


def divides(year: pa.Array, number: int) -> pa.Array:
    """Whether a number divides the years."""
    return pc.equal(pc.multiply(pc.divide(year, number), number), year)


def two(groups: dict[str, pa.Array], field: str) -> pa.Array | pa.Scalar:
    """A field with two digits; 00 where there is none."""
    if field not in groups:
        return pa.scalar("00")
    return pc.utf8_lpad(pc.coalesce(empty_as_null(groups[field]), pa.scalar("0")), 2, "0")


def empty_as_null(values: pa.Array) -> pa.Array:
    """An optional group that took no part is empty."""
    return pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)


def year_of(groups: dict[str, pa.Array]) -> pa.Array | pa.Scalar:
    """Four digits."""
    if "y" not in groups:
        return groups.get("Y", pa.scalar("1900"))
    century = pc.if_else(pc.less(groups["y"].cast(pa.int64()), PIVOT), "20", "19")
    return pc.binary_join_element_wise(century, groups["y"], "")


def month_of(groups: dict[str, pa.Array]) -> pa.Array | pa.Scalar:
    """Two digits; null where a name is no month's."""
    if "b" not in groups:
        return two(groups, "m") if "m" in groups else pa.scalar("01")
    number = pc.index_in(pc.utf8_lower(pc.utf8_slice_codeunits(groups["b"], 0, 3)), MONTHS)
    return pc.utf8_lpad(pc.add(number, 1).cast(pa.string()), 2, "0")


def hour_of(groups: dict[str, pa.Array]) -> pa.Array | pa.Scalar:
    """Two digits of 24 hours. Of 12 hours, 12 am is 0 and 13 pm is none."""
    if "I" not in groups:
        return two(groups, "H")
    hour = groups["I"].cast(pa.int64())
    hour = pc.if_else(pc.and_(pc.greater(hour, 0), pc.less(hour, 13)), hour, pa.scalar(99, pa.int64()))
    hour = pc.if_else(pc.equal(hour, 12), pa.scalar(0, pa.int64()), hour)
    if "p" in groups:
        hour = pc.add(hour, pc.if_else(pc.equal(pc.utf8_lower(groups["p"]), "p"), 12, 0))
    return pc.utf8_lpad(hour.cast(pa.string()), 2, "0")


def shifted(moments: pa.Array, zone: pa.Array) -> pa.Array:
    """Moments of other zones in UTC."""
    digits = pc.replace_substring(zone, ":", "")
    offset = pc.if_else(pc.match_substring_regex(digits, r"^[+-]\d{4}$"), digits, pa.scalar("+0000"))
    minutes = pc.add(
        pc.multiply(pc.utf8_slice_codeunits(offset, 1, 3).cast(pa.int64()), 60), pc.utf8_slice_codeunits(offset, 3, 5).cast(pa.int64())
    )
    minutes = pc.if_else(pc.starts_with(offset, "-"), pc.negate(minutes), minutes)
    return pc.subtract(moments, pc.multiply(minutes, 60_000_000).cast(pa.duration("us")))
