"""Open Inference Protocol v2, JSON: requests to arrays and back.

Pure; refuses what is not as the model wants it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from uuid import uuid4

import numpy as np
import orjson

from tasks.production.protocol_dtypes import DATATYPES
from tasks.rows.raw import TensorSpec
from tasks.serving.refusal import SHOWN, Refusal, shorten
from tasks.serving.tensors import Values

MAX_ID = 256
KEYS = ("id", "parameters", "inputs", "outputs")
"""Of a request."""
ANSWER = "answer"
"""The output that every model has beside its graph's."""
PARAMETERS = ("log", "binary_data_output")
"""Of a request, those that mean something here; all answers are JSON, whatever `binary_data_output` asks for.
"""


def metadata(spec: TensorSpec, date_format: str | None = None) -> dict[str, Any]:
    """An input or output as the protocol writes it; the rows' dimension is open.

    date_format: how training rows wrote a date, for clients that have texts: the input itself is in seconds since 1970
    """
    told = {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": [-1, *spec.shape]}
    return told | {"parameters": {"date_format": date_format}} if date_format else told


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
    notices: tuple[str, ...] = ()
    """What in it has no meaning here and was passed over."""

    def row_ids(self, rows: int) -> list[str]:
        """The name of each row in the prediction log."""
        return [self.id] if rows == 1 else [f"{self.id}#{row}" for row in range(rows)]


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a request's body."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        near = (
            f"; there stands {shorten(error.doc[error.pos : error.pos + 20])}"
            if error.doc[error.pos :]
            else ""
        )
        raise Refusal(400, f"the body is not JSON: {error}{near}") from None
    if not isinstance(value, dict):
        raise Refusal(400, f"the body is {shorten(value)}; want a JSON object")
    return value


def parse(body: bytes) -> Request:
    """An inference request's envelope."""
    value = json_object(body)
    request_id = value.get("id")
    if request_id is None or request_id == "":
        request_id = uuid4().hex
    if not isinstance(request_id, str) or len(request_id) > MAX_ID:
        raise Refusal(400, f"id is {shorten(request_id)}; want a text of at most {MAX_ID} characters")
    parameters = value.get("parameters")
    if parameters is None:
        parameters = {}
    log = parameters.get("log", True) if isinstance(parameters, dict) else None
    if not isinstance(log, bool):
        raise Refusal(
            400, f"parameters is {shorten(parameters)}; want an object, in which log is true or false"
        )
    notices = [*unknown(value, KEYS, "the request's"), *unknown(parameters, PARAMETERS, "parameters'")]
    return Request(request_id, log, value.get("inputs"), wanted_outputs(value.get("outputs")), tuple(notices))


def unknown(given: Iterable[str], known: tuple[str, ...], whose: str) -> list[str]:
    """A notice where keys have no meaning here: a misspelled one must not go unseen."""
    keys = [key for key in given if key not in known]
    if not keys:
        return []
    close = get_close_matches(keys[0][:SHOWN], known, 1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    return [
        f"{whose} key {shorten(keys[0])}{hint}{more} has no meaning here and is passed over; known: {', '.join(known)}"
    ]


def wanted_outputs(value: Any) -> list[str] | None:
    """Names of the outputs that a client asks for; None for all."""
    if value is None or value == []:
        return None
    if not isinstance(value, list) or not all(
        isinstance(output, dict) and isinstance(output.get("name"), str) for output in value
    ):
        raise Refusal(400, f'outputs is {shorten(value)}; want a list such as [{{"name": "answer"}}]')
    names = [output["name"] for output in value]
    if len(set(names)) < len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise Refusal(400, f"outputs: {shorten(twice)} is asked for twice")
    return names


def check_outputs(request: Request, outputs: tuple[TensorSpec, ...]) -> None:
    """Refuses a request for an output that there is not, before anything is computed for it."""
    names = (*(output.name for output in outputs), ANSWER)
    if unknown := [name for name in request.outputs or () if name not in names]:
        raise Refusal(400, f"outputs: no output {shorten(unknown[0])}; there are {', '.join(names)}")


def response(
    project: str,
    version: int,
    request: Request,
    outputs: dict[str, Values],
    answers: list[str],
    parameters: dict[str, Any],
) -> dict[str, Any]:
    """The answer to a request: the graph's outputs, and what the first one means in words as `answer`; `parameters` where there are any."""
    made = [
        {
            "name": name,
            "shape": list(values.shape),
            "datatype": DATATYPES[values.dtype.name],
            "data": np.ascontiguousarray(values).ravel(),
        }
        for name, values in outputs.items()
    ]
    made.append({"name": ANSWER, "shape": [len(answers)], "datatype": "BYTES", "data": answers})
    if request.outputs is not None:
        by_name = {str(output["name"]): output for output in made}
        made = [by_name[name] for name in request.outputs]
    value = {"model_name": project, "model_version": str(version), "id": request.id, "outputs": made}
    return value | {"parameters": parameters} if parameters else value


def infinite(outputs: dict[str, Values]) -> list[str]:
    """A notice where a graph's answer is no finite number, which JSON cannot hold: null stands for it."""
    told = []
    for name, values in outputs.items():
        if values.dtype.kind == "f" and not (finite := np.isfinite(values)).all():
            row = int(np.argwhere(~finite)[0][0])
            told.append(f"output {name!r}, row {row}: the graph's answer is not finite; null stands for it")
    return told
