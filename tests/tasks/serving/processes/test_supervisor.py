"""Several processes behind one port; tests/chaos/test_serving.py kills them under load."""

import os
import signal
import subprocess
import sys

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.tokens import TokenFile
from tasks.production.prediction_log import PredictionLog
from tests.tasks.conftest import DEADLINE_S, PROJECT, Server, bundle_maker, served_maker, spot
from tests.tasks.serving.conftest import fresh_settings

PROCESSES = 3
INFER = f"/v2/models/{PROJECT}/infer"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Three processes, with version 1 of `spots`."""
    folder = tmp_path_factory.mktemp("processes")
    with pytest.MonkeyPatch.context() as patch:
        started = Server(fresh_settings(patch, folder, server_processes=PROCESSES))
        started.start()
        started.release(served_maker(bundle_maker(folder))(1, turn=0))
        yield started
        assert started.stop() == 0
    assert not psutil.pid_exists(started.process.pid)


def body(**more):
    data = spot(0).ravel().tolist()
    tensor = {"name": "image", "shape": [1, 2, 2, 1], "datatype": "UINT8", "data": data}
    return {"inputs": [tensor]} | more


def processes(server):
    """Ids of those that serve."""
    return {child.pid for child in psutil.Process(server.process.pid).children() if has_port(child, server)}


def has_port(process, server):
    try:
        listening = [each for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
    except psutil.NoSuchProcess:
        return False
    return server.settings.server_port in {each.laddr.port for each in listening}


def successes(server):
    told = server.get(f"/v2/models/{PROJECT}/stats").json()
    return told["model_stats"][0]["inference_stats"]["success"]["count"]


def metric(server, name):
    """Values of a metric, by labels."""
    families = text_string_to_metric_families(server.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return {tuple(sorted(sample.labels.values())): sample.value for sample in samples}


def test_labels_statistics_metrics_and_the_log_are_of_all_processes_and_nothing_is_lost_when_one_is_killed(
    server,
):
    """Each request comes over a connection of its own, so to any of the processes."""
    server.wait(lambda: len(processes(server)) == PROCESSES)
    before = successes(server)
    for number in range(12):
        assert server.post(INFER, body(id=f"r{number}")).is_success
        # At once, so most labels come to a process that did not answer the row, and before it is on the disk.
        label = {"request_id": f"r{number}", "label": "left"}
        assert server.post(f"/v2/models/{PROJECT}/labels", label).json() == {"accepted": 1}
    server.wait(lambda: successes(server) - before == 12)
    log = PredictionLog(server.settings.home.predictions / PROJECT)
    server.wait(lambda: len(log.labelled()) == 12)
    server.wait(lambda: successes(server) - before == 12)
    victim = min(processes(server))
    os.kill(victim, signal.SIGKILL)
    server.wait(lambda: len(processes(server) - {victim}) == PROCESSES)
    server.wait(lambda: sum(metric(server, "gyre_process_restarts_total").values()) == 1)
    assert successes(server) - before == 12
    assert metric(server, "gyre_labels_total") == {(PROJECT,): 12}
    assert len(metric(server, "process_resident_memory_bytes")) == PROCESSES


def test_a_token_has_its_rate_once_whichever_processes_it_asks(server):
    secret = TokenFile(server.settings.home.tokens).make("slow", ("predict",), per_second=0.01)
    headers = {"authorization": f"Bearer {secret}"}
    url = server.url + INFER

    def ask():
        return httpx.post(url, json=body(), headers=headers, timeout=DEADLINE_S).status_code

    server.wait(lambda: ask() != 401)
    assert [ask() for _ in range(12)] == [429] * 12


def test_another_server_cannot_share_the_ports(server):
    other = subprocess.run(
        [sys.executable, "-m", "tasks.serving"],
        env=os.environ | server.settings.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert other.returncode == 1
    address = f"127.0.0.1:{server.settings.server_port}"
    assert f"Address already in use: {address}; set GYRE_SERVER_PORT and GYRE_GRPC_PORT" in other.stderr
