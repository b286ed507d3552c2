"""Server-sent events: what a client hears of while it waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import orjson

from tasks.serving.rest.calls import Receive, Reply, Send

CONTENT_TYPE = b"text/event-stream"
ALIVE_S = 15.0
"""Without an event for so long, a comment says that the connection lives: proxies close silent ones."""


def event(name: str, value: Any) -> bytes:
    """One event."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(value))


async def send_events(reply: Reply, events: AsyncIterator[bytes], receive: Receive, send: Send) -> None:
    """Sends events as they come, until there are no more or the client has left."""
    headers = [(b"content-type", CONTENT_TYPE), (b"cache-control", b"no-store"), *reply.headers]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    sending = asyncio.create_task(pass_on(events, send))
    leaving = asyncio.create_task(left(receive))
    try:
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, leaving):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    if sending.cancelled():
        return
    await send({"type": "http.response.body", "body": b""})


async def pass_on(events: AsyncIterator[bytes], send: Send) -> None:
    """Sends each event, and comments in between."""
    coming = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait((coming,), timeout=ALIVE_S)
            part = coming.result() if done else b": alive\n\n"
            if part is None:
                return
            await send({"type": "http.response.body", "body": part, "more_body": True})
            if done:
                coming = asyncio.ensure_future(anext(events, None))
    finally:
        coming.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await coming
        if hasattr(events, "aclose"):
            await events.aclose()


async def left(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
