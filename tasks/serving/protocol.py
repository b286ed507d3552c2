"""Open Inference Protocol v2, JSON: requests to arrays and back. Pure; refuses what is not as the model wants it."""

from dataclasses import dataclass
from itertools import chain
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import orjson

from tasks.datatypes import DATATYPES
from tasks.serving.refusal import Refusal

Rows = npt.NDArray[Any]
MAX_ROWS = 1024
"""Of one request: one call of the graph holds them all."""
MAX_ID = 256
ALLOWED: dict[str, set[type]] = {"b": {bool}, "i": {int}, "u": {int}, "f": {int, float, type(None)}}
"""Types of JSON values by numpy's kind."""


@dataclass(frozen=True)
class Tensor:
    """One input or output of a graph."""

    name: str
    dtype: str
    """A numpy dtype, such as uint8."""
    shape: tuple[int, ...]
    """Of one row; -1 where it is not fixed."""

    def metadata(self) -> dict[str, Any]:
        """As the protocol writes it; the rows' dimension is open."""
        return {"name": self.name, "datatype": DATATYPES[self.dtype], "shape": [-1, *self.shape]}


@dataclass(frozen=True)
class Request:
    """What a client asks, before it is known which version answers."""

    id: str
    """The client's, or a new one."""
    log: bool
    """Whether its rows count as production traffic."""
    inputs: list[Any]
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
    inputs = value.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1:
        raise Refusal(400, f"inputs is {short(inputs)}; want a list with one tensor")
    return Request(request_id, log, inputs, wanted_outputs(value.get("outputs")))


def wanted_outputs(value: Any) -> list[str] | None:
    """Names of the outputs that a client asks for; None for all."""
    if not value:
        return None
    if not isinstance(value, list) or not all(isinstance(output, dict) and isinstance(output.get("name"), str) for output in value):
        raise Refusal(400, f'outputs is {short(value)}; want a list such as [{{"name": "answer"}}]')
    return [output["name"] for output in value]


def rows_of(tensor: Any, wanted: Tensor) -> Rows:
    """The raw rows [rows, *row_shape] of a request's input tensor."""
    if not isinstance(tensor, dict) or tensor.get("name") != wanted.name:
        found = tensor.get("name") if isinstance(tensor, dict) else tensor
        raise Refusal(400, f"inputs[0].name is {short(found)}; want {wanted.name!r}")
    where, datatype = f"input {wanted.name!r}", DATATYPES[wanted.dtype]
    if tensor.get("datatype") != datatype:
        raise Refusal(400, f"{where}: datatype is {short(tensor.get('datatype'))}; want {datatype!r}")
    shape: Any = tensor.get("shape")
    if not is_shape(shape) or tuple(shape[1:]) != wanted.shape or not 1 <= shape[0] <= MAX_ROWS:
        sizes = ", ".join(map(str, (f"1 to {MAX_ROWS}", *wanted.shape)))
        raise Refusal(400, f"{where}: shape is {short(shape)}; want [{sizes}]")
    values = numbers(tensor.get("data"), wanted.dtype, where)
    if values.size != int(np.prod(shape)):
        raise Refusal(400, f"{where}: data has {values.size} values; shape {shape} wants {int(np.prod(shape))}")
    return values.reshape(shape)


def is_shape(value: Any) -> bool:
    """Whether a JSON value is a non-empty list of whole numbers."""
    return isinstance(value, list) and bool(value) and all(type(size) is int for size in value)


def numbers(data: Any, dtype: str, where: str) -> Rows:
    """A JSON list, flat or nested, as a flat array of `dtype`; null is NaN where numbers have one."""
    if not isinstance(data, list):
        raise Refusal(400, f"{where}: data is {short(data)}; want a list of {wanted_values(dtype)}")
    while data and (types := set(map(type, data))) == {list}:
        data = list(chain.from_iterable(data))
    try:
        if data and types <= ALLOWED[np.dtype(dtype).kind]:
            return np.array(data, dtype)
    except OverflowError:
        pass  # the value is named below
    position = next((position for position, value in enumerate(data) if not fits(value, dtype)), 0)
    value = f"data[{position}] is {short(data[position])}" if data else "data is empty"
    raise Refusal(400, f"{where}: {value}; want {wanted_values(dtype)}")


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
        case "f":
            return f"numbers or null ({DATATYPES[dtype]})"
        case _:
            return f"whole numbers from {np.iinfo(dtype).min} to {np.iinfo(dtype).max} ({DATATYPES[dtype]})"


def response(project: str, version: int, request: Request, outputs: dict[str, Rows], answers: list[str]) -> dict[str, Any]:
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
