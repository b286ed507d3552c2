"""What a model is worth on rows that it was not trained on.

A checkpoint on the test split, one in training on the validation split.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.intake import build_intake
from tasks.model.model import Model, load
from tasks.records import Stored, TrainedModel
from tasks.result import Answers, Result, build_result
from tasks.result.confidence_interval import interval
from tasks.rows import parts
from tasks.training.loader import Loader
from tasks.training.messages import EpochEnded
from tasks.training.plan import Plan
from tasks.training.strategy import Strategy

ROWS_A_BATCH = 1024
"""Bounds the memory of an evaluation."""


def evaluate(plan: Plan, checkpoint: Stored) -> tuple[dict[str, float], bytes]:
    """All metrics of the result on the test split, its own first and last with its 95 % interval, and its picture (PNG)."""
    intake, result = build_intake(plan.intake), build_result(plan.result)
    frame = parts.read(plan.dataset, [*intake.columns, result.label], "test")
    if frame.empty:
        raise ValueError(
            f"{plan.dataset.tag}: no rows in the test split; leave more rows to it in versioning.split"
        )
    targets = result.targets(frame[result.label])
    model = load(checkpoint, intake, result, plan.training)
    given = answers(model, result, torch.from_numpy(model.encoder.encode(intake.rows(frame))))
    low, high = interval(result.scores(given, targets))
    metrics = result.metrics(given, targets) | {f"{result.metric}_low": low, f"{result.metric}_high": high}
    return metrics, result.picture(given, targets)


def record_model(
    plan: Plan,
    checkpoint: Stored,
    metrics: dict[str, float],
    history: list[EpochEnded],
    **facts: Any,
) -> TrainedModel:
    """What is known of a trained model.

    `metrics` of the test split, and of all epochs the best on the validation split.
    """
    metric = next(iter(metrics))
    scores = [ended.metrics[metric] for ended in history if metric in ended.metrics]
    return TrainedModel(
        **dict(checkpoint),
        dataset=plan.dataset,
        metrics=metrics,
        validation=max(scores, default=None),
        **facts,
    )


def answers(model: Model, result: Result, rows: Tensor) -> Answers:
    """The answers of a model in evaluation mode to encoded rows, by name."""
    with torch.inference_mode():
        batches = [model(batch) for batch in rows.split(ROWS_A_BATCH)]
    return {
        name: torch.cat(parts).numpy()
        for name, parts in zip(result.names, zip(*batches, strict=True), strict=True)
    }


def validate(model: Model, result: Result, held_out: Loader, strategy: Strategy) -> dict[str, float]:
    """The result's metric on the held-out rows, which the ranks share; nothing where there are none."""
    if not held_out.rows:
        return {}
    shared = held_out.rows >= strategy.size
    place = (strategy.rank, strategy.size) if shared else (0, 1)
    given, wanted = [], []
    model.eval()
    for rows, targets in held_out.share_of_all(*place):
        given.append(answers(model, result, rows.to(strategy.device)))
        wanted.append(targets)
    if strategy.sharded:
        for _ in range(len(given), max(held_out.batches_of_all(rank, place[1]) for rank in range(place[1]))):
            answers(model, result, rows.to(strategy.device))
    columns = {
        name: torch.from_numpy(np.concatenate([each[name] for each in given])) for name in result.names
    }
    gather = strategy.gather if shared else Tensor.cpu
    merged = {name: gather(values).numpy() for name, values in columns.items()}
    scores = result.scores(merged, gather(torch.cat(wanted)).numpy())
    return {result.metric: float(scores.mean())}
