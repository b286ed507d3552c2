"""Every strategy on the same executor; real ranks on a real Dask cluster."""

import gc
import threading
from typing import get_args

import psutil
import pytest

from configs.cluster import ClusterConfig
from configs.training import Strategy
from infra.cluster import open_cluster
from infra.ranks.run import RankError, run_on_ranks
from tests.infra.ranks import rank_entries


@pytest.fixture(scope="module")
def client():
    with open_cluster(ClusterConfig(workers=4)) as client:
        yield client


def report(client, strategy, ranks=2, **arguments):
    return run_on_ranks(client, rank_entries.report, arguments, ranks, 60, lambda _: None, strategy=strategy)


@pytest.mark.parametrize("strategy", [each for each in get_args(Strategy) if each != "single"])
def test_ranks_sum_over_loopback_alone_and_know_their_places(client, strategy):
    results = report(client, strategy, 3, addresses=True)
    assert [result["total"] for result in results] == [6.0] * 3
    assert [(result["rank"], result["local_rank"], result["cross_rank"]) for result in results] == [
        (0, 0, 0),
        (1, 1, 0),
        (2, 2, 0),
    ]
    assert {address.removeprefix("::ffff:") for result in results for address in result["addresses"]} == {
        "127.0.0.1"
    }


def test_a_single_rank_joins_nobody(client):
    assert [(result["total"], result["size"]) for result in report(client, "single", 1)] == [(1.0, 1)]


def test_a_single_rank_cannot_be_two(client):
    with pytest.raises(ValueError, match="strategy single is one rank; 2 were asked for"):
        report(client, "single")


def test_numbers_of_ranks_that_contradict_each_other_are_named(client):
    with pytest.raises(
        ValueError, match="min_ranks 3, ranks 2, max_ranks 2: each must be at least the one before"
    ):
        run_on_ranks(client, rank_entries.report, {}, 2, 60, lambda _: None, min_ranks=3)


def test_a_torch_rank_that_raises_is_blamed_and_not_the_one_that_saw_it_go(client, tmp_path):
    arguments = {"folder": str(tmp_path), "steps": 100, "every": 10, "accidents": {"1": [1, 3, "raise"]}}
    with pytest.raises(RankError, match=r"(?s)rank 1 failed:.*ValueError: the dog ate the batch"):
        run_on_ranks(client, rank_entries.count_steps, arguments, 2, 60, lambda _: None, strategy="ddp")


def test_trainings_side_by_side_take_different_workers_and_a_third_waits(client, tmp_path):
    workers, results = {}, {}

    def train(name, strategy):
        def take(message):
            if isinstance(message, rank_entries.Began):
                workers.setdefault(name, set()).add(message.worker)

        folder = tmp_path / name
        folder.mkdir()
        arguments = {"folder": str(folder), "steps": 5, "every": 5, "step_s": 0.2}
        results[name] = run_on_ranks(
            client, rank_entries.count_steps, arguments, 2, 60, take, strategy=strategy
        )

    threads = [
        threading.Thread(target=train, args=(name, strategy))
        for name, strategy in (("a", "horovod"), ("b", "ddp"), ("c", "ddp"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: [result.step for result in found] for name, found in results.items()} == {
        name: [5, 5] for name in "abc"
    }
    assert len(set.union(*workers.values())) == 4
    assert all(len(found) == 2 for found in workers.values())


def test_runs_one_after_the_other_leave_no_socket_thread_or_file_handle(client):
    def state():
        gc.collect()
        pids = [
            psutil.Process(),
            *(worker for worker in map(psutil.Process, sorted(client.run(pid_of).values()))),
        ]
        return {
            process.pid: (process.num_fds(), len(process.net_connections("tcp"))) for process in pids
        }, threading.active_count()

    for strategy in ("horovod", "ddp"):
        report(client, strategy)
    before = state()
    for strategy in ("ddp", "horovod"):
        report(client, strategy)
    handles, threads = state()
    assert handles == before[0]
    assert threads <= before[1]


def pid_of():
    import os

    return os.getpid()
