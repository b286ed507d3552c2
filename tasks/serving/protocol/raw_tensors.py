"""Tensors as bytes, the way the protocol's binary extension and gRPC's raw contents have them.

Numbers stand little-endian in row-major order; a text is its length in four bytes, then itself in UTF-8.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.rows.raw import TEXT
from tasks.serving.protocol.refusal import Refusal, shorten

Values = npt.NDArray[Any]
LENGTH_BYTES = 4
"""Before each text."""


def array_of_bytes(data: memoryview, shape: list[int], dtype: str, where: str) -> Values:
    """A flat array of `dtype`.

    NaN is a missing number, as null is in JSON. Refuses what does not fit the shape.
    """
    count = math.prod(shape)
    if dtype == TEXT:
        return texts_of_bytes(data, count, where)
    kind = np.dtype(dtype).newbyteorder("<")
    if len(data) != count * kind.itemsize:
        raise Refusal(
            400,
            f"{where}: has {len(data)} bytes; shape {shorten(shape)} wants {count * kind.itemsize}, "
            f"{kind.itemsize} a value",
        )
    if dtype == "bool" and (odd := np.frombuffer(data, np.uint8) > 1).any():
        place = int(odd.argmax())
        raise Refusal(400, f"{where}: byte {place} is {data[place]}; want 0 or 1 (BOOL)")
    values = np.frombuffer(data, kind)
    if values.dtype.kind == "f" and (infinite := np.isinf(values)).any():
        place = int(infinite.argmax())
        raise Refusal(
            400, f"{where}: value {place} is {values[place]}; want finite numbers, or NaN for a missing one"
        )
    return values


def texts_of_bytes(data: memoryview, count: int, where: str) -> Values:
    """An array of `count` texts."""
    texts = np.empty(count, object)
    begin = 0
    for number in range(count):
        text = begin + LENGTH_BYTES
        end = text + int.from_bytes(data[begin:text], "little")
        if text > len(data) or end > len(data):
            raise Refusal(
                400,
                f"{where}: text {number} ends after byte {end}, and there are {len(data)}; want {count} texts, "
                f"each with its length in {LENGTH_BYTES} bytes before it",
            )
        texts[number] = text_of_bytes(data[text:end], number, where)
        begin = end
    if begin != len(data):
        raise Refusal(400, f"{where}: has {len(data)} bytes; its {count} texts end at byte {begin}")
    return texts


def text_of_bytes(data: memoryview | bytes, number: int, where: str) -> str:
    """A text in UTF-8; refused where it is none."""
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(
            400,
            f"{where}: text {number} is not UTF-8 (byte {error.start} of it); want texts in UTF-8 (BYTES)",
        ) from None


def bytes_of_values(values: Values | list[str]) -> bytes:
    """An output's numbers or texts as bytes."""
    if isinstance(values, list):
        encoded = [text.encode() for text in values]
        return b"".join(len(text).to_bytes(LENGTH_BYTES, "little") + text for text in encoded)
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
