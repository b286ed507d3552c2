"""Pages of other origins that may ask the model server: those that GYRE_CORS_ORIGINS names, and no others.

Such a page sends a token of its own. A browser's own credentials never go along (there is no
Access-Control-Allow-Credentials), so what its user may do here is not lent to the page.
"""

from infra.guard import Application, Message, Receive, Send

METHODS = b"GET, HEAD, POST, DELETE, OPTIONS"
HEADERS = b"authorization, content-type, idempotency-key, inference-header-content-length, traceparent"
EXPOSED = b"inference-header-content-length, location, retry-after, traceparent"
REMEMBER_S = 600
"""How long a browser need not ask again whether it may."""


class Cors:
    """An application that tells browsers which pages may read its answers."""

    def __init__(self, application: Application, origins: frozenset[bytes]) -> None:
        """`origins`: such as `https://shop.example.com`."""
        self.application = application
        self.origins = origins

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Passes a request on; what a browser asks before it is answered here, since it carries no token."""
        headers = dict(scope["headers"]) if scope["type"] == "http" else {}
        origin = headers.get(b"origin")
        if origin is None or origin not in self.origins:
            await self.application(scope, receive, send)
            return
        told = [(b"access-control-allow-origin", origin), (b"vary", b"origin")]
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            told += [
                (b"access-control-allow-methods", METHODS),
                (b"access-control-allow-headers", HEADERS),
                (b"access-control-max-age", b"%d" % REMEMBER_S),
            ]
            await send({"type": "http.response.start", "status": 204, "headers": told})
            await send({"type": "http.response.body", "body": b""})
            return
        told.append((b"access-control-expose-headers", EXPOSED))

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *told]}
            await send(message)

        await self.application(scope, receive, telling)
