"""Real ranks on a real Dask cluster."""

import logging
import os
import subprocess
import sys
import threading
import time
from math import inf, isnan

import psutil
import pytest
from distributed import Client, LocalCluster

from configs.cluster import ClusterConfig
from infra.cluster import open_cluster
from infra.ranks.run import RankError, run_on_ranks
from tests.infra.ranks import rank_entries

SOON_S = 15
"""A failure surfaces in about a second once the ranks are up; a busy machine starts them slowly."""


@pytest.fixture(scope="module")
def cluster():
    with open_cluster(ClusterConfig(workers=2)) as client:
        yield client


@pytest.fixture
def client(cluster):
    cluster.wait_for_workers(2, timeout=60)
    return cluster


def tell(client, messages=0, on_message=lambda _: None):
    return run_on_ranks(client, rank_entries.tell, {"messages": messages}, 2, 60, on_message)


def misbehave(client, how, who, timeout_s=60.0):
    """Runs until the misbehaviour ends it; the error, the seconds and the ranks' pids."""
    told = []
    started = time.monotonic()
    with pytest.raises((RankError, TimeoutError)) as raised:
        run_on_ranks(client, rank_entries.misbehave, {"how": how, "who": who}, 2, timeout_s, told.append)
    return raised.value, time.monotonic() - started, [message["pid"] for message in told]


def rank_processes():
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            found += [process] if process.name() == "gyre-rank" else []
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def wait_until_gone(pids):
    deadline = time.monotonic() + SOON_S
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < deadline, pids
        time.sleep(0.02)


def listening():
    """Where this process listens."""
    connections = psutil.Process().net_connections("tcp")
    return {
        (connection.laddr.ip, connection.laddr.port)
        for connection in connections
        if connection.status == psutil.CONN_LISTEN
    }


def test_results_come_in_the_order_of_the_ranks(client):
    assert [(result["rank"], result["total"]) for result in tell(client)] == [(0, 3.0), (1, 3.0)]


def test_sums_of_every_kind_and_size_are_right_in_memory_that_the_ranks_share(client):
    results = run_on_ranks(client, rank_entries.sums, {}, 2, 60, lambda _: None)
    assert results == [{"wrong": [], "shared": True}] * 2


def test_a_rank_uses_one_thread(client):
    assert [result["threads"] for result in tell(client)] == [1, 1]


def test_messages_arrive_in_order_in_the_calling_thread_which_need_not_be_the_main_one(client):
    messages, threads = [], set()

    def take(message):
        messages.append(message)
        threads.add(threading.current_thread())

    caller = threading.Thread(target=tell, args=(client, 50, take))
    caller.start()
    caller.join()
    assert threads == {caller}
    assert [message["number"] for message in messages if message["rank"] == 0] == list(range(50))
    assert [message["number"] for message in messages if message["rank"] == 1] == list(range(50))


def test_what_a_rank_prints_is_logged_under_its_number(client, caplog):
    with caplog.at_level(logging.INFO, logger="gyre.ranks"):
        tell(client)
    assert {"[rank 0] rank 0 speaks", "[rank 1] rank 1 speaks"} <= set(caplog.messages)


def test_fewer_workers_than_ranks_is_an_error_with_both_numbers(client):
    with pytest.raises(RankError, match="3 ranks need 3 Dask workers; the cluster has 2"):
        run_on_ranks(client, rank_entries.tell, {"messages": 0}, 3, 60, lambda _: None)


@pytest.mark.parametrize("who", [0, 1])
def test_a_rank_that_raises_fails_the_run_with_its_own_error(client, who):
    error, seconds, _ = misbehave(client, "raise", who)
    assert f"rank {who} failed:\nTraceback" in str(error)
    assert "ValueError: the cat sat on the keyboard" in str(error)
    assert seconds < SOON_S
    assert not rank_processes()


def test_a_function_that_ranks_could_not_import_by_name_is_refused(client):
    def inner(arguments, send):
        send(arguments)

    for function in (inner, lambda arguments, send: None):
        with pytest.raises(
            ValueError, match="ranks import what they call by name; define a function at the top of"
        ):
            run_on_ranks(client, function, {}, 2, 60, lambda _: None)


