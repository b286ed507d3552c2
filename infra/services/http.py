"""How services answer over HTTP on the loopback."""

import json
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from infra.services.errors import ServicesError
from infra.settings import Settings
from infra.tls import own_server

POLLED_WITHIN = timedelta(seconds=30)
"""A runner asks for work every other second; one that has been silent for this long hangs."""
TIMEOUT_S = 5.0
PAUSE_S = 0.2
"""Between two attempts at a busy server."""
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def answers(url: str, _: datetime | None = None, certificate: str = "") -> bool:
    """Whether a GET of a loopback URL is answered with 200.

    `certificate`: the PEM file of one that speaks TLS.
    """
    return ask(url, certificate=certificate) is not None


def polls(settings: Settings, deployment: str, since: datetime) -> bool:
    """Whether a runner that started at `since` asks Prefect for the runs of a deployment."""
    found = ask(
        f"{settings.prefect_url}/api/deployments/name/{deployment}", headers=settings.credential.headers
    )
    latest = json.loads(found)["last_polled"] if found else None
    if latest is None:
        return False
    polled = datetime.fromisoformat(latest)
    return polled >= since and datetime.now(polled.tzinfo) - polled < POLLED_WITHIN


def may_change(settings: Settings, within_s: float) -> dict[str, str]:
    """The headers of requests that change something in Prefect.

    Our credential, and a token against forged requests.

    Raises ServicesError as `insist` does.
    """
    client, headers = uuid4().hex, settings.credential.headers
    answer = insist(
        f"{settings.prefect_url}/api/csrf-token?client={client}", within_s=within_s, headers=headers
    )
    return headers | {"prefect-csrf-client": client, "prefect-csrf-token": json.loads(answer)["token"]}


def insist(url: str, body: Any = None, *, within_s: float, headers: Mapping[str, str] = NO_HEADERS) -> bytes:
    """What `ask` gives, asked again while a busy server answers late or refuses.

    Prefect's SQLite can be locked for seconds.

    Raises ServicesError naming the URL when `within_s` seconds have brought no answer.
    """
    begun = time.monotonic()
    while (left := begun + within_s - time.monotonic()) > 0:
        if (answer := ask(url, body, left, headers)) is not None:
            return answer
        time.sleep(PAUSE_S)
    raise ServicesError(
        f"{url.partition('?')[0]} has not answered for {within_s:.0f} s; gyre status shows where its log is"
    )


def ask(
    url: str,
    body: Any = None,
    timeout_s: float = TIMEOUT_S,
    headers: Mapping[str, str] = NO_HEADERS,
    certificate: str = "",
) -> bytes | None:
    """What a loopback URL answers to a GET, or to a POST of JSON; None where that is not 200 or 201, in time.

    No proxy comes between.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = HTTPConnection(host, parts.port, timeout=timeout_s)
    if certificate:
        connection = HTTPSConnection(host, parts.port, timeout=timeout_s, context=own_server(certificate))
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    try:
        if body is None:
            connection.request("GET", target, headers=dict(headers))
        else:
            connection.request(
                "POST", target, json.dumps(body), {"content-type": "application/json", **headers}
            )
        response = connection.getresponse()
        return response.read() if response.status in (200, 201) else None
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
