"""Several processes that serve one port, under a parent that starts each again which ends.

The kernel deals connections out to them (SO_REUSEPORT). They are forked from a parent that has imported
everything and has one thread: memory of what they have in common is there once, and a new one is there in a
fraction of a second. The parent serves nobody; it keeps the ports, so that no other server gets between.
"""

import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

from infra.settings import Settings
from infra.shutdown import killed_with_parent
from tasks.serving.processes.board import Board

log = logging.getLogger("gyre.serving")
FAILED = 3
"""Exit status of a process that could not begin to serve; uvicorn's."""
PAUSE_S = 1.0
"""Before a process is started again that ended within so long: it would do so again and again."""

Serve = Callable[[int], None]
"""What the process of a number does until it is told to end."""


@dataclass
class Processes:
    """The processes of one server."""

    board: Board
    serve: Serve
    _running: dict[int, int] = field(default_factory=dict)
    """Their numbers, by process id."""
    _since: dict[int, float] = field(default_factory=dict)
    """When each was started, by its number."""
    _ending: bool = False

    def run(self) -> int:
        """Starts them, and starts again who ends, until SIGTERM or SIGINT; the exit status."""
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._end)
        # What is here now stays; the collector would write to its pages, and they would no longer be shared.
        gc.collect()
        gc.freeze()
        for number in range(len(self.board)):
            self._start(number)
        while self._running:
            pid, status = os.wait()
            if (number := self._running.pop(pid, -1)) >= 0 and not self._ending:
                self._ended(number, pid, os.waitstatus_to_exitcode(status))
        return 0 if all(self.board.read(number) for number in range(len(self.board))) else FAILED

    def _start(self, number: int) -> None:
        """Forks a process; it returns in the parent alone."""
        parent = os.getpid()
        self._since[number] = time.monotonic()
        if pid := os.fork():
            self._running[pid] = number
            return
        status = FAILED
        try:
            for each in (signal.SIGTERM, signal.SIGINT):
                signal.signal(each, signal.SIG_DFL)
            killed_with_parent(parent)
            self.serve(number)
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else FAILED
        except BaseException:
            log.exception("process %d", number)
        finally:
            logging.shutdown()
            sys.stdout.flush()
            # Nothing of the parent's is cleaned up by its child.
            os._exit(status)

    def _ended(self, number: int, pid: int, status: int) -> None:
        """Starts a process again; where it never began to serve, ends them all."""
        if self.board.read(number) is None:
            log.error("process %d (pid %d) could not begin to serve; the others are ended", number, pid)
            self._end()
            return
        if (lived_s := time.monotonic() - self._since[number]) < PAUSE_S:
            time.sleep(PAUSE_S)
        if self._ending:
            return
        self.board.count_restart(number)
        self._start(number)
        reason = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        log.error("process %d (pid %d) %s after %.0f s and is started again", number, pid, reason, lived_s)

    def _end(self, *_: int | FrameType | None) -> None:
        """Asks all of them to end."""
        self._ending = True
        for pid in self._running:
            os.kill(pid, signal.SIGTERM)


def reserve(settings: Settings) -> list[socket.socket]:
    """Sockets that hold the server's ports without listening, so that others cannot have them.

    Raises OSError where another process has one, also one that would share it.
    """
    held = []
    for port in (settings.server_port, settings.grpc_port):
        with bind(settings.host, port, shared=False):
            pass
        held.append(bind(settings.host, port, shared=True))
    return held


def bind(host: str, port: int, shared: bool) -> socket.socket:
    """A socket on a port, which others of the same user may bind too where it is `shared`."""
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise OSError(error.errno, f"{error.strerror}: {host}:{port}") from None
    return found
