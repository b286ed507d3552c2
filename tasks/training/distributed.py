"""Trains on the ranks of a Dask cluster, then evaluates: the stage as the driver sees it."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from configs.cluster import ClusterConfig
from infra.cluster import open_cluster
from infra.files import whole_file
from infra.ranks.run import run_on_ranks
from tasks.records import Stored, TrainedModel
from tasks.rows.parts import record_of
from tasks.training.messages import EpochEnded, Message, Progress, RankResult, SystemMetrics
from tasks.training.plan import Plan
from tasks.training.rank import train_rank
from tasks.training.report import curves, describe
from tasks.training.tracking import Tracker

log = logging.getLogger("gyre.training")
TIMEOUT_S = 24 * 3600
"""A training that takes longer has hung."""
OnMessage = Callable[[Message], None]
OnProgress = Callable[[float, str], None]
"""Takes the share of the training that is done, and how it goes, in words."""


class DivergedError(RuntimeError):
    """The ranks ended with different weights, so no checkpoint speaks for them all."""


def train_network(
    plan: Plan, cluster: ClusterConfig, tracker: Tracker, pictures: Path, on_progress: OnProgress
) -> TrainedModel:
    """The trained and evaluated model.

    Writes curves.png and errors.png (where answers are wrong) to the folder `pictures`.
    """
    history: list[EpochEnded] = []
    started = time.monotonic()

    def on_message(message: Message) -> None:
        match message:
            case SystemMetrics():
                tracker.system_metrics(message)
            case Progress():
                on_progress(message.share, describe(message))
            # A generation of ranks begins with what the ones before told already.
            case EpochEnded() if message.epoch > len(history):
                log.info(describe(message))
                history.append(message)
                tracker.epoch(message)
                on_progress(message.epoch / message.epochs, describe(message))

    with open_cluster(cluster) as client:
        checkpoint = train_on_ranks(client, plan, on_message)
    seconds = time.monotonic() - started
    from tasks.training.evaluate import evaluate, record_model

    metrics, errors = evaluate(plan, checkpoint)
    tracker.metrics(metrics)
    for name, picture in (("curves.png", curves(history)), ("errors.png", errors)):
        with whole_file(pictures / name) as temporary:
            temporary.write_bytes(picture)
        tracker.keep(pictures / name)
    tracker.keep(plan.checkpoint)
    facts = {"ranks": plan.training.ranks, "run_id": tracker.run_id, "seconds": seconds}
    return record_model(plan, checkpoint, metrics, history, **facts)


def train_on_ranks(client: Any, plan: Plan, on_message: OnMessage) -> Stored:
    """The checkpoint of a training, a rank a worker. Raises DivergedError, and what run_on_ranks raises."""
    results = run(client, plan, on_message)
    digests = [result.weights for result in results]
    if len(set(digests)) > 1:
        ends = ", ".join(f"rank {rank}: {digest[:12]}" for rank, digest in enumerate(digests))
        raise DivergedError(
            f"the ranks ended with different weights ({ends}); does the network change its parameters outside the optimizer?"
        )
    return record_of(plan.checkpoint)


def run(client: Any, plan: Plan, on_message: OnMessage) -> list[RankResult]:
    """What each rank of a training returned. Raises what run_on_ranks raises."""
    section = plan.training
    return run_on_ranks(
        client,
        train_rank,
        plan,
        section.ranks,
        TIMEOUT_S,
        on_message,
        strategy=section.strategy,
        min_ranks=section.min_ranks,
        max_ranks=section.max_ranks,
        wait_s=section.wait_seconds,
    )
