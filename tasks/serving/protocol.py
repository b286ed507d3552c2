"""Open Inference Protocol v2, JSON: requests to arrays and back. Pure; refuses what is not as the model wants it."""

from dataclasses import dataclass
from itertools import chain
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import orjson

from tasks.datatypes import DATATYPES
from tasks.rows import MAX_TEXT, TEXT, Rows, TensorSpec, rows_from
from tasks.serving.refusal import Refusal

Values = npt.NDArray[Any]
MAX_ROWS = 1024
"""Of one request: one call of the graph holds them all."""
MAX_ID = 256
MAX_CHARACTERS = 4_000_000
"""Rows of a request times its longest text, since a graph pads every text to the longest."""
ALLOWED: dict[str, set[type]] = {"b": {bool}, "i": {int}, "u": {int}, "f": {int, float, type(None)}, "U": {str, type(None)}}
"""Types of JSON values by numpy's kind."""


def metadata(spec: TensorSpec) -> dict[str, Any]:
    """An input or output as the protocol writes it; the rows' dimension is open."""
    return {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": [-1, *spec.shape]}


@dataclass(frozen=True)
class Request:
    """What a client asks, before it is known which version answers."""

    id: str
    """The client's, or a new one."""
    log: bool
    """Whether its rows count as production traffic."""
    inputs: Any
    """A list of tensors, one an input, once `rows_of` has looked at it."""
    outputs: list[str] | None
    """Those the client wants; None: all."""

    def row_ids(self, rows: int) -> list[str]:
        """The name of each row in the prediction log."""
        return [self.id] if rows == 1 else [f"{self.id}#{row}" for row in range(rows)]


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a request's body."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Refusal(400, f"the body is {short(value)}; want a JSON object")
    return value


def parse(body: bytes) -> Request:
    """An inference request's envelope."""
    value = json_object(body)
    request_id = value.get("id") or uuid4().hex
    if not isinstance(request_id, str) or len(request_id) > MAX_ID:
        raise Refusal(400, f"id is {short(request_id)}; want a text of at most {MAX_ID} characters")
    parameters = value.get("parameters") or {}
    log = parameters.get("log", True) if isinstance(parameters, dict) else None
    if not isinstance(log, bool):
        raise Refusal(400, f"parameters is {short(parameters)}; want an object, in which log is true or false")
    return Request(request_id, log, value.get("inputs"), wanted_outputs(value.get("outputs")))


def wanted_outputs(value: Any) -> list[str] | None:
    """Names of the outputs that a client asks for; None for all."""
    if not value:
        return None
    if not isinstance(value, list) or not all(isinstance(output, dict) and isinstance(output.get("name"), str) for output in value):
        raise Refusal(400, f'outputs is {short(value)}; want a list such as [{{"name": "answer"}}]')
    return [output["name"] for output in value]


def rows_of(given: Any, wanted: tuple[TensorSpec, ...]) -> Rows:
    """The raw rows of a request's input tensors, which may come in any order."""
    tensors = by_name(given, wanted)
    columns = {spec.name: values_of(tensors[spec.name], spec) for spec in wanted}
    first, rows = wanted[0].name, len(columns[wanted[0].name])
    for spec in wanted:
        if len(columns[spec.name]) != rows:
            raise Refusal(400, f"input {spec.name!r}: has {len(columns[spec.name])} rows; want {rows}, as many as input {first!r}")
    return rows_from(wanted, columns)


def by_name(given: Any, wanted: tuple[TensorSpec, ...]) -> dict[str, dict[str, Any]]:
    """The tensors of a request by name, exactly those that are wanted."""
    names = [spec.name for spec in wanted]
    many = "one tensor" if len(names) == 1 else f"{len(names)} tensors: {', '.join(names)}"
    if not isinstance(given, list) or not given:
        raise Refusal(400, f"inputs is {short(given)}; want a list with {many}")
    tensors: dict[str, dict[str, Any]] = {}
    for number, tensor in enumerate(given):
        name = tensor.get("name") if isinstance(tensor, dict) else tensor
        if not isinstance(tensor, dict) or name not in names:
            raise Refusal(400, f"inputs[{number}].name is {short(name)}; want {' or '.join(map(repr, names[:20]))}")
        if name in tensors:
            raise Refusal(400, f"inputs[{number}].name is {name!r} for the second time; want {many}")
        tensors[name] = tensor
    if missing := [name for name in names if name not in tensors]:
        raise Refusal(400, f"inputs has no {missing[0]!r}; want {many} (null stands for a missing value)")
    return tensors


def values_of(tensor: dict[str, Any], wanted: TensorSpec) -> Values:
    """The values [rows, *shape] of one input. A single value a row may come as [rows] or [rows, 1]."""
    where, datatype = f"input {wanted.name!r}", DATATYPES[wanted.dtype]
    if tensor.get("datatype") != datatype:
        raise Refusal(400, f"{where}: datatype is {short(tensor.get('datatype'))}; want {datatype!r}")
    shape: Any = tensor.get("shape")
    if not is_shape(shape) or tuple(shape[1:]) not in (wanted.shape, wanted.shape or (1,)) or not 1 <= shape[0] <= MAX_ROWS:
        sizes = ", ".join(map(str, (f"1 to {MAX_ROWS}", *wanted.shape)))
        raise Refusal(400, f"{where}: shape is {short(shape)}; want [{sizes}]")
    values = numbers(tensor.get("data"), wanted.dtype, where)
    if values.size != int(np.prod(shape)):
        raise Refusal(400, f"{where}: data has {values.size} values; shape {shape} wants {int(np.prod(shape))}")
    return values.reshape(shape[0], *wanted.shape)


def is_shape(value: Any) -> bool:
    """Whether a JSON value is a non-empty list of whole numbers."""
    return isinstance(value, list) and bool(value) and all(type(size) is int for size in value)


def numbers(data: Any, dtype: str, where: str) -> Values:
    """A JSON list, flat or nested, as a flat array of `dtype`; null is NaN where numbers have one, and a missing text is empty."""
    if not isinstance(data, list):
        raise Refusal(400, f"{where}: data is {short(data)}; want a list of {wanted_values(dtype)}")
    while data and (types := set(map(type, data))) == {list}:
        data = list(chain.from_iterable(data))
    try:
        if data and types <= ALLOWED[np.dtype(dtype).kind]:
            return texts(data, where) if dtype == TEXT else np.array(data, dtype)
    except OverflowError:
        pass  # the value is named below
    position = next((position for position, value in enumerate(data) if not fits(value, dtype)), 0)
    value = f"data[{position}] is {short(data[position])}" if data else "data is empty"
    raise Refusal(400, f"{where}: {value}; want {wanted_values(dtype)}")


def texts(data: list[str | None], where: str) -> Values:
    """Texts as a flat object array; refuses those that would take the graph too much memory."""
    longest = max(len(value or "") for value in data)
    if longest > MAX_TEXT:
        position = next(position for position, value in enumerate(data) if len(value or "") == longest)
        raise Refusal(400, f"{where}: data[{position}] has {longest} characters; want at most {MAX_TEXT}")
    if longest * len(data) > MAX_CHARACTERS:
        most = MAX_CHARACTERS // longest
        raise Refusal(400, f"{where}: {len(data)} texts of up to {longest} characters; want at most {most} such texts a request")
    values = np.empty(len(data), object)
    values[:] = [value or "" for value in data]
    return values


def fits(value: Any, dtype: str) -> bool:
    """Whether a JSON value can be a value of `dtype`."""
    kind = np.dtype(dtype).kind
    if type(value) not in ALLOWED[kind]:
        return False
    return kind not in "iu" or bool(np.iinfo(dtype).min <= value <= np.iinfo(dtype).max)


def wanted_values(dtype: str) -> str:
    """What a value of `dtype` is, in words."""
    match np.dtype(dtype).kind:
        case "b":
            return "true or false"
        case "U":
            return f"texts or null ({DATATYPES[dtype]})"
        case "f":
            return f"numbers or null ({DATATYPES[dtype]})"
        case _:
            return f"whole numbers from {np.iinfo(dtype).min} to {np.iinfo(dtype).max} ({DATATYPES[dtype]})"


def response(project: str, version: int, request: Request, outputs: dict[str, Values], answers: list[str]) -> dict[str, Any]:
    """The answer to a request: the graph's outputs, and what the first one means in words as `answer`."""
    made = [
        {"name": name, "shape": list(values.shape), "datatype": DATATYPES[values.dtype.name], "data": np.ascontiguousarray(values).ravel()}
        for name, values in outputs.items()
    ]
    made.append({"name": "answer", "shape": [len(answers)], "datatype": "BYTES", "data": answers})
    if request.outputs is not None:
        by_name = {str(output["name"]): output for output in made}
        if unknown := [name for name in request.outputs if name not in by_name]:
            raise Refusal(400, f"outputs: no output {unknown[0]!r}; there are {', '.join(by_name)}")
        made = [by_name[name] for name in request.outputs]
    return {"model_name": project, "model_version": str(version), "id": request.id, "outputs": made}


def short(value: Any) -> str:
    """A JSON value for an error's text."""
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
