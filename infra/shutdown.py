"""How a command that started processes is ended: by signals, and by the death of whoever started it.

It then cleans up.
"""

import ctypes
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

POLL_S = 0.5
"""How often the parent is looked for."""
PR_SET_PDEATHSIG = 1

_asked = threading.Event()
"""Set once this process was asked to end: a second signal must not cut short the cleaning up that the first
one began."""


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM, SIGHUP and SIGINT act as Ctrl-C does, so that what follows in `finally` runs.

    All but the first do nothing.

    SIGINT does so even where it was ignored on entry, as it is in a shell's background jobs. SIGHUP stays
    ignored where it was: nohup asks for that.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return

    def interrupt(*_: Any) -> None:
        if not _asked.is_set():
            _asked.set()
            raise KeyboardInterrupt

    wanted = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        wanted.append(signal.SIGHUP)
    before = {each: signal.signal(each, interrupt) for each in wanted}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def ended_with_parent() -> Iterator[None]:
    """Sends SIGTERM to this process when its parent has died, even by SIGKILL.

    The kernel can do that too, but would when the parent's *thread* ends that started this process. Under
    nohup the death of the session's leader does nothing: to outlive the terminal and its shell is what nohup
    asks for.
    """
    parent = os.getppid()
    outlives = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN and parent == os.getsid(0)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(POLL_S):
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGTERM)
                return

    if not outlives:
        threading.Thread(target=watch, name="parent", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def killed_with_parent(parent: int) -> None:
    """Has the kernel kill this process when the thread that started it ends, also where a computation holds it that hears no signal.

    parent: id of the process that started this one; where that died already, this one ends at once
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(f"process {parent} died before the process that it started was up")
