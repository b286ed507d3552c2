"""Ctrl-C in the demo, early and while its Dask workers are at work: it stops soon, and no process is left.

That no rank outlives its driver is asked in tests/infra/horovod/test_ranks.py.
"""

import os
import signal
import subprocess
import time

import pytest

from tests.integration.conftest import GYRE, free_ports, processes_of


def command_lines(home):
    return [" ".join(process.cmdline()) for process in processes_of(home)]


@pytest.mark.parametrize("moment", ["supervisord", "multiprocessing.spawn"])
def test_ctrl_c_in_the_demo_leaves_no_process(tmp_path, moment):
    names = ("GYRE_PREFECT_PORT", "GYRE_MLFLOW_PORT", "GYRE_SERVER_PORT", "GYRE_REPORTS_PORT")
    ports = {name: str(port) for name, port in zip(names, free_ports(4), strict=True)}
    with (tmp_path / "output").open("w") as output:
        # A group of its own, as a terminal gives a command: Ctrl-C reaches everything in it.
        demo = subprocess.Popen(
            [GYRE, "demo"], env=os.environ | ports | {"GYRE_HOME": str(tmp_path)}, stdout=output, stderr=output, process_group=0
        )
        deadline = time.monotonic() + 240
        while not any(moment in line for line in command_lines(tmp_path)):
            assert demo.poll() is None and time.monotonic() < deadline, (tmp_path / "output").read_text()[-3000:]
            time.sleep(0.1)
        os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(timeout=90) != 0
    assert not command_lines(tmp_path), (tmp_path / "output").read_text()[-3000:]
    assert "Traceback" not in (tmp_path / "output").read_text()
