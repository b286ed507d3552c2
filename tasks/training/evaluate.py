"""What a checkpoint is worth on rows that training never saw."""

import torch
from torch import Tensor

import tasks.intake
import tasks.result
from tasks import dataset
from tasks.interval import interval
from tasks.model import Model, load
from tasks.records import Stored
from tasks.result import Answers, Result
from tasks.training.plan import Plan

ROWS_A_BATCH = 1024
"""Bounds the memory of an evaluation."""


def evaluate(plan: Plan, checkpoint: Stored) -> tuple[dict[str, float], bytes]:
    """All metrics of the result on the test split, its own first and last with its 95 % interval, and its picture (PNG)."""
    intake, result = tasks.intake.build(plan.intake), tasks.result.build(plan.result)
    frame = dataset.read(plan.dataset, [*intake.columns, result.label], "test")
    if frame.empty:
        raise ValueError(f"{plan.dataset.tag}: no rows in the test split; leave more rows to it in versioning.split")
    targets = result.targets(frame[result.label])
    model = load(checkpoint, intake, result, plan.training)
    given = answers(model, result, torch.from_numpy(model.encoder.encode(intake.rows(frame))))
    low, high = interval(result.scores(given, targets))
    metrics = result.metrics(given, targets) | {f"{result.metric}_low": low, f"{result.metric}_high": high}
    return metrics, result.picture(given, targets)


def answers(model: Model, result: Result, rows: Tensor) -> Answers:
    """The answers of a model in evaluation mode to encoded rows, by name."""
    with torch.inference_mode():
        batches = [model(batch) for batch in rows.split(ROWS_A_BATCH)]
    return {name: torch.cat(parts).numpy() for name, parts in zip(result.names, zip(*batches, strict=True), strict=True)}
