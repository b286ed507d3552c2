"""The model server's certificate, read anew when its files change: renewing it needs no restart."""

import asyncio
import logging
import ssl
from pathlib import Path
from typing import NamedTuple

from tasks.serving.models.routing import POLL_S, Stamp, file_stamp

log = logging.getLogger("gyre.serving")


class Pair(NamedTuple):
    """A private key and the certificate's chain, PEM."""

    key: bytes
    chain: bytes


class Certificate:
    """Two files, and what was in them when they last fitted together."""

    def __init__(self, certificate: str, key: str) -> None:
        """Raises ssl.SSLError, OSError where they are no certificate and its key."""
        self._files = Path(certificate), Path(key)
        self._seen = self._stamps()
        self.pair = self._read()

    async def follow(self, context: ssl.SSLContext) -> None:
        """Has a socket's context use them whenever they changed; connections that there are go on."""
        while True:
            await asyncio.sleep(POLL_S)
            if (seen := self._stamps()) == self._seen:
                continue
            self._seen = seen
            try:
                # Tried apart: a certificate without its key would leave the context with neither.
                self.pair = self._read()
                context.load_cert_chain(*self._files)
            except (OSError, ssl.SSLError) as error:
                # One file is written after the other; the second one's change is looked at again.
                log.error("the certificate stays as it was: %s and %s: %s", *self._files, error)
            else:
                log.info("the certificate was read anew: %s", self._files[0])

    def _read(self) -> Pair:
        certificate, key = self._files
        pair = Pair(key.read_bytes(), certificate.read_bytes())
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        return pair

    def _stamps(self) -> tuple[Stamp, Stamp]:
        certificate, key = self._files
        return file_stamp(certificate), file_stamp(key)
