"""Calls to who wants to know that a job is finished, signed so that standardwebhooks.com's libraries verify them.

The secret of a caller comes from the installation's, so none is kept by job, and who knows one caller's
cannot sign for another. A call is repeated until it is answered with 2xx; `webhook-id` is the same then.
"""

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

import orjson

RETRY_S = (5.0, 30.0, 120.0, 600.0, 3600.0, 3 * 3600.0)
"""Between two calls; after the last one it is given up."""
PREFIX = "whsec_"


class Signer:
    """Signs for the callers of an installation."""

    def __init__(self, file: Path) -> None:
        """`file`: the installation's secret, made where there is none."""
        self._key = read_secret(file)

    def secret(self, caller: str) -> str:
        """A caller's secret, as the libraries that verify want it."""
        return PREFIX + base64.b64encode(self._of(caller)).decode()

    def headers(self, caller: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
        """A call's headers. `timestamp`: seconds since 1970, of this very call."""
        signed = f"{message_id}.{timestamp}.".encode() + body
        signature = base64.b64encode(hmac.digest(self._of(caller), signed, hashlib.sha256)).decode()
        return {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": f"v1,{signature}",
        }

    def _of(self, caller: str) -> bytes:
        return hmac.digest(self._key, f"webhook:{caller}".encode(), hashlib.sha256)


def read_secret(file: Path) -> bytes:
    """The secret in a file; of processes that begin together, the first one's."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        made = file.with_name(f".{file.name}.{os.getpid()}")
        made.touch(mode=0o600)
        made.write_bytes(secrets.token_bytes(32))
        try:
            # A link, unlike a rename, leaves what another process has made.
            os.link(made, file)
        except FileExistsError:
            pass
        finally:
            made.unlink()
    return file.read_bytes()


def message(told: dict[str, object]) -> bytes:
    """What is sent: the job's status, without its answers."""
    return orjson.dumps({"type": f"job.{told['state']}", "data": told})
