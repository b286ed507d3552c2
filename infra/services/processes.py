"""Processes and ports.

Who holds a port, and which processes belong to an installation, whoever their parent is by now.
"""

import errno
import os
import signal
import socket
import time
from collections.abc import Iterable
from contextlib import suppress

import psutil

from infra.home import Home
from infra.services.errors import ServicesError
from infra.services.table import Service

MARK = "GYRE_SERVICES_OF"
"""Environment variable that every service and everything it starts inherits. It finds them even when
supervisord was killed."""
KILL_S = 5.0
POLL_S = 0.05


def check_ports(host: str, table: Iterable[Service]) -> None:
    """Raises ServicesError that names every port which two services share or another process holds."""
    problems = []
    owners: dict[int, tuple[str, str]] = {}
    for service in table:
        for port, variable in service.ports:
            if other := owners.get(port):
                problems.append(
                    f"port {port} is set for both {other[0]} ({other[1]}) and {service.title} ({variable})"
                )
            elif is_taken(host, port):
                problems.append(f"port {port} ({service.title}, {variable}) is taken by {holder(port)}")
            owners[port] = service.title, variable
    if problems:
        raise ServicesError("\n".join(problems) + "\nFree it, or set another port in that variable.")


def is_taken(host: str, port: int) -> bool:
    """Whether another process listens there, and goes on to for a second.

    One that was just killed closes its sockets a moment later.
    """
    deadline = time.monotonic() + 1
    while not (free := can_bind(host, port)) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return not free


def can_bind(host: str, port: int) -> bool:
    """Whether a server could listen there now. Raises ServicesError where the host is not this machine's."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                reason = f"cannot listen on {host}:{port}: {error.strerror}; GYRE_HOST must be an address of this machine"
                raise ServicesError(reason) from error
            return False
    return True


def holder(port: int) -> str:
    """Name, pid and command of the process that listens on a port."""
    try:
        sockets = [each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
        process = psutil.Process(
            next(each.pid for each in sockets if each.pid and each.laddr and each.laddr.port == port)
        )
        return f"{process.name()} (pid {process.pid}): {' '.join(process.cmdline())[:120]}"
    except (psutil.Error, StopIteration):
        return "a process of another user"


def belonging(home: Home) -> list[psutil.Process]:
    """Every living process that the services of this home started, and supervisord itself."""
    return [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid() and mark(process) == str(home)
    ]


def mark(process: psutil.Process) -> str | None:
    """The home whose services a process belongs to; None for a foreign or dead process."""
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None


def end(processes: list[psutil.Process], grace_s: float) -> None:
    """Asks processes to end, then kills those that still live after `grace_s` seconds.

    Raises ServicesError where one survives that.
    """
    for process in processes:
        signal_to(process, signal.SIGTERM)
    alive = outliving(processes, grace_s)
    for process in alive:
        signal_to(process, signal.SIGKILL)
    if stuck := [process.pid for process in outliving(alive, KILL_S)]:
        raise ServicesError(
            f"processes {stuck} do not end, not even when killed: they hang in the kernel, as on a dead network disk"
        )


def outliving(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still live after so many seconds; returns sooner when none does.

    A zombie is dead: its parent may take long to reap it.
    """
    deadline = time.monotonic() + seconds
    while (alive := [process for process in processes if lives(process)]) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return alive


def lives(process: psutil.Process) -> bool:
    """Whether a process is neither gone nor a zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def signal_to(process: psutil.Process, number: signal.Signals) -> None:
    """Signals a process that may have ended in the meantime."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
