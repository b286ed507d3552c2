"""What goes wrong with services, in words for the person at the terminal."""

from pathlib import Path

TAIL_LINES = 15


class ServicesError(RuntimeError):
    """Services cannot be started or stopped; the message names the port, process or log and what to do."""


def tail(log: Path) -> str:
    """The last lines of a log, indented; says so where there are none."""
    lines = (
        log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:] if log.is_file() else []
    )
    return "\n".join(f"    {line}" for line in lines) or "    (the log is empty)"
