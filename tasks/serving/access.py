"""Who may ask the model server what.

With the installation's credential: everything. Without: a model may be described and asked, so that clients
of the protocol work as they are, but such requests stay out of the prediction log, or anybody on the machine
could drift the model and have it retrained; nobody tells labels. GYRE_ANONYMOUS makes this less (`refuse`) or
more (`log`). No web page may ask anything (infra/guard.py).
"""

import logging
import re

from infra.guard import Application, Guard
from infra.settings import Settings

log = logging.getLogger("gyre.serving")

HEALTH = re.compile(r"/v2/?|/v2/health/(live|ready)")
DESCRIBED = re.compile(r"/v2/models/[^/]+(/versions/[^/]+)?(/ready)?/?")
ASKED = re.compile(r"/v2/models/[^/]+(/versions/[^/]+)?/infer/?")
UNLOGGED = "answered but not logged, so drift monitoring does not see it: it came without the installation's credential"
TOLD_EVERY = 1000
"""Unlogged requests between two lines about them."""


def guarded(application: Application, settings: Settings) -> Guard:
    """The server's application behind its guard."""

    def is_open(method: str, path: str) -> bool:
        """Whether a request without the credential may pass."""
        if method == "GET" and HEALTH.fullmatch(path):
            return True
        if settings.anonymous == "refuse":
            return False
        return bool((ASKED if method == "POST" else DESCRIBED).fullmatch(path)) and method in ("GET", "POST")

    return Guard(application, settings.names, settings.credential, is_open)


class Anonymous:
    """Counts the requests that came without the credential, and says that they are not logged."""

    def __init__(self) -> None:
        self.count = 0

    def notice(self, project: str) -> str:
        """What the answer to one more says; the server's log tells the first, and each thousandth."""
        if self.count % TOLD_EVERY == 0:
            advice = "Send it, or set GYRE_ANONYMOUS=log"
            log.warning("%s: %s (%d such requests before it). %s", project, UNLOGGED, self.count, advice)
        self.count += 1
        return UNLOGGED
