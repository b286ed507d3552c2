"""How services answer over HTTP on the loopback."""

import json
from datetime import datetime, timedelta
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

POLLED_WITHIN = timedelta(seconds=30)
"""A runner asks for work every second; one that has been silent for this long hangs."""
TIMEOUT_S = 5.0


def answers(url: str, _: datetime | None = None) -> bool:
    """Whether a GET of a loopback URL is answered with 200."""
    return ask(url) is not None


def polls(prefect_url: str, deployment: str, since: datetime) -> bool:
    """Whether a runner that started at `since` asks Prefect for the runs of a deployment."""
    flow, _, name = deployment.partition("/")
    wanted = {"deployments": {"name": {"any_": [name]}}, "flows": {"name": {"any_": [flow]}}}
    found = json.loads(ask(f"{prefect_url}/api/deployments/filter", wanted) or "[]")
    latest = [datetime.fromisoformat(each["last_polled"]) for each in found if each["last_polled"]]
    return any(polled >= since and datetime.now(polled.tzinfo) - polled < POLLED_WITHIN for polled in latest)


def ask(url: str, body: Any = None, timeout_s: float = TIMEOUT_S) -> bytes | None:
    """What a loopback URL answers to a GET, or to a POST of JSON; None where that is not 200 or 201, in time. No proxy comes between."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        if body is None:
            connection.request("GET", parts.path or "/")
        else:
            connection.request("POST", parts.path, json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        return response.read() if response.status in (200, 201) else None
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
