"""Tokens of programs that ask the model server.

What each may do, of which projects, how often and until when.

`<home>/tokens.json` holds their digests, never the tokens: whoever reads the file cannot ask with them. It is
read anew when it changes, so that a token which was made or revoked counts without a restart.
"""

import fcntl
import hashlib
import logging
import math
import mmap
import os
import re
import secrets
import struct
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from infra.files import read_json, write_json

log = logging.getLogger("gyre.tokens")

Scope = Literal["predict", "label", "operate"]
"""`predict`: inference, logged as production traffic, and what describes a model. `label`: the truth of
requests. `operate`: counts, metrics, and what changes how models are served."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
BYTES = 32
"""Of randomness in a token: far more than can be tried, so a plain hash keeps it."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
LOOK_S = 0.2
"""How long a changed file may go unseen."""
BEARER = b"Bearer "
PLACE = struct.Struct("<Qddd")
"""Of a bucket in memory: its token, rate, what is left and since when."""
PLACES, NEAR = 4096, 16
"""Buckets, and how many are looked at for a token: far more than an installation has tokens with limits."""


class TokenError(ValueError):
    """A token cannot be made or found; the message says what to do."""


class Token(BaseModel):
    """What the bearer of a token may do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Who it was made for; the audit log names it."""
    digest: str
    """sha256 of the token."""
    scopes: tuple[Scope, ...]
    projects: tuple[str, ...] = ()
    """Whose models it is for; empty: all."""
    per_second: float | None = Field(default=None, gt=0)
    """Requests; none: no limit."""
    made: AwareDatetime
    expires: AwareDatetime | None = None

    def objection(self, scope: Scope | None, project: str | None, now: datetime) -> str | None:
        """Why it does not allow what needs a scope, and is about a project.

        `scope` None: what any token may.
        """
        if self.expires is not None and now >= self.expires:
            return f"token {self.name} expired {self.expires:%Y-%m-%d %H:%M} UTC; have a new one made"
        if scope is not None and scope not in self.scopes:
            return f"token {self.name} is for {', '.join(self.scopes)}; this needs {scope}"
        if project is not None and self.projects and project not in self.projects:
            return f"token {self.name} is for {', '.join(self.projects)}, not for {project}"
        return None


TOKENS = TypeAdapter(tuple[Token, ...])


@dataclass
class Bucket:
    """How many requests a token has left, refilled by time; a second's worth may come at once."""

    per_second: float
    left: float
    at: float

    def wait_s(self, now: float) -> float:
        """Takes one request, and gives 0; or takes none, and gives the seconds until there is one."""
        most = max(1.0, self.per_second)
        self.left = min(most, self.left + (now - self.at) * self.per_second)
        self.at = now
        if self.left < 1:
            return (1 - self.left) / self.per_second
        self.left -= 1
        return 0.0


class SharedBuckets:
    """The buckets of all limited tokens, in memory that processes share which are forked from this one.

    A token has its rate once, not once a process.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, PLACES * PLACE.size)
        self._lock = os.memfd_create("token buckets")
        weakref.finalize(self, os.close, self._lock)

    def wait_s(self, token: Token) -> float:
        """Counts a request of a token with a limit; see Bucket.wait_s."""
        key, per_second = int(token.digest[:16], 16) or 1, token.per_second or math.inf
        # Let go of by the kernel where the process is killed.
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            at = self._place(key)
            known, rate, left, since = PLACE.unpack_from(self._memory, at)
            now = time.monotonic()
            fresh = known != key or rate != per_second
            bucket = Bucket(per_second, max(1.0, per_second), now) if fresh else Bucket(rate, left, since)
            wait_s = bucket.wait_s(now)
            PLACE.pack_into(self._memory, at, key, per_second, bucket.left, bucket.at)
            return wait_s
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def _place(self, key: int) -> int:
        """Where a token's bucket lies, or may.

        The free one among the next, else the one unused for longest.
        """
        near = [(key + step) % PLACES * PLACE.size for step in range(NEAR)]
        found = {at: PLACE.unpack_from(self._memory, at) for at in near}
        for at, (known, *_) in found.items():
            if known == key:
                return at
        return min(near, key=lambda at: found[at][3])


@dataclass
class TokenFile:
    """The tokens of an installation. One process asks it from one thread."""

    path: Path
    _known: dict[str, Token] = field(default_factory=dict)
    _seen: tuple[int, int] | None = None
    _looked: float = -1.0
    _buckets: SharedBuckets = field(default_factory=SharedBuckets)

    def find(self, authorization: bytes) -> Token | None:
        """The token that an `Authorization: Bearer` header names; None where it names none of ours."""
        if not authorization.startswith(BEARER):
            return None
        self._refresh()
        return self._known.get(digest_of(authorization.removeprefix(BEARER)))

    def wait_s(self, token: Token) -> float:
        """Counts a request of a token; the seconds to wait where it has had its share, else 0."""
        if token.per_second is None:
            return 0.0
        return self._buckets.wait_s(token)

    def read(self) -> tuple[Token, ...]:
        """Every token, in the order they were made. Raises TokenError where the file is damaged."""
        if not self.path.exists():
            return ()
        try:
            return TOKENS.validate_python(read_json(self.path))
        except (ValidationError, ValueError) as error:
            problem = str(error)
            if isinstance(error, ValidationError):
                first = error.errors()[0]
                problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            advice = "restore it, or remove it and make the tokens again"
            raise TokenError(f"{self.path}: is no list of tokens ({problem}); {advice}") from None

    def make(
        self,
        name: str,
        scopes: tuple[Scope, ...],
        projects: tuple[str, ...] = (),
        per_second: float | None = None,
        lasts: timedelta | None = None,
    ) -> str:
        """A new token, which is told this once. Raises TokenError where the name is taken or is none."""
        if not NAME.fullmatch(name):
            raise TokenError(
                f"{name!r} is no name of a token; want letters, digits, '.', '_' and '-', such as shop"
            )
        secret, now = secrets.token_urlsafe(BYTES), datetime.now(UTC)
        token = Token(
            name=name,
            digest=digest_of(secret.encode()),
            scopes=scopes,
            projects=projects,
            per_second=per_second,
            made=now,
            expires=now + lasts if lasts else None,
        )
        with self._changing():
            known = self.read()
            if any(each.name == name for each in known):
                raise TokenError(f"there is a token {name!r} already; revoke it first, or take another name")
            self._write((*known, token))
        return secret

    def revoke(self, name: str) -> Token:
        """Takes a token away: its bearer is refused within a second.

        Raises TokenError where there is none.
        """
        with self._changing():
            known = self.read()
            found = next((each for each in known if each.name == name), None)
            if found is None:
                there = ", ".join(each.name for each in known) or "none"
                raise TokenError(f"there is no token {name!r}; there are: {there}")
            self._write(tuple(each for each in known if each.name != name))
        return found

    def _write(self, tokens: tuple[Token, ...]) -> None:
        write_json(self.path, TOKENS.dump_python(tokens, mode="json"))

    def _refresh(self) -> None:
        """Reads the file where it changed.

        A damaged one leaves nobody but the installation itself a way in.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        try:
            found = self.path.stat()
            seen = (found.st_mtime_ns, found.st_ino)
        except FileNotFoundError:
            seen = None
        if seen == self._seen:
            return
        self._seen, self._known = seen, {}
        try:
            self._known = {token.digest: token for token in self.read()}
        except TokenError:
            log.exception("no token counts")

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One process at a time changes the file."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.path.with_name(f".{self.path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def digest_of(secret: bytes) -> str:
    """What is kept of a token."""
    return hashlib.sha256(secret).hexdigest()
