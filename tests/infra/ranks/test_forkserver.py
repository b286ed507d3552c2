"""The real process beside a worker, with all that it imports."""

import os
from pathlib import Path

from infra.ranks.forkserver import ForkServer
from infra.services.daemon import PROJECT


def test_ranks_are_forked_from_a_process_of_one_thread():
    server = ForkServer(str(PROJECT))
    with Path(os.devnull).open("r+b") as nothing:
        server.start([nothing.fileno()] * 3)
    try:
        # Without a task the rank ends at once; by then everything was imported.
        while server.poll(None) is None:
            pass
        assert len(list(Path(f"/proc/{server.process.pid}/task").iterdir())) == 1
    finally:
        server.end()
