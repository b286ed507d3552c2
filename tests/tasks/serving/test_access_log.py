"""The access log: a line a request, without what was sent or answered."""

import asyncio
import json

import pytest

from infra.guard import CALLER
from infra.settings import Settings
from tasks.serving.access import log_file
from tasks.serving.access_log import AccessLog

SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/jobs/notes",
    "query_string": b"webhook=https://a/secret",
    "client": ("10.0.0.7", 5000),
}


async def answering(scope, receive, send):
    scope[CALLER] = "shop"
    await send({"type": "http.response.start", "status": 202, "headers": []})
    await send({"type": "http.response.body", "body": b"pay", "more_body": True})
    await send({"type": "http.response.body", "body": b"load"})


async def failing(scope, receive, send):
    raise RuntimeError("broken")


async def pass_over(message):
    pass


def test_a_request_is_a_line_that_holds_neither_payload_nor_query(tmp_path):
    settings = Settings(home=tmp_path / "home")
    write = log_file(settings, "access.log")
    asyncio.run(AccessLog(answering, write)(dict(SCOPE), None, pass_over))
    write.__self__.handlers[0].close()
    (line,) = (settings.home.logs / "access.log").read_text().splitlines()
    told = json.loads(line)
    assert (told.pop("ms") >= 0, "T" in told.pop("time")) == (True, True)
    assert told == {
        "caller": "shop",
        "address": "10.0.0.7",
        "method": "POST",
        "path": "/jobs/notes",
        "status": 202,
        "bytes": 7,
    }
    assert "secret" not in line


def test_a_request_that_breaks_the_application_is_a_line_too():
    lines = []
    with pytest.raises(RuntimeError):
        asyncio.run(AccessLog(failing, lines.append)(dict(SCOPE), None, pass_over))
    assert json.loads(lines[0])["status"] == 0
