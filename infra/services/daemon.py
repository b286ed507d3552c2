"""One installation's supervisord: its configuration, its start, and control over its private unix socket."""

import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from xmlrpc.client import Fault, ServerProxy

from infra.files import whole_file
from infra.services.errors import ServicesError, tail
from infra.services.processes import MARK
from infra.services.table import Service
from infra.settings import Settings

LONGEST_SOCKET = 90
"""Bytes; the kernel takes 107, and supervisord first binds a name longer by its pid."""
POLL_S = 0.1
PROJECT = Path(__file__).parents[2]
"""The folder that holds flows, tasks, infra and configs."""

MAIN = """\
; Written by `gyre up`; changes are lost. {settings} {credential}
[supervisord]
logfile = {logs}/supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 1
pidfile = {folder}/supervisord.pid
childlogdir = {logs}
directory = {home}
umask = 077
[unix_http_server]
file = {socket}
chmod = 0700
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[rpcinterface:gyre]
supervisor.rpcinterface_factory = infra.restart_history:Restarts
"""
# A process that ends within `startsecs` is started again after a pause; it is never given up, as what it
# lacks may come back.
PROGRAM = """\
[program:{name}]
command = {command}
priority = {priority}
autorestart = true
startsecs = 20
startretries = 1000000000
stopwaitsecs = {stop_s}
stopasgroup = true
killasgroup = true
redirect_stderr = true
stdout_logfile = {log}
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 2
"""


class State(NamedTuple):
    """What supervisord knows of one process."""

    name: str
    """STARTING, RUNNING, BACKOFF (waits before another try), EXITED, STOPPING or STOPPED."""
    pid: int | None
    since: datetime | None
    """When the process started; None where none runs."""


class Ends(NamedTuple):
    """How often, when and why a service ended unasked since supervisord started.

    Each time it was started again.
    """

    times: int
    first: datetime
    last: datetime
    reason: str
    """Of the last end: an exit status, a signal, or why it could not be started."""
    words: str
    """The last lines of its log at that time, indented."""


