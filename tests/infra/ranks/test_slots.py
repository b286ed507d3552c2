"""Places of ranks on hosts."""

import pytest
from horovod.runner.common.util.hosts import HostInfo, get_host_assignments
from hypothesis import given
from hypothesis import strategies as st

from infra.ranks.joining import is_consequence, use_device
from infra.ranks.slots import Slot, device, own_slot, slots, spread


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_ranks_lie_on_hosts_as_horovod_itself_lays_them(counts):
    workers = [f"tcp://10.0.0.{host}:{port}" for host, count in enumerate(counts) for port in range(count)]
    theirs = get_host_assignments(
        [HostInfo(f"10.0.0.{host}", count) for host, count in enumerate(counts)], len(workers)
    )
    names = ("rank", "size", "local_rank", "local_size", "cross_rank", "cross_size", "hostname")
    assert [[getattr(slot, name) for name in names] for slot in slots(workers)] == [
        [getattr(slot, name) for name in names] for slot in theirs
    ]


def test_a_run_takes_as_few_hosts_as_it_can():
    workers = ["tcp://a:1", "tcp://b:1", "tcp://b:2", "tcp://b:3", "tcp://c:1", "tcp://c:2"]
    assert spread(workers, 3) == ("tcp://b:1", "tcp://b:2", "tcp://b:3")
    assert spread(reversed(workers), 4) == ("tcp://b:1", "tcp://b:2", "tcp://b:3", "tcp://c:1")


def test_workers_that_share_a_list_of_gpus_take_one_each_by_local_rank():
    assert [device(["0,1"] * 2, rank) for rank in range(2)] == [0, 1]
    assert [device([None] * 2, rank) for rank in range(2)] == [0, 1]


def test_a_worker_that_sees_its_own_gpu_first_takes_that_one():
    assert [device(["0,1", "1,0"], rank) for rank in range(2)] == [0, 0]
    assert [device(["GPU-a", "GPU-b"], rank) for rank in range(2)] == [0, 0]


def test_a_place_survives_its_environment_variable(monkeypatch):
    slot = slots(["tcp://a:1", "tcp://b:1"], 3)[1]
    for name, value in slot.variable().items():
        monkeypatch.setenv(name, value)
    assert own_slot() == slot == Slot(1, 2, 0, 1, 1, 2, "b", 3, 0)


def test_a_process_that_is_no_rank_is_told_so(monkeypatch):
    monkeypatch.delenv("GYRE_SLOT", raising=False)
    with pytest.raises(RuntimeError, match="GYRE_SLOT is not set: this process is not a rank"):
        own_slot()


def test_each_rank_uses_its_gpu_and_one_too_many_is_named():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")
    assert use_device(Slot(0, 1, 0, 1, 0, 1, "a", device=0))
    assert torch.cuda.current_device() == 0
    with pytest.raises(RuntimeError, match="start at most one Dask worker a GPU"):
        use_device(Slot(0, 1, 0, 1, 0, 1, "a", device=torch.cuda.device_count()))


def test_a_broken_connection_is_a_consequence_and_a_bug_is_not():
    assert is_consequence(
        RuntimeError("[../gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1")
    )
    assert not is_consequence(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
