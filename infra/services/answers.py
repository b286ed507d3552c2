"""How services answer over HTTP on the loopback."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from http.client import HTTPConnection, HTTPException
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from infra.settings import Settings

POLLED_WITHIN = timedelta(seconds=30)
"""A runner asks for work every other second; one that has been silent for this long hangs."""
TIMEOUT_S = 5.0
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def answers(url: str, _: datetime | None = None) -> bool:
    """Whether a GET of a loopback URL is answered with 200."""
    return ask(url) is not None


def polls(settings: Settings, deployment: str, since: datetime) -> bool:
    """Whether a runner that started at `since` asks Prefect for the runs of a deployment."""
    found = ask(f"{settings.prefect_url}/api/deployments/name/{deployment}", headers=settings.credential.headers)
    latest = json.loads(found)["last_polled"] if found else None
    if latest is None:
        return False
    polled = datetime.fromisoformat(latest)
    return polled >= since and datetime.now(polled.tzinfo) - polled < POLLED_WITHIN


def may_change(settings: Settings, timeout_s: float = TIMEOUT_S) -> dict[str, str]:
    """The headers of requests that change something in Prefect: our credential, and a token against requests that others forge."""
    client, headers = uuid4().hex, settings.credential.headers
    answer = ask(f"{settings.prefect_url}/api/csrf-token?client={client}", timeout_s=timeout_s, headers=headers)
    token = json.loads(answer)["token"] if answer else ""
    return headers | {"prefect-csrf-client": client, "prefect-csrf-token": token}


def ask(url: str, body: Any = None, timeout_s: float = TIMEOUT_S, headers: Mapping[str, str] = NO_HEADERS) -> bytes | None:
    """What a loopback URL answers to a GET, or to a POST of JSON; None where that is not 200 or 201, in time. No proxy comes between."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    try:
        if body is None:
            connection.request("GET", target, headers=dict(headers))
        else:
            connection.request("POST", target, json.dumps(body), {"content-type": "application/json", **headers})
        response = connection.getresponse()
        return response.read() if response.status in (200, 201) else None
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
