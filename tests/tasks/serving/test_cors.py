"""Pages of named origins may ask the model server from a browser, and no others."""

import asyncio

import pytest

from infra.guard import TRUSTED
from infra.settings import Settings
from tasks.serving.access import Access, with_tokens

SHOP = "https://shop.example.com"


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"yes" if scope[TRUSTED] else b"no"})


@pytest.fixture
def ask(tmp_path):
    settings = Settings(home=tmp_path / "home", cors_origins=f"{SHOP}, http://localhost:3000")
    origins = frozenset(page.encode() for page in settings.pages)
    guarded = Access(settings.names, with_tokens(settings), print, origins).guarded(application)

    def asked(method, **headers):
        """Status, headers and body."""
        named = {"host": "127.0.0.1:8080", "sec-fetch-site": "cross-site"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        pairs = [(name.encode(), value.encode()) for name, value in named.items()]
        scope = {"type": "http", "method": method, "path": "/predict/spots", "headers": pairs}
        sent = []

        async def send(message):
            sent.append(message)

        asyncio.run(guarded(scope, None, send))
        return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]

    return asked


def test_a_browser_is_told_that_a_page_of_a_named_origin_may_ask_with_a_token(ask):
    status, headers, _ = ask("OPTIONS", origin=SHOP, access_control_request_method="POST")
    assert (status, headers[b"access-control-allow-origin"]) == (204, SHOP.encode())
    assert b"authorization" in headers[b"access-control-allow-headers"]
    assert b"access-control-allow-credentials" not in headers


def test_what_such_a_page_asks_is_answered_so_that_it_can_read_it(ask):
    status, headers, body = ask("POST", origin=SHOP)
    assert (status, headers[b"access-control-allow-origin"], body) == (200, SHOP.encode(), b"no")


@pytest.mark.parametrize("origin", ["https://evil.org", f"{SHOP}.evil.org", f"{SHOP}:8443", "null"])
@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
def test_pages_of_other_origins_are_refused(ask, origin, method):
    status, headers, _ = ask(method, origin=origin, access_control_request_method="POST")
    assert (status, b"access-control-allow-origin" in headers) == (403, False)


@pytest.mark.parametrize("given", ["*", "shop.example.com", f"{SHOP}/", "https://Shop.example.com"])
def test_what_is_no_origin_is_refused(tmp_path, given):
    with pytest.raises(ValueError, match="is no origin; want such as https"):
        Settings(home=tmp_path / "home", cors_origins=given)
