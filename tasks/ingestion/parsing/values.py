"""Values of one column, from texts or from another type, in the type that a contract names.

What does not fit becomes null.

Callers compare the nulls before and after, so nothing is lost in silence.
"""

import re
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from configs.source import ColumnConfig
from tasks.rows.timestamps import parse_texts

TYPES = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us"),
}
WANTED = {
    "integer": "whole number",
    "number": "finite number",
    "boolean": "true or false",
    "timestamp": "timestamp",
    "text": "text",
}
TRUE = ("true", "t", "yes", "y", "1")
FALSE = ("false", "f", "no", "n", "0")
LARGEST = str(2**63 - 1)
BLANKS = " \t\n\r\f\v\u00a0\ufeff"


def is_text(found: pa.DataType) -> bool:
    """Whether values are texts."""
    return bool(pa.types.is_string(found))


def without_missing(values: pa.ChunkedArray, spec: ColumnConfig) -> pa.ChunkedArray:
    """Null in place of what stands for no value.

    Texts trimmed, without prefix and suffix, and numbers such as -999 by their value.
    """
    amounts = [float(text) for text in spec.missing if re.fullmatch(r"[+-]?\d+(\.\d+)?", text)]
    if is_text(values.type):
        values = null_where_missing(pc.utf8_trim(values, BLANKS), spec.missing)
        if spec.prefix:
            values = null_where_missing(cut_prefix(values, spec.prefix), spec.missing)
        if spec.suffix:
            values = null_where_missing(cut_suffix(values, spec.suffix), spec.missing)
        if spec.replace:
            values = null_where_missing(replace_texts(values, spec.replace), spec.missing)
        if not amounts or spec.type not in ("integer", "number"):
            return values
        same = pc.fill_null(
            pc.is_in(parse_numbers(plain_decimals(values, spec)), pa.array(amounts)), False
        )  # -999.0 where -999 is declared
        return pc.if_else(same, pa.scalar(None, values.type), values)
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return values
    if not amounts:
        return values
    return pc.if_else(
        pc.is_in(values.cast(pa.float64(), safe=False), pa.array(amounts)),
        pa.scalar(None, values.type),
        values,
    )


def null_where_missing(texts: pa.ChunkedArray, missing: tuple[str, ...]) -> pa.ChunkedArray:
    """Null in place of each of the `missing` texts."""
    if not missing:
        return texts
    return pc.if_else(
        pc.is_in(texts, pa.array([text.strip(BLANKS) for text in missing])),
        pa.scalar(None, texts.type),
        texts,
    )


def replace_texts(texts: pa.ChunkedArray, replaced: Mapping[str, str]) -> pa.ChunkedArray:
    """Texts, each that is replaced as the text in its place."""
    places = pc.index_in(texts, pa.array([text.strip(BLANKS) for text in replaced]))
    return pc.coalesce(pc.take(pa.array(list(replaced.values())), places), texts)


def cut_prefix(texts: pa.ChunkedArray, prefix: str) -> pa.ChunkedArray:
    """Texts without the prefix and the blanks behind it; a sign before it stays, so that -$5 is -5."""
    sign = rf"^([+-]?)[{BLANKS}]*{re.escape(prefix.strip(BLANKS))}[{BLANKS}]*"
    return pc.replace_substring_regex(texts, sign, r"\1")


def cut_suffix(texts: pa.ChunkedArray, suffix: str) -> pa.ChunkedArray:
    """Texts without the suffix, and without the blanks before it."""
    suffix = suffix.strip(BLANKS)
    without = pc.utf8_rtrim(pc.utf8_slice_codeunits(texts, 0, -len(suffix)), BLANKS)
    return pc.if_else(pc.ends_with(texts, suffix), without, texts)


def from_text(texts: pa.ChunkedArray, spec: ColumnConfig) -> pa.ChunkedArray:
    """Texts in the contract's type; null where one does not fit."""
    match spec.type:
        case "text":
            return texts
        case "boolean":
            return booleans(texts)
        case "timestamp":
            return parse_texts(texts, spec.format)
    digits = plain_decimals(texts, spec)
    return integers(digits) if spec.type == "integer" else parse_numbers(digits)


def plain_decimals(texts: pa.ChunkedArray, spec: ColumnConfig) -> pa.ChunkedArray:
    """Numbers as programs write them.

    One with separators in the wrong places stays as it is, and so does not fit.

    1.234 is a thousand where the point separates thousands, but 1.5 is not fifteen.
    """
    point = re.escape(spec.decimal)
    if spec.thousands:
        group = re.escape(spec.thousands)
        grouped = pc.match_substring_regex(
            texts, rf"^[+-]?\d{{1,3}}({group}\d{{2,3}})*{group}\d{{3}}({point}\d*)?$"
        )
        texts = pc.if_else(grouped, pc.replace_substring(texts, spec.thousands, ""), texts)
    if spec.decimal != ".":
        decimal = pc.match_substring_regex(texts, rf"^[+-]?\d*({point}\d*)?([eE][+-]?\d+)?$")
        texts = pc.if_else(
            decimal, pc.replace_substring(texts, spec.decimal, "."), pa.scalar(None, texts.type)
        )
    return texts


