"""The worker's part of a rank.

Has the child process forked, forwards what it says, ends it when nobody waits for it any more.

It runs in a thread of a Dask worker. What it reports goes to the driver as Dask events of JSON text, in
order: each a Report (messages.py), the last of them that of Exited.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import IO, Any

from infra.ranks.forkserver import ForkServer
from infra.ranks.messages import (
    EVENTS,
    Event,
    Exited,
    Failed,
    Logged,
    Report,
    StoreServed,
    write_line,
)
from infra.ranks.slots import host_of

POLL_S = 0.1
"""How often a rank is looked at; it ends this long after its run was given up."""
Tell = Callable[[Event], None]
"""Reports what happened to the rank."""


@dataclass(frozen=True)
class Place:
    """A Dask worker's process id, the network interface that carries its address, and its CUDA_VISIBLE_DEVICES."""

    pid: int
    interface: str
    visible: str | None


def worker_place(dask_worker: Any) -> Place:
    """Where a Dask worker is. Raises RuntimeError where no interface has its address."""
    import psutil

    host = host_of(dask_worker.address)
    names = [
        name
        for name, addresses in psutil.net_if_addrs().items()
        if any(address.address == host for address in addresses)
    ]
    if not names:
        raise RuntimeError(
            f"worker {dask_worker.address}: no network interface has the address {host}; start it with --host"
        )
    return Place(os.getpid(), names[0], os.environ.get("CUDA_VISIBLE_DEVICES"))


@dataclass(frozen=True)
class Supervised:
    """One rank, as its worker is asked to run it."""

    rank: int
    worker: int
    """Process id of the worker that was chosen."""
    input: str
    """The Job, for the rank's stdin."""
    environment: dict[str, str]
    serves_store: bool
    timeout_s: float
    listener: int | None = None
    """File handle of the socket for torch's store."""


def supervise(asked: Supervised, topic: str) -> None:
    """Runs one rank to its end."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def tell(event: Event) -> None:
        worker.log_event(topic, write_line(Report(asked.rank, event)))

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state == "executing" and time.monotonic() < deadline

    if os.getpid() != asked.worker:
        # Dask brought the worker back under its old address and gave it the task again; the other ranks speak
        # to the first one.
        tell(Failed(f"its worker {worker.address} was restarted", lost=True))
        tell(Exited(1))
        return
    deadline = time.monotonic() + asked.timeout_s
    server = ForkServer.take(asked.environment["PYTHONPATH"])
    with ExitStack() as stack:
        if asked.serves_store:
            asked = stack.enter_context(with_store(asked, host_of(worker.address), tell))
        out, error = start(server, asked)
    readers = [
        threading.Thread(target=forward_events, args=(out, tell)),
        threading.Thread(target=forward_lines, args=(error, tell)),
    ]
    for reader in readers:
        reader.start()
    try:
        while server.poll(POLL_S) is None and wanted():
            pass
    finally:
        code = server.leave()
        for reader in readers:
            reader.join()
        tell(Exited(code))


@contextmanager
def with_store(asked: Supervised, host: str, tell: Tell) -> Iterator[Supervised]:
    """Rank 0, with a listening socket for torch's store that only the cluster's network reaches.

    Reports its address.
    """
    with socket.create_server(
        (host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET
    ) as listener:
        port = listener.getsockname()[1]
        # The others may start now: until rank 0 serves, the socket holds their connections.
        tell(StoreServed(host, port))
        store = {"MASTER_ADDR": host, "MASTER_PORT": str(port)}
        yield replace(asked, environment=asked.environment | store, listener=listener.fileno())


def start(server: ForkServer, asked: Supervised) -> tuple[IO[bytes], IO[bytes]]:
    """Starts the rank, with its job on stdin; its stdout and stderr."""
    (read, given), (out, write), (error, complain) = (os.pipe() for _ in range(3))
    listener = [] if asked.listener is None else [asked.listener]
    server.start([read, write, complain, *listener])
    for handle in (read, write, complain):
        os.close(handle)
    # A rank that died at once says why on its stderr; this pipe is broken then.
    with suppress(BrokenPipeError), os.fdopen(given, "wb") as stdin:
        stdin.write(f"{json.dumps(asked.environment)}\n{asked.input}\n".encode())
    return os.fdopen(out, "rb"), os.fdopen(error, "rb")


def forward_events(stream: IO[bytes], tell: Tell) -> None:
    """Reports each event that the rank writes; the torn last line of a killed one is dropped."""
    with stream:
        for line in stream:
            with suppress(json.JSONDecodeError):
                tell(EVENTS.validate_python(json.loads(line)))


def forward_lines(stream: IO[bytes], tell: Tell) -> None:
    """Reports each line of the rank's log."""
    with stream:
        for line in stream:
            tell(Logged(line.decode(errors="replace").rstrip()))
