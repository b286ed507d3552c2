"""Timestamps from texts and numbers by a format, strictly: years have four digits, and 31 February is no day.

C's strptime, which Arrow's own is, takes 1/1/11 for the year 11 and 31 February for 3 March; so a format
becomes a pattern, whose groups are put together as ISO 8601, which Arrow checks.
"""

import re
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

TIMESTAMP = pa.timestamp("us")
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
    "z": r"(?P<z>Z|UTC|GMT|[+-]\d{2}:?\d{2})",
    "a": r"[A-Za-z]+\.?",
    "%": "%",
}
SAME = {
    "B": "%b",
    "A": "%a",
    "F": "%Y-%m-%d",
    "T": "%H:%M:%S",
    "D": "%m/%d/%y",
    "R": "%H:%M",
    "e": "%d",
    "h": "%b",
}
ISO = (
    r"^(?P<Y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})"
    r"(?:[T ](?P<H>\d{2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?(?: ?(?P<z>Z|UTC|GMT|[+-]\d{2}:?\d{2}))?)?$"
)
VALID = (
    r"^\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|[12]\d))"
    r" (?:[01]\d|2[0-3])(?::[0-5]\d){2}\."
)
MONTHS = pa.array(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])
PIVOT = 69
"""Two-digit years from here on are of the last century, as in POSIX."""
UNITS = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9, "excel": 86400.0}
"""Formats of numbers: what stands for one of them, in seconds. All count from 1970, `excel` in days from the
end of 1899."""
EXCEL_EPOCH_S = -25569 * 86400.0
LATEST_S = 253402300800.0
"""The year 10000; a timestamp further away than this on either side of 1970 is none."""
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"


def read(values: pa.ChunkedArray, form: str | None) -> pa.ChunkedArray | None:
    """timestamp[us] in UTC of texts, numbers, dates or timestamps; null where one is none.

    None for a column of any other type.

    form: of texts a strptime format, none being ISO 8601; of numbers and digits one of UNITS, none being
    seconds. Raises ValueError.
    """
    kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return values.cast(pa.timestamp("us", tz=getattr(kind, "tz", None)), safe=False).cast(TIMESTAMP)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        if form is None or form in UNITS:
            return from_numbers(values.cast(pa.float64(), safe=False), form or "seconds")
        return parse_texts(pc.cast(whole_numbers(values), pa.string()), form)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return None
    texts = pc.utf8_trim_whitespace(values.cast(pa.string()))
    if form in UNITS:
        numbers = pc.if_else(pc.match_substring_regex(texts, NUMBER), texts, pa.scalar(None, pa.string()))
        return from_numbers(numbers.cast(pa.float64()), form)
    return parse_texts(texts, form)


