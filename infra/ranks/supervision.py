"""The worker's part of a rank: has the child process forked, forwards what it says, ends it when nobody waits for it any more.

It runs in a thread of a Dask worker. What it reports goes to the driver as Dask events of JSON text, in order: `line` (log), `message`,
`result`, `error`, and last of all `ended` with the exit code.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

from infra.ranks.forkserver import ForkServer
from infra.ranks.slots import host_of

POLL_S = 0.1
"""How often a rank is looked at; it ends this long after its run was given up."""


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


def supervise(job: dict[str, Any], topic: str) -> None:
    """Runs one rank to its end.

    `job`: rank, worker (its pid), input (for the rank's stdin), environment, serves_store, timeout_s.
    """
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def report(**event: Any) -> None:
        worker.log_event(topic, json.dumps({"rank": job["rank"], **event}))

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state == "executing" and time.monotonic() < deadline

    if os.getpid() != job["worker"]:
        # Dask brought the worker back under its old address and gave it the task again; the other ranks speak
        # to the first one.
        report(error=f"its worker {worker.address} was restarted", lost=True)
        report(ended=1)
        return
    deadline = time.monotonic() + job["timeout_s"]
    server = ForkServer.take(job["environment"]["PYTHONPATH"])
    with ExitStack() as stack:
        if job["serves_store"]:
            job = stack.enter_context(with_store(job, host_of(worker.address), report))
        out, error = start(server, job)
    readers = [
        threading.Thread(target=forward_messages, args=(out, report)),
        threading.Thread(target=forward_lines, args=(error, report)),
    ]
    for reader in readers:
        reader.start()
    try:
        while server.poll(POLL_S) is None and wanted():
            pass
    finally:
        server.leave()
        for reader in readers:
            reader.join()
        report(ended=server.code)


@contextmanager
def with_store(job: dict[str, Any], host: str, report: Any) -> Iterator[dict[str, Any]]:
    """Rank 0's job, with a listening socket for torch's store that only the cluster's network reaches; reports its address."""
    with socket.create_server(
        (host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET
    ) as listener:
        port = listener.getsockname()[1]
        # The others may start now: until rank 0 serves, the socket holds their connections.
        report(store=[host, port])
        store = {"MASTER_ADDR": host, "MASTER_PORT": str(port)}
        yield job | {"environment": job["environment"] | store, "listener": listener.fileno()}


def start(server: ForkServer, job: dict[str, Any]) -> tuple[IO[bytes], IO[bytes]]:
    """Starts the rank, with its job on stdin; its stdout and stderr."""
    (read, given), (out, write), (error, complain) = (os.pipe() for _ in range(3))
    server.start([read, write, complain, *([job["listener"]] if "listener" in job else [])])
    for handle in (read, write, complain):
        os.close(handle)
    # A rank that died at once says why on its stderr; this pipe is broken then.
    with suppress(BrokenPipeError), os.fdopen(given, "wb") as stdin:
        stdin.write(f"{json.dumps(job['environment'])}\n{job['input']}\n".encode())
    return os.fdopen(out, "rb"), os.fdopen(error, "rb")


def forward_messages(stream: IO[bytes], report: Any) -> None:
    """Reports each JSON line of the rank; the torn last line of a killed one is dropped."""
    with stream:
        for line in stream:
            with suppress(json.JSONDecodeError):
                report(**json.loads(line))


def forward_lines(stream: IO[bytes], report: Any) -> None:
    """Reports each line of the rank's log."""
    with stream:
        for line in stream:
            report(line=line.decode(errors="replace").rstrip())
