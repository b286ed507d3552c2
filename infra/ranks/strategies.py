"""The driver's part of a strategy: what ranks need before they start, and the environment of each."""

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from configs.training import PROCESS_GROUPS, Strategy
from infra.ranks.joining import JOIN_S
from infra.ranks.slots import Slot, host_of

Address = tuple[str, int]


@contextmanager
def meeting_point(strategy: Strategy, client: Any, slots: Sequence[Slot]) -> Iterator[Address | None]:
    """Where ranks find each other; None where the driver serves nothing: for torch, rank 0's worker does."""
    if PROCESS_GROUPS[strategy] != "horovod":
        yield None
        return
    with rendezvous(address_towards(client), slots) as server:
        yield server


def address_towards(client: Any) -> str:
    """The driver's address on the network of the cluster's scheduler, under which workers reach it."""
    from distributed.utils import get_ip

    return str(get_ip(host_of(client.scheduler.address)))


@contextmanager
def rendezvous(address: str, slots: Sequence[Slot]) -> Iterator[Address]:
    """Address and port of a rendezvous server that listens on `address` alone.

    Horovod's own class takes every interface.
    """
    from horovod.runner.http.http_server import RendezvousHandler, RendezvousHTTPServer

    server = RendezvousHTTPServer((address, 0), RendezvousHandler, False)
    server.daemon_threads = True
    server.init(slots)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield address, server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def environment(
    strategy: Strategy, stall_s: float, slot: Slot, interface: str, server: Address | None
) -> dict[str, str]:
    """What a rank's process finds in its environment beside the worker's own.

    `server`: where ranks find each other.
    """
    common = {
        "PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path),
        **slot.variable(),
    }
    group = PROCESS_GROUPS[strategy]
    if group == "horovod" and server:
        return common | horovod_environment(stall_s, slot, interface, server)
    if group == "torch":
        return common | torch_environment(slot, interface, server)
    return common


def horovod_environment(stall_s: float, slot: Slot, interface: str, server: Address) -> dict[str, str]:
    """What Horovod reads."""
    return {
        "HOROVOD_HOSTNAME": slot.hostname,
        "HOROVOD_RANK": str(slot.rank),
        "HOROVOD_SIZE": str(slot.size),
        "HOROVOD_LOCAL_RANK": str(slot.local_rank),
        "HOROVOD_LOCAL_SIZE": str(slot.local_size),
        "HOROVOD_CROSS_RANK": str(slot.cross_rank),
        "HOROVOD_CROSS_SIZE": str(slot.cross_size),
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
        "HOROVOD_GLOO_IFACE": interface,
        "NCCL_SOCKET_IFNAME": interface,
        "HOROVOD_GLOO_RENDEZVOUS_ADDR": server[0],
        "HOROVOD_GLOO_RENDEZVOUS_PORT": str(server[1]),
        "HOROVOD_GLOO_TIMEOUT_SECONDS": str(JOIN_S),
        # Milliseconds. Ranks agree on what to sum when a tensor comes (horovod.patch), and otherwise once a
        # cycle, which costs the training time for nothing.
        "HOROVOD_CYCLE_TIME": "50",
        # Horovod ends ranks only after it has warned of them.
        "HOROVOD_STALL_CHECK_TIME_SECONDS": str(max(1, min(60, int(stall_s / 2)))),
        "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": str(max(2, int(stall_s))),
        # Which tensors are summed together would otherwise depend on timing, and with it the last bits of a
        # sum over three or more ranks.
        "HOROVOD_FUSION_THRESHOLD": "0",
    }


def torch_environment(slot: Slot, interface: str, store: Address | None) -> dict[str, str]:
    """What torch.distributed and code written for torchrun read.

    Rank 0's worker adds the store's address itself.
    """
    where = {"MASTER_ADDR": store[0], "MASTER_PORT": str(store[1])} if store else {}
    return where | {
        "RANK": str(slot.rank),
        "WORLD_SIZE": str(slot.size),
        "LOCAL_RANK": str(slot.local_rank),
        "LOCAL_WORLD_SIZE": str(slot.local_size),
        "GLOO_SOCKET_IFNAME": interface,
        "NCCL_SOCKET_IFNAME": interface,
        # A GPU rank whose partner went must end, not wait inside the device.
        "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
    }