def whole_numbers(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """int64 of numbers without a fraction, such as 20200131.0 of a column with gaps.

    Null in place of the others.
    """
    if pa.types.is_integer(values.type):
        return values.cast(pa.int64())
    fits = pc.and_(pc.equal(values, pc.floor(values)), pc.less(pc.abs(values), 2.0**53))
    return pc.if_else(fits, values, pa.scalar(None, values.type)).cast(pa.int64())


def from_numbers(numbers: pa.ChunkedArray, unit: str) -> pa.ChunkedArray:
    """Timestamps of float64 numbers in one of UNITS."""
    seconds = pc.add(pc.multiply(numbers, UNITS[unit]), EXCEL_EPOCH_S if unit == "excel" else 0.0)
    known = pc.and_(pc.is_finite(seconds), pc.less(pc.abs(seconds), LATEST_S))
    micro = pc.round(pc.multiply(pc.if_else(known, seconds, pa.scalar(None, pa.float64())), 1e6))
    return micro.cast(pa.int64()).cast(TIMESTAMP)


def parse_texts(texts: pa.ChunkedArray, form: str | None) -> pa.ChunkedArray:
    """timestamp[us] in UTC of texts in a strptime format, or ISO 8601; null where one is not in it or no day.

    Raises ValueError.
    """
    if form is None:
        try:
            return texts.cast(TIMESTAMP)
        except pa.ArrowInvalid:
            return from_groups(texts, ISO)
    return from_groups(texts, pattern(form))


@cache
def pattern(form: str) -> str:
    """A strptime format as a regular expression with a group a field.

    Raises ValueError for a field that is not known.
    """
    form = re.sub(r"%([BAFTDReh])", lambda found: SAME[found[1]], form)
    parts = re.split(r"%(.)", form)
    if unknown := [field for field in parts[1::2] if field not in GROUPS]:
        raise ValueError(
            f"format {form!r}: %{unknown[0]} is not known; known are {', '.join(f'%{field}' for field in [*GROUPS, *SAME])}"
        )
    made = "".join(GROUPS[part] if number % 2 else re.escape(part) for number, part in enumerate(parts))
    # Digits that touch have fixed widths, or 202011 could be 1 January as %Y%m%d.
    for field in "mdHIMS":
        touching = rf"%{field}%[YymdHIMSf]|%[YymdHIMSf]%{field}"
        made = made.replace(GROUPS[field], rf"(?P<{field}>\d{{2}})") if re.search(touching, form) else made
    return f"^{made}$"


def from_groups(texts: pa.ChunkedArray, expression: str) -> pa.ChunkedArray:
    """The timestamps that the groups of an expression tell."""
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    found = pc.extract_regex(texts, expression)
    groups = {field.name: pc.struct_field(found, field.name) for field in found.type}
    year, month = year_of(groups), month_of(groups)
    day = pc.utf8_lpad(groups.get("d", pa.scalar("01")), 2, "0")
    date = pc.binary_join_element_wise(year, month, day, "-")
    time = pc.binary_join_element_wise(hour_of(groups), two_digits(groups, "M"), two_digits(groups, "S"), ":")
    fraction = pc.utf8_slice_codeunits(pc.utf8_rpad(groups.get("f", pa.scalar("0")), 6, "0"), 0, 6)
    clock = pc.binary_join_element_wise(time, fraction, ".")
    text = pc.binary_join_element_wise(date, clock, " ")
    text = text if isinstance(text, pa.Array) else pa.array([text.as_py()] * len(texts), pa.string())
    timestamps = existing_dates(pc.if_else(pc.is_valid(found), text, pa.scalar(None, pa.string())))
    return pa.chunked_array([to_utc(timestamps, groups["z"]) if "z" in groups else timestamps])


def existing_dates(text: pa.Array) -> pa.Array:
    """Timestamps of ISO texts; null where a date or time is none, such as 31 February."""
    try:
        return text.cast(TIMESTAMP)
    except pa.ArrowInvalid:
        text = pc.if_else(pc.match_substring_regex(text, VALID), text, pa.scalar(None, pa.string()))
        return pc.if_else(leap_day_missing(text), pa.scalar(None, pa.string()), text).cast(TIMESTAMP)


def leap_day_missing(text: pa.Array) -> pa.Array:
    """Where a text is 29 February of a year that has none."""
    year = pc.utf8_slice_codeunits(text, 0, 4).cast(pa.int64())
    leap = pc.or_(pc.and_(divides(year, 4), pc.invert(divides(year, 100))), divides(year, 400))
    return pc.and_(pc.invert(leap), pc.equal(pc.utf8_slice_codeunits(text, 5, 10), "02-29"))


def divides(year: pa.Array, number: int) -> pa.Array:
    """Whether a number divides the years."""
    return pc.equal(pc.multiply(pc.divide(year, number), number), year)


def two_digits(groups: dict[str, pa.Array], field: str) -> pa.Array | pa.Scalar:
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
        return two_digits(groups, "m") if "m" in groups else pa.scalar("01")
    number = pc.index_in(pc.utf8_lower(pc.utf8_slice_codeunits(groups["b"], 0, 3)), MONTHS)
    return pc.utf8_lpad(pc.add(number, 1).cast(pa.string()), 2, "0")


def hour_of(groups: dict[str, pa.Array]) -> pa.Array | pa.Scalar:
    """Two digits of 24 hours. Of 12 hours, 12 am is 0 and 13 pm is none."""
    if "I" not in groups:
        return two_digits(groups, "H")
    hour = groups["I"].cast(pa.int64())
    hour = pc.if_else(pc.and_(pc.greater(hour, 0), pc.less(hour, 13)), hour, pa.scalar(99, pa.int64()))
    hour = pc.if_else(pc.equal(hour, 12), pa.scalar(0, pa.int64()), hour)
    if "p" in groups:
        hour = pc.add(hour, pc.if_else(pc.equal(pc.utf8_lower(groups["p"]), "p"), 12, 0))
    return pc.utf8_lpad(hour.cast(pa.string()), 2, "0")


def to_utc(timestamps: pa.Array, zone: pa.Array) -> pa.Array:
    """Timestamps of other zones in UTC."""
    digits = pc.replace_substring(zone, ":", "")
    offset = pc.if_else(pc.match_substring_regex(digits, r"^[+-]\d{4}$"), digits, pa.scalar("+0000"))
    minutes = pc.add(
        pc.multiply(pc.utf8_slice_codeunits(offset, 1, 3).cast(pa.int64()), 60),
        pc.utf8_slice_codeunits(offset, 3, 5).cast(pa.int64()),
    )
    minutes = pc.if_else(pc.starts_with(offset, "-"), pc.negate(minutes), minutes)
    return pc.subtract(timestamps, pc.multiply(minutes, 60_000_000).cast(pa.duration("us")))
