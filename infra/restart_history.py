"""What supervisord remembers of services that ended by themselves.

An extension that it loads, which costs no process of its own.

supervisord neither counts restarts nor keeps the reason of a quick end, and its pauses grow without limit. It
imports this module to stay small: nothing but supervisor is imported here, and no package around it that
imports more.
"""

import time
from collections import deque
from pathlib import Path
from typing import Any

from supervisor import events
from supervisor.options import decode_wait_status

LONGEST_PAUSE_S = 60
"""Pauses between quick ends grow by a second each, up to this: what a service lacks may be back after days,
and nobody waits for hours."""
TAIL_LINES = 15
TAIL_BYTES = 8192
"""How much of the end of a log is kept."""


class Restarts:
    """Every unasked end of a service since supervisord started.

    Methods without an underscore are supervisord's RPC namespace `gyre`.
    """

    def __init__(self, supervisord: Any) -> None:
        """Listens to the ends of supervisord's processes."""
        self._supervisord = supervisord
        self._ends: dict[str, dict[str, Any]] = {}
        self._reaped: tuple[int | None, str] = (None, "")
        self._waitpid = supervisord.options.waitpid
        # supervisord's events do not say how a process ended; only what it reaps does.
        supervisord.options.waitpid = self._reap
        events.subscribe(events.ProcessStateBackoffEvent, self._count)
        events.subscribe(events.ProcessStateExitedEvent, self._count)

    def ends(self) -> list[dict[str, Any]]:
        """A record a service that ended.

        Name, count, first and last (seconds since 1970), reason, words (the end of its log then).
        """
        return list(self._ends.values())

    def hurry(self) -> bool:
        """Ends every pause: somebody mended what was wrong, and waits."""
        for group in self._supervisord.process_groups.values():
            for process in group.processes.values():
                if process.backoff:
                    process.delay = min(process.delay, time.time())
        return True

    def _reap(self) -> tuple[int | None, int | None]:
        """Looks for a child that ended, as supervisord itself does, and keeps how it ended."""
        pid, status = self._waitpid()
        if pid:
            self._reaped = pid, decode_wait_status(status)[1]
        return pid, status

    def _count(self, event: Any) -> None:
        """Keeps one more end and tells it in supervisord's log."""
        process, now = event.process, time.time()
        name = process.config.name
        process.delay = min(process.delay, now + LONGEST_PAUSE_S)
        reaped, reason = self._reaped
        end = self._ends.setdefault(name, {"name": name, "count": 0, "first": now})
        end["count"] += 1
        end["last"] = now
        # A process that could not even be started has no pid.
        end["reason"] = (
            reason if process.pid and process.pid == reaped else process.spawnerr or "an unknown reason"
        )
        end["words"] = last_words(process.config.stdout_logfile)
        told = f"{name} ended {end['count']} times since {clock(end['first'])}, now by {end['reason']}"
        pause = max(0.0, process.delay - now)
        words = f"; its log ends:\n{end['words']}" if end["count"] > 1 else ""
        self._supervisord.options.logger.warn(f"{told}; it starts again in {pause:.0f} s{words}")


def last_words(log: str) -> str:
    """The last lines of a log, indented.

    Control characters become blanks, as XML-RPC cannot carry them; empty where there is no log.
    """
    try:
        with Path(log).open("rb") as file:
            file.seek(max(0, Path(log).stat().st_size - TAIL_BYTES))
            lines = deque(file.read().decode("utf-8", "replace").splitlines(), TAIL_LINES)
    except OSError:
        return ""
    return "\n".join("    " + "".join(sign if sign.isprintable() else " " for sign in line) for line in lines)


def clock(at: float) -> str:
    """Seconds since 1970 as a local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
