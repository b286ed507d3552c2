"""Runs a function on N Horovod ranks over a Dask cluster: no mpirun, no ssh.

The driver starts Horovod's rendezvous server and pins one submission to each of N Dask workers; each starts its rank as a child process.
A rank that raises, is killed or hangs, and a worker that is lost, end the run with the reason and leave the workers ready for the next.

Security: the rendezvous server has no authentication, so it listens only on the address that the cluster's own traffic takes (loopback
for a local cluster), on a random port, while a run lasts. It keeps and returns bytes; unlike Horovod's elastic and task services, which
are not used, it unpickles nothing. Ranks exchange tensors alone (no `broadcast_object`), and report to the driver in JSON. Dask itself
pickles the submissions: protect a cluster that others can reach with Dask's TLS.
"""

import json
import logging
import os
import queue
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from infra.horovod.supervision import place, supervise

log = logging.getLogger("gyre.ranks")
Library = Literal["horovod", "torch"]
"""What ranks talk to each other by."""
POLL_S = 0.2
"""How often the workers are counted: a lost one is noticed this long after the scheduler did."""
GRACE_S = 2.0
"""How long a rank that failed because of another waits for the other's own reason."""
END_S = 10.0
"""How long the ranks of a run that failed may take to end."""
JOIN_S = 300
"""How long ranks wait for each other at the start; a worker may be busy with something else."""


class RankError(RuntimeError):
    """A rank failed; the message names the rank and gives its own error whole."""


def run_on_ranks(
    client: Any,
    entry: str,
    arguments: Any,
    ranks: int,
    timeout_s: float,
    on_message: Callable[[dict[str, Any]], None],
    workers: list[str] | None = None,
    library: Library = "horovod",
) -> list[Any]:
    """What `entry` returned on each rank, in the order of the ranks.

    `entry` is a `module:function` that is called on every rank as function(arguments, send), inside an initialised Horovod or, by
    `library`, torch.distributed process group; arguments and result are JSON values. Each send(message) arrives as on_message(message),
    in the calling thread, in the rank's order; lines that a rank prints or logs go to the logger `gyre.ranks`. Modules are found as the
    driver finds them (its sys.path). `workers` are the Dask addresses to use, one a rank, so that several runs can share a cluster; by
    default the first of them.

    Raises RankError, or TimeoutError after `timeout_s`; the ranks have ended by then.
    """
    from horovod.runner.common.util.hosts import HostInfo, get_host_assignments

    workers = workers or choose(client, ranks)
    places = client.run(place, workers=workers)
    slots = get_host_assignments([HostInfo(host, count) for host, count in Counter(map(host_of, workers)).items()], ranks)
    run = Run(ranks, on_message)
    topic = f"gyre-ranks-{uuid.uuid4().hex}"
    with meeting(library, address_towards(client), slots) as server, subscribed(client, topic, run.inbox), ending(client, run):
        for worker, slot in zip(workers, slots, strict=True):
            pid, interface = places[worker]
            job = {
                "rank": slot.rank,
                "worker": pid,
                "input": json.dumps({"parent": pid, "entry": entry, "arguments": arguments, "library": library}),
                "environment": environment(slot, interface, server),
                # The worker's own limit, should the driver be gone by then.
                "timeout_s": timeout_s + END_S,
            }
            options = {"workers": [worker], "allow_other_workers": False, "pure": False, "retries": 0}
            future = client.submit(supervise, job, topic, key=f"{topic}-{slot.rank}", **options)
            run.add(slot.rank, worker, future)
        return run.follow(client, timeout_s)


def choose(client: Any, ranks: int) -> list[str]:
    """Addresses of as many workers as ranks, those of one host side by side. Raises RankError where there are fewer."""
    workers = sorted(client.ncores())
    if len(workers) < ranks:
        raise RankError(
            f"{ranks} ranks need {ranks} Dask workers; the cluster has {len(workers)}. Raise cluster.workers or lower training.ranks."
        )
    return workers[:ranks]


def host_of(address: str) -> str:
    """Host of a Dask address such as tcp://10.0.0.1:8786."""
    from distributed.comm.addressing import get_address_host

    return str(get_address_host(address))


def address_towards(client: Any) -> str:
    """The driver's address on the network of the cluster's scheduler, under which workers reach it."""
    from distributed.utils import get_ip

    return str(get_ip(host_of(client.scheduler.address)))


@contextmanager
def meeting(library: Library, address: str, slots: list[Any]) -> Iterator[tuple[str, int]]:
    """Address and port where the ranks find each other."""
    if library == "horovod":
        with rendezvous(address, slots) as server:
            yield server
        return
    from datetime import timedelta

    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    # It keeps bytes and unpickles nothing, but listens on every interface: torch has no choice of one.
    store = TCPStore(address, 0, len(slots), is_master=True, wait_for_workers=False, timeout=timedelta(seconds=JOIN_S))
    yield address, store.port


@contextmanager
def rendezvous(address: str, slots: list[Any]) -> Iterator[tuple[str, int]]:
    """Address and port of a rendezvous server that listens on `address` alone; Horovod's own class takes every interface."""
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


