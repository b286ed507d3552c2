"""Open Inference Protocol v2, whichever way it travels: what a request asks for and what an answer holds.

Pure. rest/ and rpc/ make requests of bytes and bytes of answers.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np

from tasks.production.protocol_dtypes import DATATYPES
from tasks.rows.raw import TensorSpec
from tasks.serving.models.model import FIRST, LAST, USUAL, Signature
from tasks.serving.protocol.classification import strongest_classes
from tasks.serving.protocol.refusal import SHOWN, Refusal, parameters_of, shorten
from tasks.serving.protocol.tensors import Values

MAX_ID = 256
KEYS = ("id", "model_name", "parameters", "inputs", "outputs")
"""Of a request; KServe's clients name the model in it too."""
ANSWER = "answer"
"""The output that every model has beside its graph's."""
PARAMETERS = ("log", "priority", "timeout", "key", "binary_data_output", "content_type")
"""Of a request. `content_type` is what MLServer's clients say of it; the inputs' own is looked at."""
OUTPUT_PARAMETERS = ("binary_data", "classification", "content_type")
MAX_TIMEOUT_US = 2**63 - 1


def metadata(spec: TensorSpec, date_format: str | None = None) -> dict[str, Any]:
    """An input or output as the protocol writes it; the rows' dimension is open.

    date_format: how training rows wrote a date, for clients that have texts: the input itself is in seconds
    since 1970
    """
    told = {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": [-1, *spec.shape]}
    return told | {"parameters": {"date_format": date_format}} if date_format else told


def new_id() -> str:
    """An id that no other request has.

    128 bits of a generator that each process seeds from the system's randomness.

    It is no secret: who tells labels has a credential. A call of the system for each would take 10 us.
    """
    return f"{random.getrandbits(128):032x}"


class Caller(NamedTuple):
    """Who asks."""

    trusted: bool
    """Whether the installation's credential or a token says who it is."""
    name: str = ""
    """By what credential, from which address: callers of one name share their turn at a model."""
    credential: str = ""
    """Its name alone: a token's, or the installation's."""


@dataclass(frozen=True)
class WantedOutput:
    """An output that a client asks for."""

    name: str
    is_binary: bool | None = None
    """Whether over REST it comes as bytes behind the JSON; None: as the request says of all."""
    classes: int = 0
    """How many of its values are wanted, the largest first and with their class.

    0: all of them as they stand.
    """


class Request(NamedTuple):
    """What a client asks, before it is known which version answers."""

    id: str
    """The client's, or a new one."""
    log: bool
    """Whether its rows count as production traffic."""
    inputs: Any
    """A list of tensors, one an input, once `rows_of` has looked at it; `data` holds JSON values, or a
    memoryview of bytes."""
    outputs: list[WantedOutput] | None
    """Those the client wants; None: all."""
    notices: tuple[str, ...] = ()
    """What in it has no meaning here and was passed over."""
    priority: int = USUAL
    timeout_s: float | None = None
    """How long the client waits for the answer."""
    key: str = ""
    """What a client wants to stay with one version by while a challenger is on trial, such as a user; empty:
    the request's id."""
    is_binary: bool = False
    """Whether over REST outputs come as bytes where the output's own parameters do not say."""
    model_name: str | None = None
    """The model that the request itself names, beside what its path does."""
    is_durable: bool = False
    """Whether its rows are in the prediction log on the disk before it is answered, whatever the YAML says."""

    def row_ids(self, rows: int) -> list[str]:
        """The name of each row in the prediction log."""
        return [self.id] if rows == 1 else [f"{self.id}#{row}" for row in range(rows)]


def request_of(value: dict[str, Any]) -> Request:
    """An inference request's envelope, from a JSON object or what gRPC's message says likewise.

    Raises Refusal.
    """
    request_id = value.get("id")
    if request_id is None or request_id == "":
        request_id = new_id()
    if not isinstance(request_id, str) or len(request_id) > MAX_ID:
        raise Refusal(400, f"id is {shorten(request_id)}; want a text of at most {MAX_ID} characters")
    parameters = parameters_of(value.get("parameters"), PARAMETERS, "parameters")
    timeout = whole_number(parameters, "timeout", 0, MAX_TIMEOUT_US, "microseconds, or 0 for no limit")
    return Request(
        request_id,
        switch(parameters, "log", True),
        value.get("inputs"),
        wanted_outputs(value.get("outputs")),
        unknown_keys(value),
        whole_number(parameters, "priority", 0, LAST, f"the first is {FIRST}, the usual 0 or {USUAL}")
        or USUAL,
        timeout / 1e6 if timeout else None,
        routing_key(parameters),
        switch(parameters, "binary_data_output", False),
        value.get("model_name"),
    )


def routing_key(parameters: dict[str, Any]) -> str:
    """The request's key among all requests; empty where it has none."""
    key = parameters.get("key", "")
    if isinstance(key, str) and len(key) <= MAX_ID:
        return key
    raise Refusal(400, f"parameters.key is {shorten(key)}; want a text of at most {MAX_ID} characters")


def switch(parameters: dict[str, Any], name: str, default: bool, where: str = "parameters") -> bool:
    """A parameter that is true or false."""
    value = parameters.get(name, default)
    if isinstance(value, bool):
        return value
    raise Refusal(400, f"{where}.{name} is {shorten(value)}; want true or false")


def whole_number(
    parameters: dict[str, Any], name: str, least: int, most: int, meaning: str, where: str = "parameters"
) -> int:
    """A parameter that is a whole number; 0 where it is not given."""
    value = parameters.get(name)
    if value is None:
        return 0
    if type(value) is int and least <= value <= most:
        return value
    raise Refusal(
        400, f"{where}.{name} is {shorten(value)}; want a whole number from {least} to {most}: {meaning}"
    )


def unknown_keys(value: Iterable[str]) -> tuple[str, ...]:
    """A notice where the request has keys without a meaning here: a misspelled one must not go unseen."""
    keys = [key for key in value if key not in KEYS]
    if not keys:
        return ()
    close = get_close_matches(keys[0][:SHOWN], KEYS, 1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    passed = f"{hint}{more} has no meaning here and is passed over; known: {', '.join(KEYS)}"
    return (f"the request's key {shorten(keys[0])}{passed}",)


def wanted_outputs(value: Any) -> list[WantedOutput] | None:
    """The outputs that a client asks for; None for all."""
    if value is None or value == []:
        return None
    if not isinstance(value, list) or not all(
        isinstance(output, dict) and isinstance(output.get("name"), str) for output in value
    ):
        raise Refusal(400, f'outputs is {shorten(value)}; want a list such as [{{"name": "answer"}}]')
    wanted: dict[str, WantedOutput] = {}
    for number, output in enumerate(value):
        name, where = output["name"], f"outputs[{number}].parameters"
        if name in wanted:
            raise Refusal(400, f"outputs: {shorten(name)} is asked for twice")
        parameters = parameters_of(output.get("parameters"), OUTPUT_PARAMETERS, where)
        is_binary = switch(parameters, "binary_data", False, where) if "binary_data" in parameters else None
        classes = whole_number(parameters, "classification", 0, 2**31, "how many classes", where)
        wanted[name] = WantedOutput(name, is_binary, classes)
    return list(wanted.values())


def check_outputs(request: Request, signature: Signature) -> None:
    """Refuses a request for an output that there is not, before anything is computed for it."""
    if request.outputs is None:
        return
    specs = {output.name: output for output in signature.outputs}
    for wanted in request.outputs:
        if wanted.name not in specs and wanted.name != ANSWER:
            raise Refusal(
                400, f"outputs: no output {shorten(wanted.name)}; there are {', '.join([*specs, ANSWER])}"
            )
        if wanted.classes and (wanted.name == ANSWER or len(specs[wanted.name].shape) != 1):
            fitting = [spec.name for spec in specs.values() if len(spec.shape) == 1]
            raise Refusal(
                400,
                f"outputs: {wanted.name!r} has no value for each class, so classification {wanted.classes} "
                f"has no meaning; want it of {' or '.join(fitting) or 'another model'}",
            )


class Output(NamedTuple):
    """An output of an answer."""

    name: str
    datatype: str
    shape: list[int]
    values: Values | list[str]
    """An array of that shape, or texts."""
    is_binary: bool = False
    """Whether over REST it comes as bytes behind the JSON."""


class Inference(NamedTuple):
    """The answer to a request."""

    project: str
    version: int
    id: str
    outputs: list[Output]
    parameters: dict[str, Any]


def chosen_outputs(
    request: Request, signature: Signature, values: dict[str, Values], answers: list[str]
) -> list[Output]:
    """The outputs that a request asks for: the graph's, and what the first one means in words as `answer`."""
    made = {}
    for spec in signature.outputs:
        found = values[spec.name]
        made[spec.name] = Output(
            spec.name, DATATYPES[spec.dtype], list(found.shape), found, request.is_binary
        )
    made[ANSWER] = Output(ANSWER, "BYTES", [len(answers)], answers, request.is_binary)
    if request.outputs is None:
        return list(made.values())
    chosen = []
    for wanted in request.outputs:
        output = made[wanted.name]
        is_binary = request.is_binary if wanted.is_binary is None else wanted.is_binary
        if wanted.classes:
            texts = strongest_classes(values[wanted.name], wanted.classes, signature.classes)
            shape = [len(answers), len(texts) // len(answers)]
            output = Output(wanted.name, "BYTES", shape, texts)
        chosen.append(output._replace(is_binary=is_binary))
    return chosen


def infinite(outputs: dict[str, Values]) -> list[str]:
    """A notice where a graph's answer is no finite number, which JSON cannot hold: null stands for it."""
    told = []
    for name, values in outputs.items():
        if values.dtype.kind == "f" and not (finite := np.isfinite(values)).all():
            row = int(np.argwhere(~finite)[0][0])
            told.append(f"output {name!r}, row {row}: the graph's answer is not finite; null stands for it")
    return told
