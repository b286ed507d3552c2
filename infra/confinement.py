"""Processes that run what may crash, hang or take all memory: their limits, and what became of them."""

import resource
import signal

SHOWN = 300
"""Characters of a process's last words in a message."""


def limit_address_space(size: int) -> None:
    """Gives this process at most so many bytes of address space.

    Asking for more fails inside it, and nowhere else.
    """
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def cause_of_end(exit_code: int, errors: str) -> str:
    """Why a process ended, in a few words: the signal, or the last line that it wrote to standard error."""
    if exit_code < 0:
        return f"ended its process by {signal.Signals(-exit_code).name}"
    lines = errors.strip().splitlines() or [f"exit code {exit_code}"]
    return f"cannot be run: {lines[-1][:SHOWN]}"
