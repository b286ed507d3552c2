"""One rank: a process of its own, started by its Dask worker (infra/horovod/ranks.py) and never outliving it.

In: one JSON line on stdin with `parent`, `strategy`, `stall_s`, `entry`
and `arguments`. Out: JSON lines on stdout, each with one of `message`, `result` or
`error`. Whatever the rank's own code prints goes to stderr with its log.
"""

import ctypes
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

from infra.horovod.joining import is_consequence, joined
from infra.imports import resolve

PR_SET_PDEATHSIG = 1
Send = Callable[[dict[str, Any]], None]
"""Sends a message of JSON values to the driver, while the rank goes on."""


def main() -> int:
    """Runs the entry of the job on stdin; 0 when its result was written."""
    job = json.loads(sys.stdin.buffer.readline())
    die_with(job["parent"])
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    out = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    # A print, in Python or in native code, would tear a message apart.
    os.dup2(2, 1)

    def write(**line: Any) -> None:
        out.write(json.dumps(line) + "\n")

    try:
        with joined(job["strategy"], job["stall_s"]):
            write(result=resolve(job["entry"])(job["arguments"], lambda message: write(message=message)))
    except BaseException as error:
        write(error=traceback.format_exc(), consequence=is_consequence(error))
        return 1
    return 0


def die_with(parent: int) -> None:
    """Has the kernel kill this process when its worker dies, however it dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(f"worker {parent} died before its rank was up")


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    logging.shutdown()
    # Python's own teardown of torch takes another second, and nothing here needs it.
    os._exit(code)
