"""Two hosts, each a network namespace with Dask workers of its own.

Ranks meet over the network between them, and one host may die.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress

import pytest

from infra.ranks import generation, worker_claims
from infra.ranks.messages import Committed
from infra.ranks.run import run_on_ranks
from tests.infra.ranks import rank_entries

WAIT_S = 60


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def pids_in(namespace):
    listed = subprocess.run(["ip", "netns", "pids", namespace], check=False, capture_output=True, text=True)
    return [int(pid) for pid in listed.stdout.split()]


def kill_host(namespace):
    """All its processes at once, as when the power goes."""
    for pid in pids_in(namespace):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def bridge(name, address):
    """A network of this machine that namespaces can be plugged into."""
    ip("link", "add", name, "type", "bridge")
    try:
        ip("address", "add", f"{address}/24", "dev", name)
        ip("link", "set", name, "up")
        yield
    finally:
        ip("link", "delete", name)


@contextmanager
def host(name, network, address):
    """A network namespace with one address on the bridge."""
    ip("netns", "add", name)
    try:
        ip("link", "add", name, "type", "veth", "peer", "name", "net0", "netns", name)
        ip("link", "set", name, "master", network, "up")
        for command in (
            ["address", "add", f"{address}/24", "dev", "net0"],
            ["link", "set", "net0", "up"],
            ["link", "set", "lo", "up"],
        ):
            ip("-n", name, *command)
        yield
    finally:
        kill_host(name)
        ip("netns", "delete", name)


@contextmanager
def workers(name, address, scheduler, count):
    """Dask workers of one thread on a host."""
    command = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        scheduler,
        "--host",
        address,
        "--nthreads",
        "1",
        "--no-dashboard",
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    options = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(
        ["ip", "netns", "exec", name, *command, "--nworkers", str(count)], **options
    ) as process:
        try:
            yield
        finally:
            kill_host(name)
            process.wait(WAIT_S)


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    """A client of a cluster of two hosts with two workers each, and the names of the hosts."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("network namespaces need Linux, root and the command ip (apt-get install iproute2)")
    from distributed import Client, LocalCluster

    monkeypatch.chdir(tmp_path)
    # A namespace's links go some time after it: the next test takes other names.
    mark, subnet = secrets.token_hex(4), f"10.213.{secrets.randbelow(250)}"
    with ExitStack() as stack:
        try:
            stack.enter_context(bridge(f"gy{mark}", f"{subnet}.1"))
            names = [f"gy{mark}{letter}" for letter in "ab"]
            for number, name in enumerate(names):
                stack.enter_context(host(name, f"gy{mark}", f"{subnet}.{number + 2}"))
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this machine lets nobody make network namespaces: {error.stderr.decode().strip()}")
        scheduler = stack.enter_context(LocalCluster(n_workers=0, host=f"{subnet}.1", dashboard_address=None))
        client = stack.enter_context(Client(scheduler))
        for number, name in enumerate(names):
            stack.enter_context(workers(name, f"{subnet}.{number + 2}", scheduler.scheduler_address, 2))
        client.wait_for_workers(4, timeout=WAIT_S)
        yield client, names


def count_steps(client, folder, strategy, on_step):
    """An elastic run of 2 to 4 ranks; on_step is called once, after the first commit."""
    told = []

    def take(message):
        told.append(message)
        if message == Committed(4):
            on_step()

    folder.mkdir()
    arguments = {"folder": str(folder), "steps": 20, "every": 4, "step_s": 0.1}
    options = {"strategy": strategy, "min_ranks": 2, "wait_s": WAIT_S}
    return run_on_ranks(client, rank_entries.count_steps, arguments, 4, 100, take, **options), told


def beginnings(told):
    return [message for message in told if isinstance(message, rank_entries.Began)]


def test_ranks_on_two_hosts_sum_right_know_their_places_and_outlive_a_host(cluster, tmp_path):
    client, names = cluster
    for strategy in ("horovod", "ddp"):
        results = run_on_ranks(client, rank_entries.report, {}, 4, WAIT_S, lambda _: None, strategy=strategy)
        assert [result["total"] for result in results] == [10.0] * 4
        places = [
            (result["local_rank"], result["local_size"], result["cross_rank"], result["cross_size"])
            for result in results
        ]
        assert places == [(0, 2, 0, 2), (1, 2, 0, 2), (0, 2, 1, 2), (1, 2, 1, 2)]
    results = run_on_ranks(client, rank_entries.sums, {}, 4, WAIT_S, lambda _: None)
    assert results == [{"wrong": [], "shared": True}] * 4
    # Rank 0, the store and the commits' author are on the first host.
    results, told = count_steps(client, tmp_path / "run", "ddp", lambda: kill_host(names[0]))
    assert [result.step for result in results] == [20, 20]
    later = [message for message in beginnings(told) if message.generation > 1]
    assert {message.size for message in later} == {2}
    assert all(message.start >= 4 for message in later)


def test_a_host_that_falls_silent_is_given_up(cluster, tmp_path, monkeypatch):
    client, names = cluster
    monkeypatch.setattr(worker_claims, "SILENT_S", 4.0)
    monkeypatch.setattr(generation, "LOOK_S", 1.0)
    cut = time.monotonic()
    results, told = count_steps(
        client, tmp_path / "run", "horovod", lambda: ip("link", "set", names[1], "down")
    )
    assert [result.step for result in results] == [20, 20]
    assert time.monotonic() - cut < WAIT_S
    assert {message.generation: message.size for message in beginnings(told)} == {1: 4, 2: 2}
