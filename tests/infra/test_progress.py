import subprocess
import sys
import time

import psutil
import pytest

from infra import progress
from infra.progress import Patience, wait_for, work

QUIET_S = 2.0


def test_what_is_looked_for_is_given_back():
    seen = iter([None, None, "found"])
    assert wait_for(lambda: next(seen), "a thing", moves=lambda: 0) == "found"


def test_a_wait_in_which_nothing_moves_ends_and_says_what_it_waited_for():
    with pytest.raises(TimeoutError, match="the page: not seen, and nothing has moved for 2 s"):
        wait_for(lambda: None, "the page", moves=lambda: 0, quiet_s=QUIET_S)


def test_a_wait_lasts_as_long_as_something_moves():
    begun = time.monotonic()
    late = 3 * QUIET_S
    assert wait_for(
        lambda: time.monotonic() - begun > late, "the page", moves=time.monotonic, quiet_s=QUIET_S
    )


def test_a_log_that_grows_and_a_child_that_works_are_progress_and_a_process_that_sleeps_is_none(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(progress, "STEP_S", 0.2)
    log = tmp_path / "service.log"
    log.write_text("starting\n")
    busy = [
        sys.executable,
        "-c",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])",
    ]
    with (
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as sleeper,
        subprocess.Popen(busy) as parent,
    ):
        try:
            sleeping, working = psutil.Process(sleeper.pid), psutil.Process(parent.pid)
            before = work([sleeping], log)
            assert Patience(lambda: work([sleeping], log), quiet_s=-1).has_run_out()
            log.write_text("starting\nstarted\n")
            assert work([sleeping], log) != before
            wait_for(lambda: len(working.children()) == 1, "the child", lambda: work([working]))
            at_first = work([working])
            wait_for(lambda: work([working]) > at_first, "CPU time of the child", time.monotonic)
        finally:
            for process in (*working.children(), sleeper, parent):
                process.kill()
