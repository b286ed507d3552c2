"""Tensors of a request as arrays.

JSON values, flat or nested, taken as they were sent or refused with their place.
"""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.production.protocol_dtypes import DATATYPES
from tasks.rows.raw import MAX_TEXT, TEXT, Rows, TensorSpec, rows_from
from tasks.serving.protocol.raw_tensors import array_of_bytes, text_of_bytes
from tasks.serving.protocol.refusal import SHOWN, Refusal, parameters_of, shorten

Values = npt.NDArray[Any]
MAX_ROWS = 1024
"""Of one request: one call of the graph holds them all."""
MAX_CHARACTERS = 4_000_000
"""Rows of a request times its longest text, since a graph pads every text to the longest."""
ALLOWED: dict[str, set[type]] = {
    "b": {bool},
    "i": {int},
    "u": {int},
    "f": {int, float, type(None)},
    "U": {str, type(None)},
}
"""Types of JSON values by numpy's kind."""
INPUT_PARAMETERS = ("binary_data_size", "content_type")
CONTENT_TYPES = ("np", "pd", "str")
"""What MLServer's clients say of arrays, columns and texts whose values stand as they are."""


@dataclass(frozen=True)
class Contents:
    """Values of gRPC's typed contents, which are made a list only once they are as many as the shape says.

    A message may hold millions of numbers that no model takes; as a list they would weigh eight times as
    much.
    """

    values: Sequence[Any]
    """Texts are bytes."""

    def listed(self, count: int, where: str) -> list[Any]:
        """`count` values as JSON would have them. Refuses more or fewer."""
        if len(self.values) != count:
            raise Refusal(400, f"{where}: contents have {len(self.values)} values; its shape wants {count}")
        if count and isinstance(self.values[0], bytes):
            return [text_of_bytes(text, number, where) for number, text in enumerate(self.values)]
        return list(self.values)


def rows_of(given: Any, wanted: tuple[TensorSpec, ...]) -> Rows:
    """The raw rows of a request's input tensors, which may come in any order."""
    tensors = by_name(given, wanted)
    columns = {spec.name: values_of(tensors[spec.name], spec) for spec in wanted}
    first, rows = wanted[0].name, len(columns[wanted[0].name])
    for spec in wanted:
        if len(columns[spec.name]) != rows:
            raise Refusal(
                400,
                f"input {spec.name!r}: has {len(columns[spec.name])} rows; want {rows}, as many as input {first!r}",
            )
    return rows_from(wanted, columns)


def by_name(given: Any, wanted: tuple[TensorSpec, ...]) -> dict[str, dict[str, Any]]:
    """The tensors of a request by name, exactly those that are wanted."""
    names = [spec.name for spec in wanted]
    many = "one tensor" if len(names) == 1 else f"{len(names)} tensors: {', '.join(names)}"
    if not isinstance(given, list) or not given:
        raise Refusal(400, f"inputs is {shorten(given)}; want a list with {many}")
    tensors: dict[str, dict[str, Any]] = {}
    for number, tensor in enumerate(given):
        name = tensor.get("name") if isinstance(tensor, dict) else tensor
        if not isinstance(tensor, dict) or name not in names:
            raise Refusal(
                400,
                f"inputs[{number}].name is {shorten(name)}; want {' or '.join(map(repr, names[:20]))}{nearest(name, names)}",
            )
        if name in tensors:
            raise Refusal(400, f"inputs[{number}].name is {name!r} for the second time; want {many}")
        tensors[name] = tensor
    if missing := [name for name in names if name not in tensors]:
        raise Refusal(400, f"inputs has no {missing[0]!r}; want {many} (null stands for a missing value)")
    return tensors


def nearest(name: Any, names: list[str]) -> str:
    """A question about the name that was meant, where one is close."""
    close = (
        get_close_matches(name[:SHOWN].lower(), {each.lower(): each for each in names}, 1)
        if isinstance(name, str)
        else []
    )
    return f"; did you mean {next(each for each in names if each.lower() == close[0])!r}?" if close else ""


def values_of(tensor: dict[str, Any], wanted: TensorSpec) -> Values:
    """The values [rows, *shape] of one input. A single value a row may come as [rows] or [rows, 1]."""
    where, datatype = f"input {wanted.name!r}", DATATYPES[wanted.dtype]
    if tensor.get("datatype") != datatype:
        raise Refusal(400, f"{where}: datatype is {shorten(tensor.get('datatype'))}; want {datatype!r}")
    shape: Any = tensor.get("shape")
    if (
        not is_shape(shape)
        or tuple(shape[1:]) not in (wanted.shape, wanted.shape or (1,))
        or not 1 <= shape[0] <= MAX_ROWS
    ):
        sizes = ", ".join(map(str, (f"1 to {MAX_ROWS}", *wanted.shape)))
        raise Refusal(400, f"{where}: shape is {shorten(shape)}; want [{sizes}]")
    data = tensor.get("data")
    if parameters := tensor.get("parameters"):
        check_parameters(parameters, where, isinstance(data, memoryview))
    if isinstance(data, memoryview):
        values = array_of_bytes(data, shape, wanted.dtype, where)
        if wanted.dtype == TEXT:
            check_sizes(values.tolist(), shape, False, where)
    elif isinstance(data, Contents):
        values = array(data.listed(math.prod(shape), where), shape, wanted.dtype, where)
    else:
        values = array(data, shape, wanted.dtype, where)
    return values.reshape(shape[0], *wanted.shape)


