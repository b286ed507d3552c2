"""One rank: a process of its own, forked beside its Dask worker (forkserver.py) and never outliving it.

In: two lines of JSON on stdin, what to add to the environment, and the job with `strategy`, `stall_s`, `entry` and `arguments`. Out: JSON
lines on stdout, each with one of `message`, `result` or `error`. Whatever the rank's own code prints goes to stderr with its log.
"""

import ctypes
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from infra.imports import resolve
from infra.ranks.joining import LISTENER, is_consequence, join_ranks

PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
NAME = b"gyre-rank"
"""What ps and top show."""
Send = Callable[[dict[str, Any]], None]
"""Sends a message of JSON values to the driver, while the rank goes on."""


def run_job(parent: int, listener: int | None) -> NoReturn:
    """Runs the job on stdin to its end, and ends the process.

    `listener`: the socket for torch's store, where this rank serves it.
    """
    code = 1
    try:
        die_with_parent(parent)
        os.environ.update(json.loads(sys.stdin.buffer.readline()))
        if listener is not None:
            os.environ[LISTENER] = str(listener)
        code = work(json.loads(sys.stdin.buffer.readline()))
        sys.stdout.flush()
        logging.shutdown()
    except BaseException:
        traceback.print_exc()
    finally:
        # Python's own teardown of torch takes another second, and nothing here needs it.
        os._exit(code)


def work(job: dict[str, Any]) -> int:
    """Runs the entry of the job; 0 when its result was written."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    out = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    # A print, in Python or in native code, would tear a message apart.
    os.dup2(2, 1)

    def write(**line: Any) -> None:
        out.write(json.dumps(line) + "\n")

    try:
        with join_ranks(job["strategy"], job["stall_s"]):
            write(result=resolve(job["entry"])(job["arguments"], lambda message: write(message=message)))
    except BaseException as error:
        write(error=traceback.format_exc(), consequence=is_consequence(error))
        return 1
    return 0


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process when the one that forked it dies, however it dies."""
    kernel = ctypes.CDLL(None, use_errno=True)
    kernel.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    kernel.prctl(PR_SET_NAME, NAME)
    if os.getppid() != parent:
        raise SystemExit(f"process {parent} died before its rank was up")
