"""The worker's part of a rank: starts the child process, forwards what it says, ends it when nobody waits for it any more.

It runs in a thread of a Dask worker. What it reports goes to the driver as Dask events of JSON text, in order: `line` (log), `message`,
`result`, `error`, and last of all `ended` with the exit code.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, cast

from infra.horovod.joining import LISTENER
from infra.horovod.slots import host_of

POLL_S = 0.1
"""How often a rank is looked at; it ends this long after its run was given up."""


@dataclass(frozen=True)
class Place:
    """A Dask worker's process id, the network interface that carries its address, and its CUDA_VISIBLE_DEVICES."""

    pid: int
    interface: str
    visible: str | None


def place(dask_worker: Any) -> Place:
    """Where a Dask worker is. Raises RuntimeError where no interface has its address."""
    import psutil

    host = host_of(dask_worker.address)
    names = [name for name, addresses in psutil.net_if_addrs().items() if any(address.address == host for address in addresses)]
    if not names:
        raise RuntimeError(f"worker {dask_worker.address}: no network interface has the address {host}; start it with --host")
    return Place(os.getpid(), names[0], os.environ.get("CUDA_VISIBLE_DEVICES"))


def supervise(job: dict[str, Any], topic: str) -> None:
    """Runs one rank to its end. `job`: rank, worker (its pid), input (for the rank's stdin), environment, serves_store, timeout_s."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def report(**event: Any) -> None:
        worker.log_event(topic, json.dumps({"rank": job["rank"], **event}))

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state == "executing" and time.monotonic() < deadline

    if os.getpid() != job["worker"]:
        # Dask brought the worker back under its old address and gave it the task again; the other ranks speak to the first one.
        report(error=f"its worker {worker.address} was restarted", lost=True)
        report(ended=1)
        return
    deadline = time.monotonic() + job["timeout_s"]
    child = start_with_store(job, host_of(worker.address), report) if job["serves_store"] else start(job)
    readers = [
        threading.Thread(target=forward_messages, args=(child.stdout, report)),
        threading.Thread(target=forward_lines, args=(child.stderr, report)),
    ]
    for reader in readers:
        reader.start()
    try:
        while child.poll() is None and wanted():
            with suppress(subprocess.TimeoutExpired):
                child.wait(POLL_S)
    finally:
        kill(child)
        for reader in readers:
            reader.join()
        report(ended=child.returncode)


def start_with_store(job: dict[str, Any], host: str, report: Any) -> "subprocess.Popen[bytes]":
    """Rank 0's process, with a listening socket for torch's store that only the cluster's network reaches; reports its address."""
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        port, handle = listener.getsockname()[1], listener.fileno()
        # The others may start now: until rank 0 serves, the socket holds their connections.
        report(store=[host, port])
        store = {"MASTER_ADDR": host, "MASTER_PORT": str(port), LISTENER: str(handle)}
        return start(job | {"environment": job["environment"] | store}, [handle])


def start(job: dict[str, Any], handles: Sequence[int] = ()) -> "subprocess.Popen[bytes]":
    """The rank's process, a session of its own, with its job on stdin and these file handles."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "infra.horovod.rank"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"OMP_NUM_THREADS": "1", **os.environ, **job["environment"]},
        start_new_session=True,
        pass_fds=handles,
    )
    # A rank that died at once says why on its stderr; this pipe is broken then.
    with suppress(BrokenPipeError), cast(IO[bytes], child.stdin) as stdin:
        stdin.write(job["input"].encode() + b"\n")
    return child


def kill(child: "subprocess.Popen[bytes]") -> None:
    """Ends the rank and whatever it started; a loader process left behind would keep the pipes open for ever."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


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