def check_parameters(given: Any, where: str, is_binary: bool) -> None:
    """Refuses what an input's parameters say that is not done here, so that nothing is passed over."""
    parameters = parameters_of(given, INPUT_PARAMETERS, f"{where}: parameters")
    if "binary_data_size" in parameters and not is_binary:
        raise Refusal(
            400,
            f"{where}: parameters.binary_data_size is {shorten(parameters['binary_data_size'])}, but the request "
            "has no header Inference-Header-Content-Length, which says where its JSON ends and the bytes begin",
        )
    content = parameters.get("content_type", CONTENT_TYPES[0])
    if content not in CONTENT_TYPES:
        raise Refusal(
            400,
            f"{where}: parameters.content_type is {shorten(content)}; want {' or '.join(CONTENT_TYPES)}: "
            "values are taken as they stand",
        )


def is_shape(value: Any) -> bool:
    """Whether a JSON value is a non-empty list of whole numbers."""
    return isinstance(value, list) and bool(value) and all(type(size) is int for size in value)


def array(data: Any, shape: list[int], dtype: str, where: str) -> Values:
    """A JSON list, flat or nested exactly as `shape`, as a flat array of `dtype`.

    Null is NaN where numbers have one, and a missing text is empty. Refuses whatever else would have to be
    moved, cut or guessed.
    """
    if not isinstance(data, list):
        raise Refusal(400, f"{where}: data is {shorten(data)}; want a list of {wanted_values(dtype)}")
    nested = bool(data) and type(data[0]) is list
    values = flatten(data, shape, where) if nested else data
    made = convert_values(values, dtype)
    if made is None:
        position = next(
            (position for position, value in enumerate(values) if not fits_dtype(value, dtype)), None
        )
        found = (
            "data is empty"
            if position is None
            else f"{place_of_value(position, shape, nested)} is {shorten(values[position])}"
        )
        raise Refusal(400, f"{where}: {found}; want {wanted_values(dtype)}")
    if len(values) != (count := math.prod(shape)):
        raise Refusal(400, f"{where}: data has {len(values)} values; shape {shape} wants {count}")
    if dtype == TEXT:
        check_sizes(values, shape, nested, where)
    return made


def flatten(data: list[Any], shape: list[int], where: str) -> list[Any]:
    """The values of nested lists.

    Refuses lists whose lengths are not those of the shape at every level: rows would shift.
    """
    parts, wanted = [data], f"shape {shape} wants"
    for level, size in enumerate(shape):
        for number, part in enumerate(parts):
            if type(part) is not list:
                raise Refusal(
                    400,
                    f"{where}: {path(number, shape[:level])} is {shorten(part)}; {wanted} a list of {size} there",
                )
            if len(part) != size:
                raise Refusal(
                    400,
                    f"{where}: {path(number, shape[:level])} has {len(part)} values; {wanted} {size} there",
                )
        parts = list(chain.from_iterable(parts))
    return parts


def path(number: int, sizes: list[int]) -> str:
    """Where the `number`th list or value below lists of these sizes stands."""
    indices = np.unravel_index(number, sizes) if sizes else ()
    return "data" + "".join(f"[{index}]" for index in indices)


def place_of_value(position: int, shape: list[int], nested: bool) -> str:
    """Where a value stands, with its row."""
    row = position // math.prod(shape[1:])
    return f"{path(position, shape) if nested else f'data[{position}]'} (row {row})"


def convert_values(values: list[Any], dtype: str) -> Values | None:
    """JSON values as an array of `dtype`; None where one of them cannot be one."""
    if not values or not set(map(type, values)) <= ALLOWED[np.dtype(dtype).kind]:
        return None
    if dtype == TEXT:
        texts = np.empty(len(values), object)
        texts[:] = [value or "" for value in values]
        return texts
    is_float = np.dtype(dtype).kind == "f"
    try:
        # Only floats overflow with a warning; what turns that off takes longer than the rest.
        with np.errstate(over="ignore") if is_float else nullcontext():
            numbers = np.array(values, dtype)
    except OverflowError:
        return None
    # A number beyond the type's largest would become infinite, which no client sent.
    return None if is_float and np.isinf(numbers).any() else numbers


def check_sizes(texts: list[str | None], shape: list[int], nested: bool, where: str) -> None:
    """Refuses texts that would take the graph too much memory."""
    longest = max(len(value or "") for value in texts)
    if longest > MAX_TEXT:
        position = next(position for position, value in enumerate(texts) if len(value or "") == longest)
        raise Refusal(
            400,
            f"{where}: {place_of_value(position, shape, nested)} has {longest} characters; want at most {MAX_TEXT}",
        )
    if longest * len(texts) > MAX_CHARACTERS:
        most = MAX_CHARACTERS // longest
        raise Refusal(
            400,
            f"{where}: {len(texts)} texts of up to {longest} characters; want at most {most} such texts a request",
        )


def fits_dtype(value: Any, dtype: str) -> bool:
    """Whether a JSON value can be a value of `dtype`."""
    kind = np.dtype(dtype).kind
    if type(value) not in ALLOWED[kind]:
        return False
    if kind == "f" and value is not None:
        with np.errstate(over="ignore"):
            return bool(np.isfinite(np.array(value, dtype)))
    return kind not in "iu" or bool(np.iinfo(dtype).min <= value <= np.iinfo(dtype).max)


def wanted_values(dtype: str) -> str:
    """What a value of `dtype` is, in words."""
    match np.dtype(dtype).kind:
        case "b":
            return "true or false"
        case "U":
            return f"texts or null ({DATATYPES[dtype]})"
        case "f":
            return f"numbers or null ({DATATYPES[dtype]}, at most {np.finfo(dtype).max:.3g})"
        case _:
            return f"whole numbers from {np.iinfo(dtype).min} to {np.iinfo(dtype).max} ({DATATYPES[dtype]})"
