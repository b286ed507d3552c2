"""A line of JSON for each HTTP request, in `<home>/logs/access.log` where GYRE_ACCESS_LOG is on.

Nothing that was sent or answered is in it, nor what stands behind a question mark, which may hold a URL with
a
secret: only who asked what, and how it went.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import orjson

from infra.guard import ANYBODY, CALLER, Application, Message, Receive, Send

LONGEST_PATH = 200


class AccessLog:
    """An application each of whose requests is a line."""

    def __init__(self, application: Application, write: Callable[[str], None]) -> None:
        """`write`: appends a line."""
        self.application = application
        self.write = write

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        began, status, size = time.perf_counter(), 0, 0

        async def counting(message: Message) -> None:
            nonlocal status, size
            status = message.get("status", status)
            size += len(message.get("body", b""))
            await send(message)

        try:
            await self.application(scope, receive, counting)
        finally:
            told = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "caller": scope.get(CALLER, ANYBODY),
                "address": (scope.get("client") or ("", 0))[0],
                "method": scope["method"],
                "path": scope["path"][:LONGEST_PATH],
                "status": status,
                "bytes": size,
                "ms": round(1000 * (time.perf_counter() - began), 3),
            }
            self.write(orjson.dumps(told).decode())
