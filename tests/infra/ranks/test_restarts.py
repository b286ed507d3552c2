"""Elastic runs on real ranks: what is lost comes back, what was committed is never computed again."""

import threading
import time

import pytest

from configs.cluster import ClusterConfig
from infra.cluster import open_cluster
from infra.ranks.messages import Committed
from infra.ranks.run import RankError, run_on_ranks
from tests.infra.ranks import rank_entries


@pytest.fixture(scope="module")
def cluster():
    with open_cluster(ClusterConfig(workers=2)) as client:
        yield client


@pytest.fixture
def client(cluster):
    scale(cluster, 2)
    return cluster


def scale(client, count):
    client.cluster.scale(count)
    deadline = time.monotonic() + 60
    while len(client.ncores()) != count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def count_steps(client, folder, *, steps=12, ranks=2, on_message=None, timeout_s=90, **options):
    """Results and all messages."""
    told = []
    keys = ("every", "step_s", "accidents")
    arguments = {"folder": str(folder), "steps": steps, "every": 4} | {
        key: options.pop(key) for key in keys if key in options
    }

    def take(message):
        told.append(message)
        if on_message:
            on_message(message)

    return run_on_ranks(client, rank_entries.count_steps, arguments, ranks, timeout_s, take, **options), told


def beginnings(told):
    return [
        (message.generation, message.size, message.start)
        for message in told
        if isinstance(message, rank_entries.Began) and message.rank == 0
    ]


@pytest.mark.parametrize(("strategy", "how"), [("horovod", "kill rank"), ("ddp", "kill worker")])
def test_a_run_goes_on_from_its_last_commit_when_ranks_are_killed_twice(client, tmp_path, strategy, how):
    accidents = {"1": [1, 6, how], "2": [0, 11, how]}
    results, told = count_steps(client, tmp_path, min_ranks=1, strategy=strategy, accidents=accidents)
    assert {(result.step, result.generation) for result in results} <= {(12, 3), (12, 4)}
    begun = beginnings(told)
    assert [begin for _, _, begin in begun][:3] == [0, 4, 8]
    assert [message.step for message in told if isinstance(message, Committed)] == [4, 8, 12]


def test_workers_that_join_are_used_after_the_next_commit(client, tmp_path):
    def join(message):
        if message == Committed(4):
            scale(client, 3)

    results, told = count_steps(client, tmp_path, steps=200, on_message=join, max_ranks=3, step_s=0.05)
    (first, second) = beginnings(told)
    assert first == (1, 2, 0)
    assert second[:2] == (2, 3)
    # What the first generation committed while it was ended is told as well: nothing is missing, nothing
    # comes twice.
    assert second[2] in range(4, 200, 4)
    assert [message.step for message in told if isinstance(message, Committed)] == list(range(4, 201, 4))
    assert [result.size for result in results] == [3, 3, 3]


def test_below_the_minimum_a_run_waits_for_a_worker(client, tmp_path):
    scale(client, 1)
    threading.Timer(1.0, client.cluster.scale, args=(2,)).start()
    results, _ = count_steps(client, tmp_path, min_ranks=2, wait_s=60)
    assert [result.step for result in results] == [12, 12]


def test_below_the_minimum_for_too_long_a_run_fails_and_can_be_resumed(client, tmp_path):
    def leave(message):
        if message == Committed(4):
            client.cluster.scale(1)

    with pytest.raises(
        RankError, match="2 ranks need 2 Dask workers; the cluster has 1 after 1 s of waiting"
    ) as raised:
        count_steps(client, tmp_path, on_message=leave, min_ranks=2, wait_s=1, step_s=0.2)
    assert "The last commit is whole: run again to go on from it." in str(raised.value)
    results, told = count_steps(client, tmp_path, ranks=1, strategy="single")
    assert beginnings(told)[0][2] >= 4
    assert results[0].step == 12


def test_a_bug_in_an_elastic_run_is_its_error_and_never_tried_again(client, tmp_path):
    with pytest.raises(RankError, match=r"(?s)rank 1 failed:.*ValueError: the dog ate the batch"):
        count_steps(client, tmp_path, min_ranks=1, accidents={"1": [1, 2, "raise"], "2": [0, 3, "kill rank"]})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("strategy", ["horovod", "ddp"])
def test_a_rank_that_hangs_is_replaced(client, tmp_path, strategy):
    results, told = count_steps(
        client, tmp_path, min_ranks=2, strategy=strategy, stall_s=3, accidents={"1": [1, 6, "hang"]}
    )
    assert [begin for _, _, begin in beginnings(told)] == [0, 4]
    assert [result.step for result in results] == [12, 12]
