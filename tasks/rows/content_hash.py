"""What a source holds about a row, as a number.

The same for ever, whatever a project's intake makes of the row.

Splits and comparisons go by it. It is taken before anything is converted, so another image size, another kind
of a column or a new one leaves it as it is; and rows that hold the same have the same.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.rows.sql import open_database

COLUMN = "origin_content"
"""Column of the data set (uint64), beside `origin` and `origin_line`."""
BETWEEN = b"\x1f"
"""Between the values of a row, so that `ab, c` is not `a, bc`."""
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$"
LONGEST_NUMBER = 15
"""Characters; a longer text is compared as text: as a float, two identifiers could be one."""
EXACT = 2**53
"""From here on float64 rounds some whole numbers."""
MOST_OF_A_BYTE = 255


def digest_of_bytes(data: bytes) -> int:
    """Of a file's bytes."""
    return int.from_bytes(hashlib.md5(data, usedforsecurity=False).digest()[:8])


def digests(columns: Sequence[pa.ChunkedArray]) -> pa.UInt64Array:
    """Of each row's values in some columns [rows]; md5, because it is the same in every version of every library."""
    joined = pc.binary_join_element_wise(*map(as_bytes, columns), pa.scalar(BETWEEN, pa.large_binary()))
    with open_database(threads=1) as connection:
        connection.register("contents", pa.table({"content": joined}))
        found = connection.execute("SELECT md5_number_lower(content) AS digest FROM contents").fetchnumpy()
    return pa.array(np.asarray(found["digest"]), pa.uint64())


def as_bytes(column: pa.ChunkedArray) -> pa.LargeBinaryArray:
    """A column's values as bytes [rows], nothing where one is missing.

    Texts in small letters with single blanks, so that a copy that differs in these is a copy; a number is the
    same number as text, whole or as a float.
    """
    values = column.combine_chunks()
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        return lists_as_bytes(values)
    if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
        return pc.fill_null(values.cast(pa.large_binary()), b"")
    if pa.types.is_nested(values.type):
        return bytes_as_python(values)
    if pa.types.is_float64(values.type) or (pa.types.is_integer(values.type) and is_exact(values)):
        return numbers_as_bytes(values.cast(pa.float64(), safe=False))
    distinct = values.cast(
        pa.string()
    ).dictionary_encode()  # to look at each value once is a third of the work
    cleaned = pc.utf8_trim_whitespace(
        pc.replace_substring_regex(pc.utf8_lower(distinct.dictionary), r"\s+", " ")
    )
    numeric = pc.and_(
        pc.match_substring_regex(cleaned, NUMBER), pc.less_equal(pc.utf8_length(cleaned), LONGEST_NUMBER)
    )
    numbers = pc.cast(pc.if_else(numeric, cleaned, pa.scalar(None, pa.string())), pa.float64())
    found = pc.if_else(
        pc.fill_null(numeric, False), numbers_as_bytes(numbers), cleaned.cast(pa.large_binary())
    )
    return pc.fill_null(found.take(distinct.indices), b"")


def is_exact(whole: pa.Array) -> bool:
    """Whether float64 tells all of some whole numbers apart."""
    bounds = pc.min_max(whole).as_py()
    return bounds["min"] is None or max(-bounds["min"], bounds["max"]) < EXACT


def bytes_as_python(values: pa.Array) -> pa.LargeBinaryArray:
    """Values of a type that has no bytes of its own, as Python writes them."""
    return pa.array(
        [b"" if value is None else str(value).encode() for value in values.to_pylist()], pa.large_binary()
    )


def numbers_as_bytes(numbers: pa.DoubleArray) -> pa.LargeBinaryArray:
    """Eight bytes a number, none for a missing one or NaN."""
    there = pc.fill_null(pc.invert(pc.is_nan(numbers)), False).to_numpy(zero_copy_only=False)
    ends = np.cumsum([0, *np.where(there, 8, 0)], dtype=np.int64)
    values = pc.fill_null(numbers, 0.0).to_numpy(zero_copy_only=False)[there] + 0.0  # -0.0 is 0.0
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(numbers), [None, pa.py_buffer(ends), pa.py_buffer(values.tobytes())]
    )


def lists_as_bytes(values: pa.ListArray) -> pa.LargeBinaryArray:
    """Pixels and the like: bytes where they are whole numbers up to 255, whichever type holds them."""
    items = values.flatten()
    if not (pa.types.is_integer(items.type) or pa.types.is_floating(items.type)) or items.null_count:
        return bytes_as_python(values)
    numbers = items.to_numpy()
    small = (
        numbers.dtype.kind in "iu" and len(numbers) and numbers.min() >= 0 and numbers.max() <= MOST_OF_A_BYTE
    )
    kept = np.ascontiguousarray(numbers, np.uint8 if small else None)
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    ends = np.cumsum([0, *lengths], dtype=np.int64) * kept.itemsize
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(values), [None, pa.py_buffer(ends), pa.py_buffer(kept.tobytes())]
    )
