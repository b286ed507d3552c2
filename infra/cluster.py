"""The Dask cluster that a project's YAML names; nothing else in the code knows which kind it is."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from types import ModuleType
from typing import Any, TypeVar

from configs.cluster import ClusterConfig
from infra.imports import resolve

WORKERS_TIMEOUT_S = 300
"""Queues of batch systems may hold workers back; after this the run fails with the number that came."""

SUBMITTED = 2
"""Jobs a worker that wait for it: a source of a million files is never in the scheduler at once."""
TICK_S = 1.0
T = TypeVar("T")
R = TypeVar("R")

LOCAL = {
    # Dask looks at itself 10 to 100 times a second otherwise: with two workers on two cores, a twentieth of a
    # training's time.
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.monitor-interval": "500ms",
    "distributed.admin.tick.interval": "500ms",
    # A worker that dies comes back within a second; after this time Dask gives up one that happens to be away
    # again at that very moment.
    "distributed.deploy.lost-worker-timeout": "1000 days",
    # No pages: they show rows and code to whoever opens them, and one of them takes orders from any web page.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
"""Dask's settings for workers on this machine."""


@contextmanager
def open_cluster(section: ClusterConfig) -> Iterator[Any]:
    """A distributed.Client whose cluster has at least `section.workers` workers.

    What was started here is closed again.

    A local cluster's workers are processes of one thread each and die with this process. What it says travels
    under certificates that are made for it and never written: whoever else reached it could run code as this
    user. Raises TimeoutError when too few workers come.
    """
    import dask
    from distributed import Client, LocalCluster, Security

    with ExitStack() as stack:
        if section.kind == "local":
            stack.enter_context(dask.config.set(LOCAL))
            options = {
                "processes": True,
                "threads_per_worker": 1,
                "host": "127.0.0.1",
                "dashboard_address": "127.0.0.1:0",
                "scheduler_kwargs": {"dashboard": False},
                "protocol": "tls://",
                "security": Security.temporary(),
            } | section.options
            with without_main():
                cluster: Any = stack.enter_context(LocalCluster(n_workers=section.workers, **options))
        elif section.kind == "address":
            cluster = section.address
        else:
            cluster = stack.enter_context(resolve(section.kind)(**section.options))
            cluster.scale(section.workers)
        client = stack.enter_context(Client(cluster, timeout=WORKERS_TIMEOUT_S))
        try:
            client.wait_for_workers(section.workers, timeout=WORKERS_TIMEOUT_S)
        except TimeoutError as error:
            came = len(client.scheduler_info()["workers"])
            place = section.address if section.kind == "address" else section.kind
            raise TimeoutError(
                f"{came} of {section.workers} Dask workers came within {WORKERS_TIMEOUT_S} s (cluster: {place}); run again once they are "
                f"there, or ask for fewer: cluster.workers={came or 1}"
            ) from error
        yield client


def run_bounded(
    client: Any, function: Callable[[T], R], jobs: Sequence[T], tick: Callable[[], None] | None = None
) -> Iterator[R]:
    """What a function answers to each job on some worker, in the order in which they end.

    A bounded number is submitted at a time.

    The first that fails stops the others, and its error is raised.

    tick: called about once a second while nothing ends, such as to tell how far the workers are
    """
    from distributed import wait

    left = iter(jobs)
    most = SUBMITTED * max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
    running = {client.submit(function, job, pure=False) for job in islice(left, most)}
    try:
        while running:
            try:
                done = wait(running, timeout=TICK_S if tick else None, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                done = set()
            if tick:
                tick()
            running -= done
            for finished in done:
                yield finished.result()
            running |= {client.submit(function, job, pure=False) for job in islice(left, len(done))}
    finally:
        client.cancel(list(running))


@contextmanager
def without_main() -> Iterator[None]:
    """Has processes that multiprocessing starts in the block not import this one's main module again.

    In a flow run that is Prefect's engine, and took two workers 0.7 s. What is submitted to them lies in
    modules.
    """
    main, hidden = sys.modules["__main__"], ModuleType("__main__")
    sys.modules["__main__"] = hidden
    try:
        yield
    finally:
        sys.modules["__main__"] = main
