"""What passes the guard, request by request, as browsers and programs write them."""

import asyncio
import json

import pytest

from infra.credentials import Credential
from infra.guard import TRUSTED, Guard, by_credential

CREDENTIAL = Credential("a-password-of-this-test")
AUTHORIZED = CREDENTIAL.headers


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(scope[TRUSTED]).encode()})


GUARD = Guard(
    application,
    ["gyre.example"],
    by_credential(CREDENTIAL, lambda method, path: (method, path) == ("GET", "/open")),
)


def ask(path="/", method="GET", kind="http", **headers):
    """Status and body that a request gets; headers with _ for -."""
    named = {"host": "127.0.0.1:4200"} | {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {"type": kind, "path": path, "headers": [(k.encode(), v.encode()) for k, v in named.items()]}
    if kind == "http":
        scope["method"] = method
    sent = []

    async def receive():
        return {"type": f"{kind}.connect"}

    async def send(message):
        sent.append(message)

    asyncio.run(GUARD(scope, receive, send))
    return sent[0].get("status", sent[0].get("code")), json.loads(sent[-1].get("body", b"null"))


def test_the_credential_opens_and_nothing_else_does():
    assert ask(**AUTHORIZED) == (200, True)
    assert ask()[0] == 401
    assert ask(authorization="Basic Z3lyZTp3cm9uZw==")[0] == 401
    assert ask(authorization=AUTHORIZED["authorization"].lower())[0] == 401
    assert "user gyre, password in <home>/credentials" in ask()[1]["error"]


def test_what_is_open_is_told_apart_from_what_is_trusted():
    assert ask("/open") == (200, False)
    assert ask("/open", **AUTHORIZED) == (200, True)
    assert ask("/open", method="POST")[0] == 401


@pytest.mark.parametrize(
    "host", ["127.0.0.1:4200", "127.0.0.1", "localhost:80", "[::1]:4200", "LOCALHOST", "gyre.example"]
)
def test_names_of_ours_are_answered_through_any_port(host):
    assert ask(host=host, **AUTHORIZED)[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.test", "evil.test:4200", "127.0.0.1.evil.test", "127.0.0.1@evil.test", "", "gyre.example.evil"],
)
def test_a_name_that_was_made_to_point_here_is_refused_even_with_the_credential(host):
    status, body = ask("/open", host=host, **AUTHORIZED)
    assert status == 421
    assert "GYRE_ALLOWED_HOSTS" in body["error"]


@pytest.mark.parametrize(
    "origin",
    ["http://evil.test", "http://127.0.0.1:9999", "null", "http://localhost:4200", "http://127.0.0.1"],
)
def test_a_page_of_another_origin_is_refused_even_with_the_credential(origin):
    assert ask("/open", origin=origin, **AUTHORIZED)[0] == 403
    assert ask("/open", kind="websocket", origin=origin, **AUTHORIZED)[0] == 1008


def test_pages_of_ours_ask_also_behind_a_proxy_that_speaks_tls():
    assert ask(origin="http://127.0.0.1:4200", **AUTHORIZED)[0] == 200
    assert ask(origin="https://gyre.example", host="gyre.example", **AUTHORIZED)[0] == 200


def test_a_foreign_page_may_link_here_but_not_frame_load_or_post():
    foreign = {"sec_fetch_site": "cross-site", **AUTHORIZED}
    assert ask(sec_fetch_dest="document", **foreign)[0] == 200
    assert ask(sec_fetch_dest="document", method="POST", **foreign)[0] == 403
    for shown in ("iframe", "script", "image", "empty", "object"):
        assert ask(sec_fetch_dest=shown, **foreign)[0] == 403


def test_prefects_pages_show_pictures_of_the_report_pages_and_nothing_else_of_them():
    beside = {"sec_fetch_site": "same-site", **AUTHORIZED}
    assert ask(sec_fetch_dest="image", **beside)[0] == 200
    for shown in ("iframe", "script", "empty"):
        assert ask(sec_fetch_dest=shown, **beside)[0] == 403
