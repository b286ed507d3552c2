"""The limits of a connection, by phase.

Until a request's head is there, until its body is, and between requests.

Uvicorn limits the last alone: a client that sends its header without end, or a byte of it a minute, would
hold memory and a connection for as long as it likes.
"""

import resource
from asyncio import TimerHandle, Transport

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_BYTES = 64 * 1024
"""Of a request's line and headers; a browser sends some 2 KB."""
UNREAD_BYTES = 64 * 2**20
"""Of a body that go on arriving behind its refusal: a client reads the refusal once it has sent its body, and
would see a reset connection in its place."""
PASS_OVER_S = 0.02
"""Between two reads of such a body, so that it takes little of the server's time."""
SPARE_FILES = 128
"""Open files that connections leave to the rest of the process."""


class LimitedConnection(HttpToolsProtocol):
    """Uvicorn's connection with limits to each phase."""

    head_s = 10.0
    """From the connection, or the request's first byte, to the end of its headers."""
    body_s = 30.0
    """From there to the end of the body: more than the server waits for one that it wants."""
    _phase: TimerHandle | None = None
    _head_bytes = 0
    _in_head = True
    _unread = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Refuses a connection more than the process has files for."""
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            self._refuse(
                503, f"the server has {len(self.connections) - 1} connections; try again in a second"
            )
            return
        self._begin(self.head_s, "the request's headers were not complete")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the timer."""
        self._end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes bytes as long as a head is not too long."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self._refuse(431, f"the request's line and headers have more than {HEAD_BYTES} bytes")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head, self._head_bytes, self._unread = True, 0, 0
        self._begin(self.head_s, "the request's headers were not complete")

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._in_head = False
        self._begin(self.body_s, "the request's body was not complete")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Takes a part of the body; one that nobody reads any more is passed over, for a while."""
        if self.cycle.response_complete:
            self._unread += len(body)
            if self._unread > UNREAD_BYTES:
                self.transport.abort()
                return
            self.flow.pause_reading()
            self.loop.call_later(PASS_OVER_S, self._read_on)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is."""
        self._end()
        super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Ends an idle connection, also one whose client does not read what it was answered."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def _begin(self, seconds: float, problem: str) -> None:
        """Gives a phase its time."""
        self._end()
        self._phase = self.loop.call_later(seconds, self._late, f"{problem} within {seconds:g} s")

    def _end(self) -> None:
        if self._phase is not None:
            self._phase.cancel()
            self._phase = None

    def _late(self, problem: str) -> None:
        """Ends a connection whose client is too slow.

        One that has sent nothing, or was answered, is told nothing.
        """
        # Behind an answer that is under way nothing else may be written.
        free = self.cycle is None or self.cycle.response_complete
        waits = (free and self._head_bytes > 0) if self._in_head else not self.cycle.response_started
        if waits and not self.transport.is_closing():
            self._refuse(408, problem)
        else:
            self.transport.abort()

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _refuse(self, status: int, reason: str) -> None:
        """Answers for the application, and closes."""
        self._end()
        body = orjson.dumps({"error": reason})
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(
            body
        )
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()


def most_connections() -> int:
    """By the files that the process may open."""
    return max(64, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES)


def allow_many_connections() -> None:
    """Raises the number of files that the process may open to what the system allows it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
