import os
import subprocess
import sys

import pytest

from infra.services.processes import MARK
from tests.conftest import ROOT


@pytest.fixture
def services_of(tmp_path):
    """A process that counts as a service of a home, and ignores SIGTERM."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    started = []

    def start(home):
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=os.environ | {MARK: str(home)}, stdout=subprocess.PIPE
        )
        process.stdout.readline()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_services_of_a_test_session_end_when_the_session_is_gone_however_it_went(tmp_path, services_of):
    own, foreign = services_of(tmp_path / "session" / "home"), services_of(tmp_path / "other")
    session = subprocess.Popen(
        [sys.executable, "-m", "tests.guardian", str(tmp_path / "session")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        own.wait(1)
    session.stdin.close()  # as the kernel does for a session that was killed
    assert session.wait(60) == 0
    assert own.wait(10) != 0
    assert foreign.poll() is None
