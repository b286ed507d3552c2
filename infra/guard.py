"""What stands before each service of an installation: its names, which web pages may ask it, and who may.

A web page of anywhere can have its reader's browser send requests to this machine. Three checks stand against
that, none of which trusts the browser's user: the Host must be a name of ours (a foreign name that was made
to point here is
refused: DNS rebinding), the page that asks must be one of the same service, and the request must carry the
installation's credential, or for the model server a token of its own (infra/tokens.py).
"""

import math
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
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
"""Key of an ASGI scope: whether the request carries the credential, or a token that is enough for it."""
CALLER = "gyre.caller"
"""Key of an ASGI scope: who asks, by the name of the credential or token."""
INSTALLATION, ANYBODY = "gyre", "anybody"
UNAUTHORIZED, TOO_MANY = 401, 429


@dataclass(frozen=True)
class Grant:
    """What a caller may do with a path."""

    caller: str
    trusted: bool = False
    status: int = 200
    """HTTP's, where it may not."""
    reason: str | None = None
    """Why it may not; None where it may."""
    retry_after_s: float = 0.0


Authorize = Callable[[bytes, str, str], Grant]
"""What the bearer of an `Authorization` header may do with a method and path."""


def by_credential(
    credential: Credential, is_open: Callable[[str, str], bool] = lambda method, path: False
) -> Authorize:
    """Everything with the installation's credential; without it what `is_open` says of a method and path."""

    def authorize(authorization: bytes, method: str, path: str) -> Grant:
        if credential.fits(authorization):
            return Grant(INSTALLATION, trusted=True)
        if is_open(method, path):
            return Grant(ANYBODY)
        return Grant(ANYBODY, status=UNAUTHORIZED, reason=NEEDED)

    return authorize


class Guard:
    """An ASGI application behind the three checks."""

    def __init__(
        self,
        application: Application,
        names: Iterable[str],
        authorize: Authorize,
        origins: frozenset[bytes] = frozenset(),
    ) -> None:
        """`names`: what the service answers to besides the loopback's; `origins`: whose pages may ask it."""
        self.application = application
        self.names = frozenset(name.encode() for name in (*LOOPBACK, *names))
        self.authorize = authorize
        self.origins = origins

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Passes a request on, or refuses it."""
        if scope["type"] == "lifespan":
            await self.application(scope, receive, send)
            return
        headers = dict(scope["headers"])
        method = scope.get("method", "WEBSOCKET")
        status, reason = self.refusal(headers, method)
        wait_s = 0.0
        if reason is None:
            grant = self.authorize(headers.get(b"authorization", b""), method, scope["path"])
            scope[TRUSTED], scope[CALLER] = grant.trusted, grant.caller
            status, reason, wait_s = grant.status, grant.reason, grant.retry_after_s
        if reason is None:
            await self.application(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        else:
            await refuse(send, status, reason, wait_s)

    def refusal(self, headers: dict[bytes, bytes], method: str) -> tuple[int, str | None]:
        """HTTP status and reason where the Host is not ours, or the page that asks is another's."""
        host = headers.get(b"host", b"")
        if name_of(host) not in self.names:
            return 421, f"{quote_header(host)} is no name of this server; GYRE_ALLOWED_HOSTS lists more"
        origin = headers.get(b"origin")
        if origin in self.origins:
            return 200, None
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


async def refuse(send: Send, status: int, reason: str, retry_after_s: float = 0.0) -> None:
    """Answers with a reason; 401 has a browser ask for user and password."""
    body = orjson.dumps({"error": reason})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if retry_after_s:
        headers.append((b"retry-after", b"%d" % math.ceil(retry_after_s)))
    if status == UNAUTHORIZED:
        headers.append((b"www-authenticate", b'Basic realm="Gyre"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
