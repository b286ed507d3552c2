"""A process beside a Dask worker that has imported what ranks import, and forks them.

Only the first rank there waits for torch.

The worker's end is ForkServer. The process itself, `python -m infra.ranks.forkserver`, has the other end of a
socket as its stdin: each message brings the file handles of a rank, which takes the first three as stdin,
stdout and stderr; the answers are the rank's process id at once and its exit code in the end. The process
ends when its worker does, and its rank with it.

It imports libraries alone, so that no rank runs an old state of Gyre's or a user's code; and it computes
nothing and touches no GPU, since neither threads nor a device outlive a fork.
"""

import gc
import importlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar, NoReturn

LIBRARIES = ("torch", "horovod.torch", "pandas", "pyarrow.parquet", "safetensors.torch", "pydantic")
"""Each takes a rank of tasks/training/ between 0.1 and 1 s to import; one that is not installed is left out.
"""
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "MIMALLOC_PURGE_DELAY": "-1",
}
"""Has glibc keep the memory of a step's activations for the next: otherwise the kernel takes it back and
clears it again page by page, a third of a training's time. Dask sets the opposite for its workers. Arrow's
own allocator keeps the memory of a window of rows likewise."""
ONE_THREAD = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Has pyarrow's second allocator start no thread of its own when it is imported: a fork beside another thread
may leave a lock held for ever in the rank, which Python warns of since 3.12."""
MOST_HANDLES = 8


class ForkServer:
    """Carries one rank at a time, of a run whose modules are found along `path` (PYTHONPATH)."""

    idle: ClassVar["list[ForkServer]"] = []
    """Those of this worker that carry no rank."""
    lock: ClassVar = threading.Lock()

    @classmethod
    def take(cls, path: str) -> "ForkServer":
        """One that carries no rank: left by an earlier run, or new. Idle ones of other paths are ended."""
        with cls.lock:
            found, cls.idle = cls.idle, []
        fitting = [server for server in found if server.path == path and server.process.poll() is None]
        for server in [each for each in found if each not in fitting[:1]]:
            server.end()
        return fitting[0] if fitting else cls(path)

    def __init__(self, path: str) -> None:
        self.path = path
        self.pid: int | None = None
        """The rank's process, once it was forked."""
        self.code: int | None = None
        """The rank's exit code, once it has ended."""
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            environment = {
                "OMP_NUM_THREADS": "1",
                **os.environ,
                **ALLOCATOR,
                **ONE_THREAD,
                "PYTHONPATH": path,
            }
            command = [sys.executable, "-P", "-m", "infra.ranks.forkserver"]
            self.process = subprocess.Popen(
                command, stdin=theirs.fileno(), env=environment, start_new_session=True
            )

    def start(self, handles: Sequence[int]) -> None:
        """Has a rank begin with these file handles, which the caller may close."""
        self.pid = self.code = None
        # Where the server has died, poll() says so.
        with suppress(ConnectionError):
            socket.send_fds(self.socket, [b"rank"], handles)

    def poll(self, timeout_s: float | None) -> int | None:
        """The rank's exit code, once it has ended; waits at most so long for what comes next of it."""
        if self.code is None and select.select([self.socket], [], [], timeout_s)[0]:
            told = self.socket.recv(64)
            if not told:
                self.code = self.process.wait() or -signal.SIGKILL
            elif self.pid is None:
                self.pid = int(told)
            else:
                self.code = int(told)
        return self.code

    def leave(self) -> int:
        """Ends the rank, if it has not ended, and whatever it started; its exit code.

        The server is idle then.
        """
        self.poll(0)
        if self.pid is None:
            self.process.kill()
        else:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        while (code := self.poll(None)) is None:
            pass
        with self.lock:
            self.idle.append(self)
        return code

    def end(self) -> None:
        """Ends the process."""
        self.socket.close()
        self.process.kill()
        self.process.wait()


def main() -> None:
    """Serves the worker at the other end of stdin."""
    for name in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(name)
    # Their objects lie in memory that ranks share as long as no collection touches it.
    gc.freeze()
    worker = socket.socket(fileno=os.dup(0))
    while handles := list(socket.recv_fds(worker, 64, MOST_HANDLES)[1]):
        if not (pid := os.fork()):
            worker.close()
            become_rank(handles, os.getppid())
        # Here and in the rank: whoever kills its group finds it.
        with suppress(ProcessLookupError, PermissionError):
            os.setpgid(pid, pid)
        for handle in handles:
            os.close(handle)
        worker.send(str(pid).encode())
        if (code := end_of(pid, worker)) is None:
            return
        worker.send(str(code).encode())


def end_of(pid: int, worker: socket.socket) -> int | None:
    """The rank's exit code, or None when the worker has gone first."""
    watch = os.pidfd_open(pid)
    try:
        if worker.fileno() in select.select([watch, worker.fileno()], [], [])[0]:
            return None
    finally:
        os.close(watch)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def become_rank(handles: list[int], parent: int) -> NoReturn:
    """The rest of the life of a forked process."""
    os.setpgid(0, 0)
    for number in range(3):
        os.dup2(handles[number], number)
        os.close(handles[number])
    importlib.invalidate_caches()
    from infra.ranks.rank_process import run_job

    run_job(parent, handles[3] if len(handles) > 3 else None)


if __name__ == "__main__":
    main()
