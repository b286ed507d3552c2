"""Waits that go by progress, not by the clock.

A busy machine makes everything late, and only what stands still will never come.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")
QUIET_S = 120.0
"""A wait is given up once nothing has moved for so long."""
STEP_S = 6.0
"""CPU seconds within QUIET_S that count as a move. An idle installation burns 4 in that time; a process gets
11 beside 20 busy ones on two cores."""
LOOK_S = 1.0
"""How often it is looked whether something moves: reading all processes takes some 20 ms."""
POLL_S = 0.1


class Patience:
    """Runs out once `moves` has given the same value for QUIET_S seconds, however long the whole wait has taken."""

    def __init__(self, moves: Callable[[], object], quiet_s: float = QUIET_S) -> None:
        """Begins now. moves: what changes while the awaited thing is on its way, such as `work` gives."""
        self._moves, self._quiet_s = moves, quiet_s
        self._seen = moves()
        self._moved = self._looked = time.monotonic()

    def has_run_out(self) -> bool:
        """Whether nothing has moved for long."""
        now = time.monotonic()
        if now - self._looked >= LOOK_S:
            self._looked = now
            if (seen := self._moves()) != self._seen:
                self._seen, self._moved = seen, now
        return now - self._moved > self._quiet_s


def wait_for(
    look: Callable[[], T | None], what: str, moves: Callable[[], object], quiet_s: float = QUIET_S
) -> T:
    """What `look` finds, asked again until it is neither None nor False.

    Raises TimeoutError naming `what` once nothing moves.
    """
    patience = Patience(moves, quiet_s)
    while (found := look()) is None or found is False:
        if patience.has_run_out():
            raise TimeoutError(f"{what}: not seen, and nothing has moved for {quiet_s:.0f} s")
        time.sleep(POLL_S)
    return found


def work(processes: Iterable[psutil.Process], *files: Path) -> tuple[int, ...]:
    """The CPU time of processes and their descendants in steps of STEP_S, their number, and the sizes of files such as logs."""
    alive: dict[int, float] = {}
    for process in processes:
        try:
            for each in (process, *process.children(recursive=True)):
                alive[each.pid] = sum(each.cpu_times()[:4])
        except psutil.Error:  # it has ended, and its time is its parent's
            continue
    sizes = (file.stat().st_size for file in files if file.is_file())
    return int(sum(alive.values()) / STEP_S), len(alive), *sizes