@contextmanager
def subscribed(client: Any, topic: str, inbox: "queue.SimpleQueue[dict[str, Any]]") -> Iterator[None]:
    """Puts the ranks' events into `inbox` until the block ends."""
    client.subscribe_topic(topic, lambda event: inbox.put(json.loads(event[1])))
    try:
        yield
    finally:
        client.unsubscribe_topic(topic)


def environment(slot: Any, interface: str, server: tuple[str, int]) -> dict[str, str]:
    """What a rank's process finds in its environment beside the worker's own."""
    return {
        "PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path),
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
        "HOROVOD_GLOO_RENDEZVOUS_ADDR": server[0],
        "HOROVOD_GLOO_RENDEZVOUS_PORT": str(server[1]),
        "HOROVOD_GLOO_TIMEOUT_SECONDS": str(JOIN_S),
        # Which tensors are summed together would otherwise depend on timing, and with it the last bits of a sum over three or more ranks.
        "HOROVOD_DISABLE_GROUP_FUSION": "1",
        # The same for torch.distributed, whose store the driver keeps.
        "RANK": str(slot.rank),
        "WORLD_SIZE": str(slot.size),
        "LOCAL_RANK": str(slot.local_rank),
        "MASTER_ADDR": server[0],
        "MASTER_PORT": str(server[1]),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "GLOO_SOCKET_IFNAME": interface,
    }


@dataclass
class Run:
    """The driver's view of one run: what each rank has said so far."""

    ranks: int
    on_message: Callable[[dict[str, Any]], None]
    inbox: "queue.SimpleQueue[dict[str, Any]]" = field(default_factory=queue.SimpleQueue)
    futures: list[Any] = field(default_factory=list)
    running: dict[int, str] = field(default_factory=dict)
    """Worker address of each rank that has not ended."""
    results: dict[int, Any] = field(default_factory=dict)
    consequences: dict[int, str] = field(default_factory=dict)
    """Errors of ranks that failed because another one did."""
    patience: float = float("inf")
    """When to stop waiting for the other one's own error."""

    def add(self, rank: int, worker: str, future: Any) -> None:
        """A rank that was submitted."""
        self.running[rank] = worker
        self.futures.append(future)
        future.add_done_callback(lambda done: self.submitted(rank, done))

    def submitted(self, rank: int, future: Any) -> None:
        """Passes on what went wrong around the rank, such as a worker that cannot import this package."""
        if future.status == "error":
            self.inbox.put({"rank": rank, "error": repr(future.exception())})
            self.inbox.put({"rank": rank, "ended": 1})

    def follow(self, client: Any, timeout_s: float) -> list[Any]:
        """Waits for all ranks. Raises what ended the run."""
        deadline = time.monotonic() + timeout_s
        next_count = 0.0
        while self.running and (now := time.monotonic()) < min(deadline, self.patience):
            if now >= next_count:
                next_count = now + POLL_S
                self.count(client)
            self.take(POLL_S)
        for rank, error in sorted(self.consequences.items()):
            raise RankError(f"rank {rank} failed:\n{error}")
        if self.running:
            raise TimeoutError(f"{self.named()} did not end within {timeout_s:g} s")
        return [self.results[rank] for rank in range(self.ranks)]

    def take(self, timeout_s: float) -> None:
        """Handles the next event, if one comes in time."""
        try:
            event = self.inbox.get(timeout=timeout_s)
        except queue.Empty:
            return
        rank = event["rank"]
        match event:
            case {"line": line}:
                log.info("[rank %d] %s", rank, line)
            case {"message": message}:
                self.on_message(message)
            case {"result": result}:
                self.results[rank] = result
            case {"error": error, "consequence": True}:
                self.consequences[rank] = error
                self.patience = min(self.patience, time.monotonic() + GRACE_S)
            case {"error": error}:
                raise RankError(f"rank {rank} failed:\n{error}")
            case {"ended": code}:
                worker = self.running.pop(rank)
                if rank not in self.results and rank not in self.consequences:
                    raise RankError(f"rank {rank} on {worker} {how(code)} before it had a result")

    def count(self, client: Any) -> None:
        """Raises RankError where a worker whose rank still runs has gone."""
        alive = client.ncores()
        for rank, worker in sorted(self.running.items()):
            if worker not in alive:
                del self.running[rank]
                raise RankError(f"rank {rank}: its worker {worker} was lost")

    def named(self) -> str:
        """The ranks that still run, for people."""
        return f"rank{'s' * (len(self.running) > 1)} {', '.join(map(str, sorted(self.running)))}"


def how(code: int) -> str:
    """How a process ended, by its exit code."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


@contextmanager
def ending(client: Any, run: Run) -> Iterator[None]:
    """Ends the ranks that still run when the block fails, and waits for them, so that nothing of this run meets the next."""
    try:
        yield
    except BaseException:
        client.cancel(run.futures, force=True)
        deadline = time.monotonic() + END_S
        run.on_message = lambda _: None
        while run.running and time.monotonic() < deadline:
            try:
                run.take(POLL_S)
                run.count(client)
            except RankError as also:
                log.info("%s", also)
        raise
