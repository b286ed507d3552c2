"""Who may ask the model server what.

With the installation's credential: everything. With a token (infra/tokens.py): what its scopes allow. Without
either: a model may be described and asked, so that clients of the protocol work as they are, but such
requests stay out of the prediction log, or anybody on the machine could drift the model and have it
retrained; nobody tells labels. GYRE_ANONYMOUS makes this less (`refuse`) or more (`log`); on an address that
other machines reach, nobody is answered without a credential or token. No web page may ask anything
(infra/guard.py) but those of the origins in GYRE_CORS_ORIGINS (cors.py).

Each call that changes something, and each that was refused it, is a line of JSON in `<home>/logs/audit.log`.
"""

import fcntl
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

import orjson

from infra.guard import (
    ANYBODY,
    CALLER,
    INSTALLATION,
    TOO_MANY,
    UNAUTHORIZED,
    Application,
    Authorize,
    Grant,
    Guard,
    Message,
    Receive,
    Send,
)
from infra.settings import Settings
from infra.tokens import Scope, TokenFile
from tasks.serving.cors import Cors

log = logging.getLogger("gyre.serving")

HEALTH = re.compile(r"/v2/?|/v2/health/(live|ready)|/openapi\.json")
# Statistics of all models stand where a model would.
DESCRIBED = re.compile(r"/v2/models/(?!stats/?$)[^/]+(/versions/[^/]+)?(/ready|/config)?/?")
ASKED = re.compile(r"/v2/models/[^/]+(/versions/[^/]+)?/infer/?|/(predict|explain)/[^/]+/?")
JOBS = re.compile(r"/jobs/[^/]+(/[^/]+(/result|/events)?)?/?")
LABELS = re.compile(r"/v2/models/[^/]+/labels/?")
PROJECT = re.compile(r"/(?:v2/(?:repository/)?models|predict|explain|jobs)/([^/]+)")
READING = ("GET", "HEAD", "OPTIONS")
UNLOGGED = "answered but not logged, so drift monitoring does not see it: it came without the installation's credential"
TOLD_EVERY = 1000
"""Unlogged requests between two lines about them."""
FORBIDDEN = 403
UNKNOWN = "this token is not of this installation, or was revoked; `gyre token create` makes one"
NEEDED = (
    "this needs a token (Authorization: Bearer ..., made by `gyre token create`) "
    "or the installation's credential: user gyre, password in <home>/credentials"
)
AUDIT_BYTES, AUDIT_FILES = 10_000_000, 5


@dataclass(frozen=True)
class Access:
    """Who may ask what, and the audit of it, whichever way the model server is asked."""

    names: tuple[str, ...]
    """What it answers to over HTTP besides the loopback's names."""
    authorize: Authorize
    write: Callable[[str], None]
    """Appends a line to the audit log."""
    origins: frozenset[bytes] = frozenset()
    """Whose pages may ask it from a browser."""

    def guarded(self, application: Application) -> Application:
        """An application behind its guard, with an audit line for each call that changes something."""
        guard = Guard(application, self.names, self.authorize, self.origins)
        return Cors(Audit(guard, self), self.origins)

    def note(self, caller: str, address: str, method: str, path: str, status: int) -> None:
        """An audit line of a call that changes something, or would have; inference changes nothing."""
        if method in READING or ASKED.fullmatch(path):
            return
        told = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "caller": caller,
            "address": address,
            "method": method,
            "path": path,
            "status": status,
        }
        self.write(orjson.dumps(told).decode())


def access_of(settings: Settings) -> Access:
    """An installation's."""
    origins = frozenset(origin.encode() for origin in settings.pages)
    return Access(settings.names, with_tokens(settings), log_file(settings, "audit.log"), origins)


def with_tokens(settings: Settings) -> Authorize:
    """What callers may do.

    By the credential everything, by a token what it is for, by neither what is open.
    """
    credential, tokens, anonymous = (
        settings.credential,
        TokenFile(settings.home.tokens),
        settings.answers_anybody,
    )

    def authorize(authorization: bytes, method: str, path: str) -> Grant:
        if credential.fits(authorization):
            return Grant(INSTALLATION, trusted=True)
        scope = needed_scope(method, path)
        if authorization.startswith(b"Bearer "):
            return of_token(tokens, authorization, scope, project_of(path))
        # A job takes room on the disk until it is answered, and its answers are its caller's alone.
        if scope is None or (scope == "predict" and anonymous and not JOBS.fullmatch(path)):
            return Grant(ANYBODY)
        return Grant(ANYBODY, status=UNAUTHORIZED, reason=NEEDED)

    return authorize


def of_token(tokens: TokenFile, authorization: bytes, scope: Scope | None, project: str | None) -> Grant:
    """What the bearer of a token may do."""
    token = tokens.find(authorization)
    if token is None:
        return Grant(ANYBODY, status=UNAUTHORIZED, reason=UNKNOWN)
    if reason := token.objection(scope, project, datetime.now(UTC)):
        return Grant(token.name, status=FORBIDDEN, reason=reason)
    if wait_s := tokens.wait_s(token):
        reason = f"token {token.name} is for {token.per_second:g} requests a second"
        return Grant(token.name, status=TOO_MANY, reason=reason, retry_after_s=wait_s)
    return Grant(token.name, trusted=True)


def needed_scope(method: str, path: str) -> Scope | None:
    """What a token must be for; None for what anybody may ask. What is not known needs the most."""
    if method in READING and HEALTH.fullmatch(path):
        return None
    if ASKED.fullmatch(path) or JOBS.fullmatch(path) or (method in READING and DESCRIBED.fullmatch(path)):
        return "predict"
    return "label" if LABELS.fullmatch(path) else "operate"


def project_of(path: str) -> str | None:
    """The project that a path is about."""
    found = PROJECT.match(path)
    return found[1] if found else None


class Audit:
    """An application whose calls are noted once they are answered."""

    def __init__(self, application: Application, access: Access) -> None:
        self.application = application
        self.access = access

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http" or scope["method"] in READING or ASKED.fullmatch(scope["path"]):
            await self.application(scope, receive, send)
            return
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.application(scope, receive, noting)
        finally:
            address = (scope.get("client") or ("", 0))[0]
            self.access.note(scope.get(CALLER, ANYBODY), address, scope["method"], scope["path"], status)


class SharedLogFile(RotatingFileHandler):
    """A log file of several processes, which one of them renames when it is full.

    The others go on in the new one.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Appends a line to the file that has the name now."""
        with Path(f"{self.baseFilename}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.stream and not is_file_of(self.stream.fileno(), Path(self.baseFilename)):
                self.stream.close()
                self.stream = self._open()
            super().emit(record)


def is_file_of(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one that has the name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def log_file(settings: Settings, name: str) -> Callable[[str], None]:
    """Appends a line to a log such as audit.log, of which the newest files are kept."""
    folder = settings.home.make(settings.home.logs)
    logger = logging.Logger(f"gyre.{name}", logging.INFO)
    handler = SharedLogFile(folder / name, maxBytes=AUDIT_BYTES, backupCount=AUDIT_FILES, delay=True)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    return logger.info


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