def integers(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """int64 of texts such as 12, +12 and 12.0."""
    try:
        if not pc.any(pc.match_substring(texts, "x", ignore_case=True)).as_py():
            return texts.cast(pa.int64())
    except pa.ArrowInvalid:
        pass
    whole = pc.if_else(
        pc.match_substring_regex(texts, r"^[+-]?\d+(\.0*)?$"), texts, pa.scalar(None, texts.type)
    )
    whole = pc.replace_substring_regex(
        pc.replace_substring_regex(whole, r"\.0*$", ""), r"^\+?(-?)0*(\d)", r"\1\2"
    )
    size = pc.utf8_length(pc.utf8_ltrim(whole, "-"))
    small = pc.or_(
        pc.less(size, 19), pc.and_(pc.equal(size, 19), pc.less_equal(pc.utf8_ltrim(whole, "-"), LARGEST))
    )
    return pc.if_else(small, whole, pa.scalar(None, texts.type)).cast(pa.int64())


def parse_numbers(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """float64 of texts; infinities and `nan` do not fit, since no model can take them."""
    try:
        values = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        number = pc.match_substring_regex(texts, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$")
        values = pc.if_else(number, texts, pa.scalar(None, texts.type)).cast(pa.float64())
    return finite(values)


def finite(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Null in place of infinities and NaN."""
    return pc.if_else(pc.is_finite(values), values, pa.scalar(None, values.type))


def booleans(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Truth of texts such as yes and no, in any case."""
    lower = pc.utf8_lower(texts)
    true = pc.is_in(lower, pa.array(TRUE))
    return pc.if_else(pc.or_(true, pc.is_in(lower, pa.array(FALSE))), true, pa.scalar(None, pa.bool_()))


def from_typed(values: pa.ChunkedArray, wanted: str) -> pa.ChunkedArray | None:
    """Values of another type in the contract's, null where one does not fit.

    None where the types do not go together.
    """
    found = values.type
    number = pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_decimal(found)
    if wanted == "timestamp" and (pa.types.is_timestamp(found) or pa.types.is_date(found)):
        return values.cast(pa.timestamp("us", tz=getattr(found, "tz", None)), safe=False).cast(
            pa.timestamp("us")
        )
    if wanted == "boolean" and (pa.types.is_boolean(found) or pa.types.is_integer(found)):
        return values if pa.types.is_boolean(found) else one_or_zero(values)
    if wanted == "text" and pa.types.is_integer(found):
        return values.cast(pa.string())
    if wanted == "number" and number:
        return (
            finite(values.cast(pa.float64(), safe=False))
            if not pa.types.is_integer(found)
            else exact(values, pa.float64())
        )
    return exact(values, pa.int64()) if wanted == "integer" and number else None


def one_or_zero(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Truth of 1 and 0."""
    return pc.if_else(
        pc.is_in(values, pa.array([0, 1], values.type)), pc.equal(values, 1), pa.scalar(None, pa.bool_())
    )


def exact(values: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """Numbers of another type; null in place of those that would change."""
    try:
        return values.cast(wanted)
    except pa.ArrowInvalid:
        decimals = (
            pc.cast(values, pa.decimal128(38, 10), safe=False) if pa.types.is_decimal(values.type) else values
        )
        as_float = decimals.cast(pa.float64(), safe=False)
        fits = pc.and_(pc.less(pc.abs(as_float), 2.0**53), pc.equal(as_float, pc.round(as_float)))
        return pc.if_else(fits, as_float, pa.scalar(None, pa.float64())).cast(wanted)


def advice(value: str, column: str, spec: ColumnConfig) -> str:
    """The change to the YAML that would take a value, if it is right."""
    key, text = f"source.columns.{column}", value.strip(BLANKS)
    if spec.type in ("integer", "number") and (change := number_change(text, spec)):
        return f"set {key}.{change}"
    if spec.type == "timestamp" and any(map(str.isdigit, text)):
        return f"set {key}.format to how it is written, such as %d/%m/%Y %H:%M"
    return f"if it stands for no value, add it to {key}.missing; if it is right, set {key}.type to text"


def number_change(text: str, spec: ColumnConfig) -> str:
    """The key of a column's contract, and its value, that would take a text for a number.

    Empty where none would.
    """
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", text) and not spec.thousands:
        return "thousands to ','"
    if re.fullmatch(r"[+-]?\d+,\d+", text) and spec.decimal == ".":
        return "decimal to ','"
    if unit := re.fullmatch(r"[+-]?[\d.,]*\d\s*([^\d\s.,][^\d]*|\.)", text):
        return f"suffix to {unit[1]!r}"
    if currency := re.fullmatch(r"[+-]?([^\d\s.,+-]{1,4})\s*[+-]?[\d.,]*\d", text):
        return f"prefix to {currency[1]!r}"
    if spec.type == "integer" and re.fullmatch(r"[+-]?\d*\.\d+", text):
        return "type to number"
    return ""
