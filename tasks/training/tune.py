"""Hyperparameters tried out on the Dask cluster: as many trainings side by side as it has workers for."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from configs.search import SearchConfig
from tasks.training.distributed import run
from tasks.training.hyperparameter_search import Report
from tasks.training.messages import EpochEnded, Message
from tasks.training.plan import Plan
from tasks.training.tracking import Tracker


@dataclass
class Trials:
    """Trains one set of values at a time on a part of the workers.

    `evaluate` is called from several threads.
    """

    client: Any
    plan: Plan
    section: SearchConfig
    tracker: Callable[[Plan, int], Tracker]
    """Makes the MLflow run of a trial, by its plan and number."""
    slots: int = 0
    """Trials that the cluster has workers for; which of them a trial takes is run_on_ranks' to say."""

    def __post_init__(self) -> None:
        """Raises ValueError where the cluster is too small, nothing is to be tried, or there are no rows to score on."""
        workers, ranks = len(self.client.ncores()), self.section.ranks
        if not self.section.parameters:
            raise ValueError(
                "search.parameters is empty; name keys with their values, such as training.epochs: {choices: [5, 10]}"
            )
        if workers < ranks:
            raise ValueError(f"search.ranks {ranks} needs as many Dask workers; the cluster has {workers}")
        if not self.plan.dataset.splits.get("validation"):
            raise ValueError(
                f"{self.plan.dataset.tag} has no validation split to score trials on; raise versioning.split.validation"
            )
        self.slots = workers // ranks

    def evaluate(self, values: dict[str, Any], number: int, report: Report) -> dict[str, float]:
        """Score (the best epoch's metric on the validation split), seconds and network parameters of a training with these values."""
        plan, scores, started = self.planned(values, number), list[float](), time.monotonic()
        try:
            with self.tracker(plan, number) as tracker:

                def on_message(message: Message) -> None:
                    if isinstance(message, EpochEnded):
                        tracker.epoch(message)
                        scores.append(score_of(message))
                        report(message.epoch, max(scores))

                results = run(self.client, plan, on_message)
        finally:
            shutil.rmtree(plan.folder, ignore_errors=True)
        return {
            "score": max(scores),
            "seconds": time.monotonic() - started,
            "parameters": float(results[0].parameters),
        }

    def planned(self, values: dict[str, Any], number: int) -> Plan:
        """The plan with these values, in a folder of its own.

        Raises ValueError naming a key or value that does not fit.
        """
        fixed = {"ranks": self.section.ranks, "min_ranks": None, "max_ranks": None}
        training = self.plan.training.model_copy(update=fixed)
        tree = self.plan.model_copy(update={"training": training}).model_dump()
        for key, value in values.items():
            *sections, last = key.split(".")
            place = tree
            for section in sections:
                place = place[section]
            place[last] = value
        try:
            return Plan.model_validate(tree | {"folder": Path(self.plan.folder) / f"trial-{number}"})
        except ValidationError as error:
            problem = error.errors()[0]
            raise ValueError(
                f"search.parameters.{'.'.join(map(str, problem['loc']))}: {problem['input']!r}: {problem['msg']}"
            ) from None


def score_of(ended: EpochEnded) -> float:
    """The result's metric on the validation split after an epoch."""
    (score,) = ended.metrics.values()
    return score
