"""The training loop of one rank. N ranks compute what one process would at the same global batch.

Order and augmentation of every epoch are drawn for the whole data set from (seed, epoch), the same on each rank. A rank takes its
contiguous share of every global batch, and its loss counts by the size of that share, so the last, smaller batch is exact as well.
"""

import inspect
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import OneCycleLR

import tasks.intake
import tasks.result
from tasks import dataset
from tasks.model import Model, save, weights_digest
from tasks.training.evaluate import answers
from tasks.training.plan import Plan
from tasks.training.strategy import Horovod, Strategy

Send = Callable[[dict[str, Any]], None]


def on_rank(arguments: dict[str, Any], send: Send) -> dict[str, Any]:
    """What every Horovod rank calls: `arguments` is a Plan."""
    # As torch.use_deterministic_algorithms, without its import of the compiler.
    torch.set_deterministic_debug_mode("warn")
    return fit(Plan.model_validate(arguments), Horovod(), send)


def fit(plan: Plan, strategy: Strategy, send: Send) -> dict[str, Any]:
    """Trains; rank 0 sends a message after each epoch and saves the checkpoint at the end. Returns the digest of the rank's weights.

    A message has epoch, epochs, loss (mean of the epoch), samples_per_s (of all ranks) and, with a validation split, the result's metric.
    """
    fitting = Fitting(plan, strategy)
    for epoch in range(1, plan.training.epochs + 1):
        started = time.perf_counter()
        loss = fitting.epoch(epoch)
        seconds = time.perf_counter() - started
        if strategy.rank == 0:
            measured = {"loss": loss, "samples_per_s": len(fitting.rows) / seconds, **fitting.validate()}
            send({"epoch": epoch, "epochs": plan.training.epochs, **measured})
    weights = weights_digest(fitting.model)
    if strategy.rank == 0:
        save(fitting.model, plan.checkpoint, facts(plan, weights))
    return {"weights": weights}


def facts(plan: Plan, weights: str) -> dict[str, object]:
    """What the checkpoint says of itself: nothing that differs between two trainings of the same plan."""
    sections = plan.model_dump(mode="json", include={"intake", "result", "training"})
    return {"project": plan.dataset.project, "dataset": plan.dataset.digest, "weights": weights, **sections}


class Adam(AdamW):
    """AdamW as it is, without torch's wrappers for its compiler around three methods: their import costs every rank more than a second."""

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    step = torch.no_grad()(inspect.unwrap(AdamW.step))


class Fitting:
    """A network in training on one rank."""

    def __init__(self, plan: Plan, strategy: Strategy) -> None:
        self.training, self.strategy, self.plan = plan.training, strategy, plan
        self.intake, self.result = tasks.intake.build(plan.intake), tasks.result.build(plan.result)
        self.encoder = self.intake.encoder()
        self.rows, self.targets = self.split("train", fit=True)
        self.held_out = self.split("validation") if strategy.rank == 0 and plan.dataset.splits.get("validation") else None
        torch.manual_seed(self.training.seed)
        self.model = Model(self.encoder, self.intake, self.result, self.training)
        self.model.preprocessing.fit(self.rows.numpy())
        self.model.postprocessing.fit(self.targets.numpy())
        strategy.align(self.model.state_dict())
        # Layers that draw while they train, such as dropout, draw something else on each rank.
        torch.manual_seed(self.training.seed + strategy.rank)
        rate, decay = self.training.learning_rate, self.training.weight_decay
        self.optimizer = strategy.averaging(Adam(self.model.parameters(), lr=rate, weight_decay=decay, fused=True), self.model)
        steps = -(-len(self.rows) // self.training.batch_size) * self.training.epochs
        self.schedule = OneCycleLR(self.optimizer, max_lr=rate, total_steps=steps)

    def split(self, name: dataset.SplitName, fit: bool = False) -> tuple[Tensor, Tensor]:
        """Encoded rows [rows, ...] and targets [rows] of one split, on which the encoder is fitted first if asked for."""
        frame = dataset.read(self.plan.dataset, [*self.intake.columns, self.result.label], name)
        rows = self.intake.rows(frame)
        if fit:
            self.encoder.fit(rows)
        return torch.from_numpy(self.encoder.encode(rows)), torch.from_numpy(self.result.targets(frame[self.result.label]))

    def epoch(self, number: int) -> float:
        """One pass over the training rows; the mean loss of all ranks."""
        self.model.train()
        summed = torch.zeros(())
        for rows, targets, weight, size in self.shares(number):
            self.optimizer.zero_grad()
            loss = self.model.postprocessing.loss(self.model.outputs(rows), targets) * weight
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            summed += loss.detach() * size / self.strategy.size
        # Running statistics follow each rank's own rows; all go on with those of rank 0.
        self.strategy.align(dict(self.model.named_buffers()))
        return self.strategy.total(summed) / len(self.rows)

    def shares(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, float, int]]:
        """Of every global batch: the rank's rows and targets, what its mean loss weighs, and how many rows all ranks have.

        The mean over ranks of weight x loss is the mean loss of the global batch.
        """
        generator = torch.Generator().manual_seed(self.training.seed * 1_000_003 + epoch)
        order = torch.randperm(len(self.rows), generator=generator)
        for batch in order.split(self.training.batch_size):
            draws = torch.rand(len(batch), self.intake.draws, generator=generator)
            start, end = (len(batch) * rank // self.strategy.size for rank in (self.strategy.rank, self.strategy.rank + 1))
            weight = (end - start) * self.strategy.size / len(batch)
            # A rank whose share of the last batch is empty still takes part in the averaging, with a row that counts nothing.
            mine = slice(start, max(end, start + 1)) if start < len(batch) else slice(0, 1)
            rows = self.intake.augment(self.rows[batch[mine]], draws[mine])
            yield rows, self.targets[batch[mine]], weight, len(batch)

    def validate(self) -> dict[str, float]:
        """The result's metric on the validation split; nothing where there is none."""
        if not self.held_out:
            return {}
        rows, targets = self.held_out
        scores = self.result.scores(answers(self.model.eval(), self.result, rows), targets.numpy())
        return {self.result.metric: float(scores.mean())}
