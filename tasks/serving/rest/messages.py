"""Requests of JSON, with or without binary tensors behind it, and answers likewise."""

from typing import Any

import numpy as np
import orjson

from tasks.prediction.answered_rows import answered_rows
from tasks.serving.model_server import Prediction
from tasks.serving.protocol.inference import Inference, Output, Request, request_of
from tasks.serving.protocol.raw_tensors import bytes_of_values
from tasks.serving.protocol.refusal import Refusal, shorten

JSON_LENGTH = "Inference-Header-Content-Length"
"""The header that says how many bytes of a body are JSON; binary tensors follow."""
SHOWN = 20


def json_object(body: bytes | memoryview) -> dict[str, Any]:
    """The JSON object in a request's body. Raises Refusal."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        stands = error.doc[error.pos : error.pos + SHOWN]
        near = f"; there stands {shorten(stands)}" if stands else ""
        raise Refusal(400, f"the body is not JSON: {error}{near}") from None
    if not isinstance(value, dict):
        raise Refusal(400, f"the body is {shorten(value)}; want a JSON object")
    return value


def parse(body: bytes, json_length: bytes | None = None) -> Request:
    """An inference request: all JSON, or that many bytes of JSON with binary tensors behind.

    Raises Refusal.
    """
    if json_length is None:
        return request_of(json_object(body))
    if not json_length.isdigit() or len(json_length) > SHOWN or not 0 < int(json_length) <= len(body):
        raise Refusal(
            400,
            f"{JSON_LENGTH} is {shorten(json_length.decode('latin-1'))}; want how many of the body's {len(body)} "
            "bytes are JSON, from 1 to all",
        )
    whole, length = memoryview(body), int(json_length)
    value = json_object(whole[:length])
    attach_binary(value.get("inputs"), whole[length:])
    return request_of(value)


def attach_binary(inputs: Any, data: memoryview) -> None:
    """Gives the inputs their bytes, in their order. Refuses sizes that do not add up to what there is."""
    begin = 0
    for number, tensor in enumerate(inputs if isinstance(inputs, list) else ()):
        parameters = tensor.get("parameters") if isinstance(tensor, dict) else None
        if not isinstance(parameters, dict) or "binary_data_size" not in parameters:
            continue
        where, size = f"inputs[{number}]", parameters["binary_data_size"]
        if type(size) is not int or not 0 <= size <= len(data) - begin:
            raise Refusal(
                400,
                f"{where}.parameters.binary_data_size is {shorten(size)}; want at most the {len(data) - begin} bytes "
                f"that follow the JSON and the inputs before it",
            )
        if "data" in tensor:
            raise Refusal(400, f"{where} has data and parameters.binary_data_size; want one of them")
        tensor["data"] = data[begin : begin + size]
        begin += size
    if begin != len(data):
        raise Refusal(
            400,
            f"{len(data) - begin} bytes follow the JSON and the inputs' binary_data_size; want sizes that add up to "
            f"the body ({JSON_LENGTH} says where its JSON ends)",
        )


def response(answer: Inference) -> tuple[bytes, int | None]:
    """The body of an answer, and how many bytes of it are JSON where binary tensors follow; else None."""
    told: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for output in answer.outputs:
        described: dict[str, Any] = {
            "name": output.name,
            "shape": output.shape,
            "datatype": output.datatype,
        }
        if output.is_binary:
            parts.append(bytes_of_values(output.values))
            described["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            described["data"] = json_values(output)
        told.append(described)
    value: dict[str, Any] = {
        "model_name": answer.project,
        "model_version": str(answer.version),
        "id": answer.id,
        "outputs": told,
    }
    if answer.parameters:
        value["parameters"] = answer.parameters
    header = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    return (header + b"".join(parts), len(header)) if parts else (header, None)


def prediction(found: Prediction) -> dict[str, Any]:
    """What a person is told.

    The model, its version, each row's answer with probabilities, and what was odd.
    """
    answer = found.answer
    outputs = [
        {"name": each.name, "datatype": each.datatype, "shape": each.shape, "data": listed(each)}
        for each in answer.outputs
    ]
    rows = list(answered_rows({"id": answer.id, "outputs": outputs}, found.rows, found.classes))
    told = {"model": answer.project, "version": str(answer.version), "rows": rows, "notices": []}
    return told | answer.parameters


def listed(output: Output) -> list[Any]:
    """An output's values, flat, as Python's."""
    values = json_values(output)
    return values if isinstance(values, list) else list(values.tolist())


def json_values(output: Output) -> Any:
    """An output's values, flat."""
    return output.values if isinstance(output.values, list) else np.ascontiguousarray(output.values).ravel()
