"""The installation's one credential.

Whoever has it may start runs, read reports and tell labels, and nobody else.

`<home>/credentials`, readable by its owner alone, is a netrc file, so that curl takes it too:
`curl --netrc-file .gyre/credentials URL`.
"""

import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

USER = "gyre"
BYTES = 32
"""Of randomness in a password: far more than can be tried."""


class CredentialError(RuntimeError):
    """The credential cannot be read; the message names the file and what to do."""


@dataclass(frozen=True)
class Credential:
    """User `gyre` and the installation's password, which is also the key of its signatures."""

    password: str = field(repr=False)

    @property
    def pair(self) -> str:
        """`user:password`, as Prefect's settings and clients take it."""
        return f"{USER}:{self.password}"

    @cached_property
    def headers(self) -> dict[str, str]:
        """What a request carries."""
        return {"authorization": f"Basic {b64encode(self.pair.encode()).decode()}"}

    @cached_property
    def authorization(self) -> bytes:
        """The header as a server sees it."""
        return self.headers["authorization"].encode()

    def fits(self, authorization: bytes) -> bool:
        """Whether a request's `Authorization` header is this credential's."""
        return hmac.compare_digest(authorization, self.authorization)

    def signature(self, purpose: str, value: Any) -> str:
        """64 hexadecimal digits that only this installation can give a JSON value.

        `purpose` keeps uses apart.
        """
        text = json.dumps([purpose, value], sort_keys=True, separators=(",", ":"))
        return hmac.new(self.password.encode(), text.encode(), hashlib.sha256).hexdigest()

    def signed(self, purpose: str, value: Any, signature: str) -> bool:
        """Whether a signature was made of that value, here."""
        return hmac.compare_digest(signature.encode(), self.signature(purpose, value).encode())


def read_credential(path: Path) -> Credential:
    """The installation's credential in its file, made where there is none yet. Raises CredentialError."""
    if not path.exists():
        make_credential(path)
    found = re.search(r"\bpassword\s+(\S{20,})", path.read_text(encoding="utf-8"))
    if found is None:
        advice = "remove the file, and the next `gyre up` makes a new one"
        raise CredentialError(f"{path}: holds no password; {advice}")
    return Credential(found[1])


def make_credential(path: Path) -> None:
    """Writes a new credential; of any number of processes that do it at once the first one's stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".credentials.")
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(f"default login {USER} password {secrets.token_urlsafe(BYTES)}\n")
            stream.flush()
            os.fsync(descriptor)
        # A link, unlike a rename, never takes the place of a file that another process has just made and
        # read.
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        Path(temporary).unlink()
