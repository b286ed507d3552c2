"""One rank: a process of its own, forked beside its Dask worker (forkserver.py) and never outliving it.

In: two lines of JSON on stdin, what to add to the environment, and the Job. Out: a line of JSON on stdout for
each Sent, Returned or Failed (messages.py). Whatever the rank's own code prints goes to stderr with its log.
"""

import ctypes
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from infra.imports import resolve
from infra.ranks.entry import entry_of
from infra.ranks.joining import LISTENER, is_consequence, join_ranks
from infra.ranks.messages import Event, Failed, Job, Returned, Sent, encode, write_line
from infra.shutdown import killed_with_parent

PR_SET_NAME = 15
NAME = b"gyre-rank"
"""What ps and top show."""


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
        code = work(Job(**json.loads(sys.stdin.buffer.readline())))
        sys.stdout.flush()
        logging.shutdown()
    except BaseException:
        traceback.print_exc()
    finally:
        # Python's own teardown of torch takes another second, and nothing here needs it.
        os._exit(code)


def work(job: Job) -> int:
    """Runs the entry of the job; 0 when its result was written."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    out = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    # A print, in Python or in native code, would tear a message apart.
    os.dup2(2, 1)

    def write(event: Event) -> None:
        out.write(write_line(event) + "\n")

    try:
        with join_ranks(job.strategy, job.stall_s):
            write(Returned(call(job, write)))
    except BaseException as error:
        write(Failed(traceback.format_exc(), consequence=is_consequence(error)))
        return 1
    return 0


def call(job: Job, write: Callable[[Event], None]) -> Any:
    """What the job's entry returns, as a JSON value."""
    function = resolve(job.entry)
    entry = entry_of(function)
    arguments = entry.arguments.validate_python(job.arguments)
    result = function(arguments, lambda message: write(Sent(encode(message))))
    return encode(result)


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process when the one that forked it dies, however it dies."""
    killed_with_parent(parent)
    ctypes.CDLL(None).prctl(PR_SET_NAME, NAME)
