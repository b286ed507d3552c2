"""Processes are killed and versions swapped while REST and gRPC clients ask: nothing is lost or wrong.

GYRE_SWAPS and GYRE_KILLS set how often; `make chaos-serving` takes 100 and 20.
"""

import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from tritonclient import grpc as triton

from tasks.production.releases import rollback
from tests.tasks.conftest import DEADLINE_S, PROJECT, Server, bundle_maker, served_maker
from tests.tasks.serving.conftest import fresh_settings

SWAPS = int(os.environ.get("GYRE_SWAPS", "4"))
KILLS = int(os.environ.get("GYRE_KILLS", "2"))
PROCESSES = 3
IMAGES = np.array([9, 0, 0, 0, 0, 0, 9, 0], np.uint8).reshape(2, 2, 2, 1)
EXPECTED = {"1": ["left", "right"], "2": ["middle", "left"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Three processes, with two versions."""
    folder = tmp_path_factory.mktemp("chaos")
    with pytest.MonkeyPatch.context() as patch:
        started = Server(fresh_settings(patch, folder, server_processes=PROCESSES))
        started.start()
        served = served_maker(bundle_maker(folder))
        for version in (1, 2):
            started.release(served(version, turn=version - 1))
        yield started
        started.stop()


class Clients:
    """Two that ask over REST and two over gRPC until they are told to end, and what they were answered."""

    def __init__(self, server, patience_s):
        self.server, self.patience_s = server, patience_s
        self.answered, self.failures, self._ended = Counter(), [], threading.Event()
        self._pool = ThreadPoolExecutor(4)

    def __enter__(self):
        self._asking = [self._pool.submit(ask) for ask in (self._over_grpc, self._over_rest) * 2]
        return self

    def __exit__(self, *_):
        self._ended.set()
        self.failures += [str(each.exception()) for each in self._asking if each.exception()]
        self._pool.shutdown()

    def _check(self, face, version, texts):
        self.answered[face, version] += 1
        if texts != EXPECTED[version]:
            self.failures.append((face, version, texts))

    def _over_rest(self):
        with self.server.client(patience_s=self.patience_s) as client:
            while not self._ended.is_set():
                found = client.infer(IMAGES)
                self._check("rest", found["model_version"], found["outputs"][-1]["data"])

    def _over_grpc(self):
        image = triton.InferInput("image", [2, 2, 2, 1], "UINT8")
        image.set_data_from_numpy(IMAGES)
        address = f"127.0.0.1:{self.server.settings.grpc_port}"
        with triton.InferenceServerClient(address) as client:
            while not self._ended.is_set():
                found = self._infer(client, image)
                texts = [text.decode() for text in found.as_numpy("answer")]
                self._check("grpc", found.get_response().model_version, texts)

    def _infer(self, client, image):
        """Asked again where the process was killed that was asked."""
        deadline = time.monotonic() + self.patience_s
        while True:
            try:
                return client.infer(PROJECT, [image])
            except triton.InferenceServerException:
                if time.monotonic() > deadline:
                    raise


def test_swaps_under_load_lose_no_request_and_answer_none_wrongly(server):
    with Clients(server, patience_s=0) as clients:
        for number in range(SWAPS):
            server.releases.change(PROJECT, rollback)
            champion = "12"[number % 2]
            server.wait(lambda champion=champion: server.roles().get("champion") == champion)
    assert clients.failures == []
    assert set(clients.answered) == {(face, version) for face in ("grpc", "rest") for version in "12"}
    print(f"{SWAPS} swaps, {clients.answered.total()} requests")


def test_processes_that_are_killed_under_load_are_back_and_clients_that_ask_again_see_no_error(server):
    seconds = []
    with Clients(server, patience_s=DEADLINE_S) as clients:
        for _ in range(KILLS):
            before = serving(server)
            victim = min(before)
            began = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            server.wait(lambda before=before: len(serving(server) - before) == 1)
            seconds.append(time.monotonic() - began)
    assert clients.failures == []
    print(f"{KILLS} kills, {clients.answered.total()} requests; back after at most {max(seconds):.2f} s")


def serving(server):
    """Ids of the processes that listen."""
    found = set()
    for child in psutil.Process(server.process.pid).children():
        try:
            ports = {each.laddr.port for each in child.net_connections("tcp") if each.status == "LISTEN"}
        except psutil.NoSuchProcess:
            continue
        if server.settings.server_port in ports:
            found.add(child.pid)
    return found
