"""Which Dask workers carry ranks, and each rank's place among the others.

Pure, but for reading the environment.

A rank's place is written to its environment as JSON, so the code on a rank asks `own_slot()`, whatever the
strategy.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

VARIABLE = "GYRE_SLOT"


@dataclass(frozen=True)
class Slot:
    """One rank's place.

    Local: among the ranks of its host. Cross: among the ranks that have its local rank on their hosts.
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    cross_rank: int
    cross_size: int
    hostname: str
    generation: int = 1
    """1, and one more after each restart of an elastic run."""
    device: int = 0
    """Index of the rank's accelerator among those that its process sees."""

    def variable(self) -> dict[str, str]:
        """The slot as an environment variable."""
        return {VARIABLE: json.dumps(asdict(self))}


def own_slot() -> Slot:
    """The place of the rank that calls. Raises RuntimeError outside a rank."""
    if VARIABLE not in os.environ:
        raise RuntimeError(
            f"{VARIABLE} is not set: this process is not a rank; start ranks with infra.ranks.run.run_on_ranks"
        )
    return Slot(**json.loads(os.environ[VARIABLE]))


def host_of(address: str) -> str:
    """Host of a Dask address such as tcp://10.0.0.1:8786."""
    from distributed.comm.addressing import get_address_host

    return str(get_address_host(address))


def spread(workers: Iterable[str], ranks: int) -> tuple[str, ...]:
    """As many of the workers as ranks, on as few hosts as that takes, those of one host side by side."""
    ordered = sorted(workers)
    counts = Counter(map(host_of, ordered))
    return tuple(
        sorted(ordered, key=lambda worker: (-counts[host_of(worker)], host_of(worker), worker))[:ranks]
    )


def slots(
    workers: Sequence[str], generation: int = 1, visible: Sequence[str | None] | None = None
) -> list[Slot]:
    """A slot a worker, in the order of the workers. `visible`: what CUDA_VISIBLE_DEVICES says on each."""
    hosts = list(map(host_of, workers))
    names, sizes = list(dict.fromkeys(hosts)), Counter(hosts)
    found = []
    for rank, host in enumerate(hosts):
        local = hosts[:rank].count(host)
        peers = [name for name in names if sizes[name] > local]
        shown = [
            value for name, value in zip(hosts, visible or [None] * len(hosts), strict=True) if name == host
        ]
        place = {
            "local_rank": local,
            "local_size": sizes[host],
            "cross_rank": peers.index(host),
            "cross_size": len(peers),
        }
        found.append(
            Slot(rank, len(hosts), **place, hostname=host, generation=generation, device=device(shown, local))
        )
    return found


def device(visible: Sequence[str | None], local_rank: int) -> int:
    """Index of a local rank's accelerator, given CUDA_VISIBLE_DEVICES of all workers of its host.

    Where each worker sees the devices in another order, as dask-cuda starts them, the first one is its own;
    else they share a list.
    """
    firsts = [value.split(",")[0] if value else None for value in visible]
    return 0 if None not in firsts and len(set(firsts)) == len(firsts) else local_rank
