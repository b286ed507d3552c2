"""What stands before each service of an installation: its names, which web pages may ask it, and who may.

A web page of anywhere can have its reader's browser send requests to this machine. Three checks stand against that,
none of which trusts the browser's user: the Host must be a name of ours (a foreign name that was made to point here is
refused: DNS rebinding), the page that asks must be one of the same service, and the request must carry the
installation's credential.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import orjson

from infra.credentials import Credential

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
EMBEDDED = (b"image",)
"""What another of our services may show of this one: Prefect's pages hold pictures of the report pages."""
NEEDED = "this needs the credential of the installation: user gyre, password in <home>/credentials"
TRUSTED = "gyre.trusted"
"""Key of an ASGI scope: whether the request carries the credential."""


class Guard:
    """An ASGI application behind the three checks."""

    def __init__(
        self,
        application: Application,
        names: Iterable[str],
        credential: Credential,
        is_open: Callable[[str, str], bool] = lambda method, path: False,
    ) -> None:
        """An application and its guard.

        names: what the service answers to besides the loopback's names
        is_open: whether anybody may ask for a method and path
        """
        self.application = application
        self.names = frozenset(name.encode() for name in (*LOOPBACK, *names))
        self.credential = credential
        self.is_open = is_open

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Passes a request on, or refuses it."""
        if scope["type"] == "lifespan":
            await self.application(scope, receive, send)
            return
        headers = dict(scope["headers"])
        method = scope.get("method", "WEBSOCKET")
        status, reason = self.refusal(headers, method)
        scope[TRUSTED] = self.credential.fits(headers.get(b"authorization", b""))
        if reason is None and not scope[TRUSTED] and not self.is_open(method, scope["path"]):
            status, reason = 401, NEEDED
        if reason is None:
            await self.application(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        else:
            await refuse(send, status, reason)

    def refusal(self, headers: dict[bytes, bytes], method: str) -> tuple[int, str | None]:
        """HTTP status and reason where the Host is not ours, or the page that asks is another's."""
        host = headers.get(b"host", b"")
        if name_of(host) not in self.names:
            return 421, f"{quote_header(host)} is no name of this server; GYRE_ALLOWED_HOSTS lists more"
        origin = headers.get(b"origin")
        if origin is not None and origin.partition(b"://")[2] != host:
            return 403, f"a page of {quote_header(origin)} may not ask this server"
        if (site := headers.get(b"sec-fetch-site", b"none")) in (b"cross-site", b"same-site"):
            shows = headers.get(b"sec-fetch-dest", b"")
            opens = method in ("GET", "HEAD") and shows == b"document"
            if not opens and not (site == b"same-site" and shows in EMBEDDED):
                return 403, "a page of another site may not ask this server"
        return 200, None


def name_of(host: bytes) -> bytes:
    """A Host header without its port: what is reached through a forwarded port has another one."""
    name, colon, port = host.rpartition(b":")
    return (name if colon and port.isdigit() else host).lower()


def quote_header(value: bytes) -> str:
    """A header's value for a message."""
    return repr(value.decode("latin-1"))[:100]


async def refuse(send: Send, status: int, reason: str) -> None:
    """Answers with a reason; 401 has a browser ask for user and password."""
    body = orjson.dumps({"error": reason})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="Gyre"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
