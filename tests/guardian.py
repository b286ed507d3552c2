"""Ends the services of a test session's homes once the session is gone, however it went.

A killed pytest cleans nothing up.

    python -m tests.guardian FOLDER

It waits for the end of its standard input, which the session holds open.
"""

import sys

import psutil

from infra.services.processes import end, mark

GRACE_S = 3.0


def main() -> None:
    """Waits, then ends every service whose home lies below the folder."""
    base = sys.argv[1]
    sys.stdin.buffer.read()
    while left := [process for process in psutil.process_iter() if (mark(process) or "").startswith(base)]:
        end(left, GRACE_S)


if __name__ == "__main__":
    main()
