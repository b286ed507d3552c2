"""Answers the Open Inference Protocol v2 over HTTP, as JSON: one process, one graph.

Needs onnxruntime, numpy and uvicorn alone.

python server.py [port]

GET /v2/health/live, /v2/health/ready and /v2/models/NAME; POST /v2/models/NAME/infer. No tokens and no TLS:
put it behind whatever has them.
"""

import asyncio
import json
import math
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn
from graph import Graph  # type: ignore[import-not-found] # lies beside this file once both are exported

DATATYPES = {"bool": "BOOL", "str": "BYTES", "float16": "FP16", "float32": "FP32", "float64": "FP64"}
DATATYPES |= {
    f"{sign}int{bits}": f"{sign}int{bits}".upper() for sign in ("", "u") for bits in (8, 16, 32, 64)
}
MAX_BODY = 64 * 2**20
MAX_ROWS = 1024
GRAPH = Graph(Path(__file__).parent)
FACTS = GRAPH.facts
NAME, VERSION = FACTS["project"], str(FACTS["version"])
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Refusal(Exception):  # noqa: N818 - it is an answer, not a failure
    """A request that is answered with an error's status and text."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def flat(value: Any) -> list[Any]:
    """Nested lists as one."""
    if not isinstance(value, list):
        return [value]
    return [each for item in value for each in (flat(item) if isinstance(item, list) else [item])]


def plain(value: Any) -> Any:
    """A value as JSON has it: null for a number that is not finite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def infer(body: bytes) -> dict[str, Any]:
    """The answer to a request. Raises Refusal."""
    try:
        request = json.loads(body)
        if unknown := sorted(set(request) - {"id", "inputs"}):
            raise Refusal(400, f"{unknown[0]!r} is not understood here; a request has inputs and an id")
        given = {tensor["name"]: tensor for tensor in request["inputs"]}
        wanted = {taken["name"]: taken for taken in FACTS["inputs"]}
        if set(given) != set(wanted) or len(request["inputs"]) != len(wanted):
            raise Refusal(400, f"inputs are {sorted(given)}; want {sorted(wanted)}")
        columns = {}
        for name, taken in wanted.items():
            datatype, shape = DATATYPES[taken["dtype"]], given[name]["shape"]
            if given[name]["datatype"] != datatype or shape[1:] not in (
                taken["shape"],
                taken["shape"] or [1],
            ):
                raise Refusal(400, f"input {name!r}: want {datatype} of shape [rows, *{taken['shape']}]")
            columns[name] = GRAPH.column(taken, flat(given[name]["data"]))
            if len(columns[name]) != shape[0] or not 1 <= shape[0] <= MAX_ROWS:
                raise Refusal(
                    400,
                    f"input {name!r}: {len(columns[name])} rows; the shape says {shape[0]}, at most {MAX_ROWS}",
                )
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise Refusal(400, f"not a request of the protocol: {type(error).__name__}: {error}") from None
    if len({len(values) for values in columns.values()}) > 1:
        raise Refusal(400, "inputs differ in their number of rows")
    outputs = [
        {
            "name": name,
            "shape": list(values.shape),
            "datatype": DATATYPES["str" if values.dtype == object else values.dtype.name],
            "data": [plain(value) for value in values.ravel().tolist()],
        }
        for name, values in GRAPH.answer(columns).items()
    ]
    return {"model_name": NAME, "model_version": VERSION, "id": request.get("id", ""), "outputs": outputs}


def metadata() -> dict[str, Any]:
    """What the model takes and gives."""
    inputs = [
        {"name": each["name"], "datatype": DATATYPES[each["dtype"]], "shape": [-1, *each["shape"]]}
        for each in FACTS["inputs"]
    ]
    outputs = [{"name": name} for name in [*FACTS["outputs"], "answer"]]
    return {
        "name": NAME,
        "versions": [VERSION],
        "platform": "onnxruntime_onnx",
        "inputs": inputs,
        "outputs": outputs,
    }


async def answer(method: str, path: str, receive: Receive) -> dict[str, Any]:
    """The JSON answer to a request. Raises Refusal."""
    if method == "GET" and path in ("/v2/health/live", "/v2/health/ready", f"/v2/models/{NAME}/ready"):
        return {"ready": True}
    if method == "GET" and path in (f"/v2/models/{NAME}", f"/v2/models/{NAME}/versions/{VERSION}"):
        return metadata()
    if method != "POST" or path not in (
        f"/v2/models/{NAME}/infer",
        f"/v2/models/{NAME}/versions/{VERSION}/infer",
    ):
        raise Refusal(404, f"{method} {path}: want POST /v2/models/{NAME}/infer")
    body, more = bytearray(), True
    while more:
        part = await receive()
        body += part.get("body", b"")
        more = part.get("more_body", False) and part["type"] != "http.disconnect"
        if len(body) > MAX_BODY:
            raise Refusal(413, f"the body has more than {MAX_BODY} bytes; send fewer rows a request")
    return await asyncio.to_thread(infer, bytes(body))


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """The ASGI application."""
    if scope["type"] != "http":
        return
    try:
        status, value = 200, await answer(scope["method"], scope["path"], receive)
    except Refusal as refusal:
        status, value = refusal.status, {"error": str(refusal)}
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(value).encode()})


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    host = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"
    uvicorn.run(application, host=host, port=port, log_level="warning", access_log=False)
