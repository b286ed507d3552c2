"""One HTTP request and its reply, as the handlers of every path have them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import orjson

from tasks.serving.model_server import BODY_LIMIT
from tasks.serving.protocol.inference import Caller
from tasks.serving.protocol.refusal import Refusal, check_known, shorten
from tasks.serving.rest.encodings import inflate

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
LARGE = 2**16
"""Bytes from which a body is inflated or compressed in another thread, so that it holds up nobody else."""


class Call(NamedTuple):
    """One HTTP request."""

    headers: Mapping[bytes, bytes]
    receive: Receive
    caller: Caller
    query: bytes = b""

    def asked(self, known: Mapping[str, bool | str | None]) -> dict[str, str]:
        """The query's values by name. Refuses (400) those that mean nothing, and one that comes twice."""
        found = dict[str, str]()
        for name, value in parse_qsl(self.query.decode("latin-1"), keep_blank_values=True):
            if name in found:
                raise Refusal(400, f"the query has {shorten(name)} twice; want it once")
            found[name] = value
        check_known(found, list(known), "the query")
        return found

    def header(self, name: str) -> str:
        """A header's text; empty where there is none."""
        return self.headers.get(name.encode(), b"").decode("latin-1").strip()

    async def body(self, limit: int = BODY_LIMIT) -> bytes:
        """Its whole body, inflated. Refuses (413) one of more than `limit` bytes."""
        body = await read_body(self.headers, self.receive, limit)
        encoding = self.headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
        if encoding in ("identity", ""):
            return body
        if len(body) < LARGE // 16:
            return inflate(body, encoding, limit)
        return await asyncio.to_thread(inflate, body, encoding, limit)


class Reply(NamedTuple):
    """What answers it."""

    body: bytes
    status: int = 200
    content_type: bytes = b"application/json"
    headers: Sequence[tuple[bytes, bytes]] = ()
    events: AsyncIterator[bytes] | None = None
    """What is sent bit by bit in the place of a body."""


Handler = Callable[[Call], Awaitable[Reply]]


def telling(value: Callable[[], Any]) -> Handler:
    """A handler that answers with a JSON value; a body is passed over."""

    async def answer(call: Call) -> Reply:
        return json_reply(value())

    return answer


def replying(reply: Reply) -> Handler:
    """A handler that always replies the same."""

    async def answer(call: Call) -> Reply:
        return reply

    return answer


def json_reply(value: Any, status: int = 200, headers: list[tuple[bytes, bytes]] | None = None) -> Reply:
    """A JSON value as a reply."""
    return Reply(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), status, headers=headers or ())


def is_true(asked: Mapping[str, str], name: str, usual: bool) -> bool:
    """A switch of a query; named alone it is on."""
    value = asked.get(name)
    if value is None:
        return usual
    if value.lower() in ("", "true", "1", "false", "0"):
        return value.lower() in ("", "true", "1")
    raise Refusal(400, f"the query's {name} is {shorten(value)}; want true or false")


def whole_number(header: bytes | None) -> int:
    """A header's number; 0 where it is none."""
    return int(header) if header and header.isdigit() else 0


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, limit: int = BODY_LIMIT) -> bytes:
    """A request's body as it arrives; what takes too long ends with the connection (connections.py).

    Refuses (413) one over the limit as soon as that is known.
    """
    check_size(whole_number(headers.get(b"content-length")), limit)
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(400, "the client left before its body was complete")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        check_size(size, limit)
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def check_size(size: int, limit: int) -> None:
    """Refuses (413) a body over the limit."""
    if size > limit:
        raise Refusal(
            413, f"the body has {size} bytes or more; want at most {limit}, so send fewer rows a request"
        )
