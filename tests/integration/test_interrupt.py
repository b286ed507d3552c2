"""The demo is ended, early and while its Dask workers are at work: it stops soon, and no process is left.

That no rank outlives its driver is asked in tests/infra/ranks/test_run.py.
"""

import os
import signal
import subprocess
import time
from contextlib import suppress

import psutil
import pytest

from infra.progress import Patience, work
from tests.integration.conftest import GYRE, free_ports, processes_of

IGNORING = 'trap "" INT; '
"""What a shell without job control does for its background jobs."""


def command_lines(home):
    lines = []
    for process in processes_of(home):
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            lines.append(" ".join(process.cmdline()))
    return lines


@pytest.fixture
def start_demo(tmp_path):
    """Starts the demo by a line of shell, in a group of its own as a terminal gives a command.

    Waits until a process of a kind is there.
    """
    names = (
        "GYRE_PREFECT_PORT",
        "GYRE_MLFLOW_PORT",
        "GYRE_SERVER_PORT",
        "GYRE_GRPC_PORT",
        "GYRE_REPORTS_PORT",
    )
    ports = {name: str(port) for name, port in zip(names, free_ports(len(names)), strict=True)}

    def start(line, moment):
        environment = os.environ | ports | {"GYRE_HOME": str(tmp_path)}
        with (tmp_path / "output").open("w") as output:
            shell = subprocess.Popen(
                ["bash", "-c", line], env=environment, stdout=output, stderr=output, process_group=0
            )
        until(
            lambda: any(moment in each for each in command_lines(tmp_path)) or shell.poll() is not None,
            tmp_path,
        )
        assert shell.poll() is None, (tmp_path / "output").read_text()[-3000:]
        return shell

    return start


def until(condition, home):
    patience = Patience(lambda: work(processes_of(home), home / "output"))
    while not condition():
        assert not patience.has_run_out(), f"{command_lines(home)}\n{(home / 'output').read_text()[-3000:]}"
        time.sleep(0.1)


def end_of(process, home):
    until(lambda: process.poll() is not None, home)
    return process.returncode


@pytest.mark.parametrize("moment", ["supervisord", "multiprocessing.spawn"])
def test_ctrl_c_in_the_demo_leaves_no_process(tmp_path, start_demo, moment):
    demo = start_demo(f"exec {GYRE} demo", moment)
    os.killpg(demo.pid, signal.SIGINT)
    assert end_of(demo, tmp_path) != 0
    assert not command_lines(tmp_path), (tmp_path / "output").read_text()[-3000:]
    assert "Traceback" not in (tmp_path / "output").read_text()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_a_demo_that_was_started_with_sigint_ignored(tmp_path, start_demo, ending):
    demo = start_demo(f"{IGNORING}exec {GYRE} demo", "tasks.serving")
    demo.send_signal(ending)
    demo.send_signal(ending)  # as an impatient person does: what the first one began is not cut short
    assert end_of(demo, tmp_path) != 0
    assert not command_lines(tmp_path), (tmp_path / "output").read_text()[-3000:]


@pytest.mark.parametrize("before", [IGNORING, 'trap "" HUP; '], ids=["background", "nohup"])
def test_the_demo_ends_with_the_process_that_started_it(tmp_path, start_demo, before):
    parent = start_demo(f"{before}{GYRE} demo & wait", "tasks.serving")
    parent.kill()
    parent.wait()
    until(lambda: not command_lines(tmp_path), tmp_path)