def test_records_arrive_as_what_the_entry_sent_and_returned_numbers_that_are_not_finite_too(client):
    told = []
    results = run_on_ranks(client, rank_entries.echo, rank_entries.Spoken("one", inf), 2, 60, told.append)
    assert told == [rank_entries.Spoken("one", inf)] * 2
    assert [(result.words, isnan(result.number)) for result in results] == [("one one", True)] * 2


@pytest.mark.parametrize("who", [0])
def test_a_killed_rank_ends_the_run_and_the_next_run_on_the_same_workers_works(client, who):
    workers = set(client.ncores())
    error, seconds, _ = misbehave(client, "kill rank", who)
    assert f"rank {who} on tls://127.0.0.1:" in str(error)
    assert "was ended by SIGKILL before it had a result" in str(error)
    assert seconds < SOON_S
    assert not rank_processes()
    assert len(tell(client)) == 2
    assert set(client.ncores()) == workers


@pytest.mark.parametrize("who", [1])
def test_a_killed_worker_ends_the_run_and_leaves_no_rank_behind(client, who):
    error, seconds, pids = misbehave(client, "kill worker", who)
    assert f"rank {who}: its worker tls://127.0.0.1:" in str(error)
    assert "was lost" in str(error)
    assert seconds < SOON_S
    assert len(pids) == 2
    wait_until_gone(pids)
    client.wait_for_workers(2, timeout=60)
    assert len(tell(client)) == 2


def test_a_hung_rank_ends_the_run_at_the_deadline(client):
    error, seconds, pids = misbehave(client, "hang", 1, timeout_s=4)
    assert isinstance(error, TimeoutError)
    assert str(error) == "ranks 0, 1 did not end within 4 s"
    assert 4 <= seconds < 4 + SOON_S
    assert len(pids) == 2
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert len(tell(client)) == 2


DRIVER = """
import sys
from configs.cluster import ClusterConfig
from infra.cluster import open_cluster
from infra.ranks.run import run_on_ranks
from tests.infra.ranks import rank_entries

if __name__ == "__main__":
    with open_cluster(ClusterConfig.model_validate_json(sys.argv[1])) as client:
        run_on_ranks(client, rank_entries.misbehave, {"who": 1, "how": "hang"}, 2, 300, lambda message: print(message["pid"], flush=True))
"""


@pytest.fixture
def somebodys_cluster():
    """One that is reached by its address alone."""
    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        yield cluster


@pytest.mark.parametrize("kind", ["local", "address"])
def test_a_killed_driver_leaves_no_rank_behind_on_its_own_cluster_or_another(
    somebodys_cluster, kind, tmp_path
):
    section = (
        ClusterConfig()
        if kind == "local"
        else ClusterConfig(kind="address", address=somebodys_cluster.scheduler_address)
    )
    (tmp_path / "driver.py").write_text(DRIVER)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(tmp_path / "driver.py"), section.model_dump_json()]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as driver:
        pids = [int(driver.stdout.readline()) for _ in range(2)]
        assert all(psutil.pid_exists(pid) for pid in pids)
        driver.kill()
    wait_until_gone(pids)
    with Client(somebodys_cluster) as client:
        assert len(tell(client)) == 2


def test_an_error_of_the_driver_ends_the_ranks(client):
    def fail(_):
        raise KeyError("driver")

    with pytest.raises(KeyError, match="driver"):
        tell(client, 1, fail)
    assert not rank_processes()


def test_the_rendezvous_listens_on_loopback_only_and_stops_with_the_run(client):
    before, during = listening(), set()
    run_on_ranks(client, rank_entries.addresses, {}, 2, 60, lambda _: during.update(listening()))
    assert [address for address, _ in during - before] == ["127.0.0.1"]
    assert listening() == before


def test_ranks_speak_over_loopback_only(client):
    assert run_on_ranks(client, rank_entries.addresses, {}, 2, 60, lambda _: None) == [["127.0.0.1"]] * 2
