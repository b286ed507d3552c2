"""gRPC's messages as requests of the core, and its answers as messages."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tasks.serving.protocol.inference import Inference, Output, Request, request_of
from tasks.serving.protocol.raw_tensors import bytes_of_values
from tasks.serving.protocol.refusal import Refusal
from tasks.serving.protocol.tensors import Contents
from tasks.serving.rpc import open_inference_pb2 as pb

CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The field of a tensor's typed contents by its datatype; FP16 has none, so it is always raw."""


def request_of_message(message: pb.ModelInferRequest) -> Request:
    """A decoded request. Raises Refusal."""
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise Refusal(
            400,
            f"raw_input_contents has {len(raw)} tensors and inputs {len(message.inputs)}; want as many, in their order",
        )
    inputs = []
    for number, tensor in enumerate(message.inputs):
        given: dict[str, Any] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.shape),
            "data": memoryview(raw[number]) if raw else typed_contents(tensor, number),
        }
        if raw and tensor.HasField("contents"):
            raise Refusal(400, f"inputs[{number}] has contents and raw_input_contents; want one of them")
        if tensor.parameters:
            given["parameters"] = values_of_parameters(tensor.parameters)
        inputs.append(given)
    outputs = [
        {"name": output.name, "parameters": values_of_parameters(output.parameters)}
        for output in message.outputs
    ]
    parameters = values_of_parameters(message.parameters)
    return request_of({"id": message.id, "parameters": parameters, "inputs": inputs, "outputs": outputs})


def typed_contents(tensor: pb.ModelInferRequest.InferInputTensor, number: int) -> Contents | None:
    """The values in the field of the tensor's datatype; None where there are none.

    Refuses values in another field.
    """
    if not tensor.HasField("contents"):
        return None
    wanted = CONTENTS.get(tensor.datatype)
    filled = [field.name for field, _ in tensor.contents.ListFields()]
    if filled and filled != [wanted]:
        raise Refusal(
            400,
            f"inputs[{number}].contents has {', '.join(filled)}; datatype {tensor.datatype[:20]!r} wants "
            f"{wanted or 'raw_input_contents'}",
        )
    return Contents(getattr(tensor.contents, wanted)) if wanted else None


def values_of_parameters(parameters: Mapping[str, pb.InferParameter]) -> dict[str, Any]:
    """Parameters by name; None for one without a value."""
    found = {}
    for name, parameter in parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        found[name] = getattr(parameter, choice) if choice else None
    return found


def message_of_answer(answer: Inference, is_raw: bool) -> pb.ModelInferResponse:
    """An answer as a message: outputs as raw bytes, or typed where each of them can be."""
    message = pb.ModelInferResponse(
        model_name=answer.project, model_version=str(answer.version), id=answer.id
    )
    for name, value in answer.parameters.items():
        message.parameters[name].string_param = "\n".join(value) if isinstance(value, list) else value
    is_raw = is_raw or any(output.datatype not in CONTENTS for output in answer.outputs)
    for output in answer.outputs:
        tensor = message.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        if is_raw:
            message.raw_output_contents.append(bytes_of_values(output.values))
        else:
            getattr(tensor.contents, CONTENTS[output.datatype]).extend(flat_values(output))
    return message


def flat_values(output: Output) -> list[Any]:
    """An output's values as a message takes them."""
    if isinstance(output.values, list):
        return [text.encode() for text in output.values]
    values: list[Any] = np.reshape(output.values, math.prod(output.shape)).tolist()
    return values
