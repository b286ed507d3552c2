"""Which models' graphs are in memory: where there is too little, those asked least recently leave.

A graph that left is read again when somebody asks for it, with the same checks. What counts is the memory of
the process itself: how much a graph takes beside its file, for its working space above all, is known only
then.
"""

import ctypes
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

log = logging.getLogger("gyre.serving")

PAGE = os.sysconf("SC_PAGE_SIZE")
SPARE = 0.9
"""Of the limit, to which memory is emptied: at the limit itself each new graph would send one away."""
SHARE_OF_MACHINE = 0.75
"""What the server may take where nobody says how much."""
AT_ONCE = 16
"""A sixteenth of the graphs leaves before memory is measured again: giving it back takes milliseconds."""
CONTAINER = Path("/sys/fs/cgroup/memory.max")


class Unloadable(Protocol):
    """A model as its memory is counted."""

    last_used: float
    """time.monotonic's."""

    @property
    def is_loaded(self) -> bool:
        """Whether its graph is in memory."""

    def unload(self) -> None:
        """Lets go of its graph."""


def resident() -> int:
    """Bytes of memory that this process takes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


@dataclass
class ModelMemory:
    """The graphs of one process. Any thread may ask."""

    limit: float
    """Bytes."""
    measure: Callable[[], int] = resident
    unloaded: int = 0
    """How many graphs have left, altogether."""
    _models: "WeakSet[Unloadable]" = field(default_factory=WeakSet)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _told: bool = False

    def add(self, model: Unloadable) -> None:
        """A graph was loaded: others leave where there is no room for it."""
        with self._lock:
            self._models.add(model)
            if self.measure() > self.limit:
                self._make_room(model)

    def loaded(self) -> int:
        """Graphs in memory."""
        with self._lock:
            return sum(model.is_loaded for model in self._models)

    def _make_room(self, keep: Unloadable) -> None:
        found = sorted((each for each in self._models if each.is_loaded), key=lambda each: each.last_used)
        oldest = [each for each in found if each is not keep]
        while oldest and self.measure() > SPARE * self.limit:
            count = 1 + len(oldest) // AT_ONCE
            for model in oldest[:count]:
                model.unload()
            self.unloaded += count
            oldest = oldest[count:]
            give_back()
        if not self._told and self.measure() > self.limit:
            self._told = True
            megabytes = self.limit / 2**20
            log.warning(
                "one model alone takes the server's memory above %.0f MB (GYRE_SERVER_MEMORY_MB)", megabytes
            )


def give_back() -> None:
    """Returns freed memory to the system: glibc keeps it otherwise, and the process would seem to be full."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def memory_limit(megabytes: int, processes: int) -> float:
    """Bytes that each of so many processes may take; 0 megabytes: most of the machine's or container's."""
    if megabytes:
        return megabytes * 2**20 / processes
    total = os.sysconf("SC_PHYS_PAGES") * PAGE
    with suppress(OSError, ValueError):
        total = min(total, int(CONTAINER.read_text()))
    return SHARE_OF_MACHINE * total / processes