class Daemon:
    """The supervisord of one home, running or not."""

    def __init__(self, settings: Settings, table: Sequence[Service]) -> None:
        """Nothing is started or written yet."""
        self.settings = settings
        self.table = table
        self.folder = settings.home.make(settings.home.services)
        self.file = self.folder / "supervisord.conf"

    def start(self) -> None:
        """Writes the configuration and starts supervisord in a session of its own; it starts the services.

        Raises ServicesError.
        """
        self.settings.home.make(self.settings.home.logs)
        if self.socket.parent != self.folder:
            make_private(self.socket.parent)
        with whole_file(self.file) as temporary:
            temporary.write_text(self.configuration(), encoding="utf-8")
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.file)]
        # It returns once supervisord has opened its socket and left for the background.
        started = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False)
        if started.returncode:
            raise ServicesError(f"supervisord does not start:\n{started.stdout}{started.stderr}")

    def states(self) -> dict[str, State] | None:
        """Every service's state by name; None when no supervisord answers."""
        try:
            found = self.call("supervisor.getAllProcessInfo")
        except Fault:
            return {}
        if found is None:
            return None
        return {
            each["name"]: State(each["statename"], each["pid"] or None, start_time(each)) for each in found
        }

    def ends(self) -> dict[str, Ends]:
        """The services that ended unasked, by name; empty when no supervisord answers."""
        found = self.call("gyre.ends") or []
        return {
            each["name"]: Ends(
                each["count"],
                from_epoch(each["first"]),
                from_epoch(each["last"]),
                each["reason"],
                each["words"],
            )
            for each in found
        }

    def start_stopped(self) -> None:
        """Starts what was stopped, and ends the pause of what ended again and again."""
        for name, state in (self.states() or {}).items():
            if state.name in ("STOPPED", "EXITED"):
                with suppress(Fault):  # it has started by itself in the meantime
                    self.call("supervisor.startProcess", name, False)
        self.call("gyre.hurry")

    def shut_down(self) -> None:
        """Stops the services, the last of the table first, then supervisord, and waits for it.

        Does nothing where none answers.
        """
        deadline = time.monotonic() + sum(service.stop_s for service in self.table) + 5
        with suppress(Fault):  # raised when it is on its way down already
            self.call("supervisor.shutdown")
        # Each call also wakes supervisord, which otherwise looks at its processes once a second.
        while time.monotonic() < deadline and self.states() is not None:
            time.sleep(POLL_S)
        if self.socket.parent != self.folder:
            self.socket.unlink(missing_ok=True)
            with suppress(OSError):  # another home's socket is in it, or it was never made
                self.socket.parent.rmdir()

    def is_current(self) -> bool:
        """Whether the configuration on disk is what these settings give."""
        return self.file.is_file() and self.file.read_text(encoding="utf-8") == self.configuration()

    def log(self, service: Service) -> Path:
        """The file that takes a service's output."""
        return self.settings.home.logs / f"{service.name}.log"

    def tail(self, service: Service) -> str:
        """The end of a service's log."""
        return tail(self.log(service))

    @property
    def socket(self) -> Path:
        """Where supervisord listens.

        In the home, or for a home too deep for a socket's name in a private temporary folder.
        """
        socket = self.folder / "supervisor.sock"
        if len(os.fsencode(socket)) <= LONGEST_SOCKET:
            return socket
        name = hashlib.sha256(os.fsencode(self.settings.home)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"gyre-{os.getuid()}" / f"{name}.sock"

    def configuration(self) -> str:
        """The text of supervisord.conf."""
        home = self.settings.home
        require_plain(home.root, self.socket, sys.executable)
        text = MAIN.format(
            settings=self.settings.model_dump_json(),
            # Services that hold another credential than this are not current; the signature tells nothing
            # about it.
            credential=self.settings.credential.signature("services", str(home)),
            home=home,
            logs=home.logs,
            folder=self.folder,
            socket=self.socket,
        )
        for priority, service in enumerate(self.table):
            text += PROGRAM.format(
                name=service.name,
                command=shlex.join(service.command),
                priority=priority,
                stop_s=service.stop_s,
                log=self.log(service),
            )
        return text

    def environment(self) -> dict[str, str]:
        """What every service inherits.

        This process's environment, the installation's, and the user's own code on the import path.
        """
        imports = [str(PROJECT), str(Path.cwd()), os.environ.get("PYTHONPATH", "")]
        programs = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
        own = {
            MARK: str(self.settings.home),
            "PYTHONPATH": os.pathsep.join(filter(None, imports)),
            "PATH": os.pathsep.join(filter(None, programs)),
            "PYTHONUNBUFFERED": "1",
        }
        return dict(os.environ) | self.settings.environment() | own

    def call(self, method: str, *arguments: Any) -> Any:
        """The answer of supervisord's XML-RPC API; None when no supervisord answers. Raises Fault."""
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        try:
            with ServerProxy("http://localhost", transport=transport) as proxy:
                return getattr(proxy, method)(*arguments)
        except (OSError, HTTPException):
            return None


def start_time(info: dict[str, Any]) -> datetime | None:
    """When the process of one of supervisord's records started."""
    return from_epoch(info["start"]) if info["pid"] else None


def from_epoch(seconds: float) -> datetime:
    """Seconds since 1970 as a time (UTC)."""
    return datetime.fromtimestamp(seconds, UTC)


def require_plain(*paths: str | Path) -> None:
    """supervisord.conf expands %, and reads what follows a blank and ; or # as a comment.

    Raises ServicesError.
    """
    for path in map(str, paths):
        if any(sign in path for sign in ("%", " ;", " #", "\n")):
            raise ServicesError(
                f"{path}: supervisord cannot read a path with '%', ' ;', ' #' or a line break; use a folder named otherwise"
            )


def make_private(folder: Path) -> None:
    """A folder that only this user can enter; whoever reaches a socket in it commands the services.

    Raises ServicesError.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ServicesError(
            f"{folder} belongs to somebody else or is open to others; remove it, or choose a shorter GYRE_HOME than yours"
        )
