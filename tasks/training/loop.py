"""The training loop of one rank. N ranks compute what one process would at the same global batch.

Order, augmentation and dropout are drawn from (seed, epoch, batch), so a training that was killed goes on
from its last commit as if nothing had happened. A rank's loss counts by the size of its share of the global
batch, so the last, smaller batch is exact as well.
"""

import math
import time
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import torch
from torch import Tensor

from infra.ranks.messages import Committed
from tasks.model.model import Model, save, weights_digest
from tasks.training import warm_start
from tasks.training.batch_norm import Batch, synchronize
from tasks.training.batches import Batches
from tasks.training.commits import Commits
from tasks.training.distillation import Distillation
from tasks.training.epochs import patience, planned_epochs
from tasks.training.evaluate import validate
from tasks.training.loader import Decoded, Share
from tasks.training.messages import EpochEnded, Progress, RankResult, Send
from tasks.training.optimizer import optimizer, set_rate
from tasks.training.plan import Plan
from tasks.training.saving import Saving, commit_of
from tasks.training.strategy import Strategy
from tasks.training.system_metrics import Usage

PACED_STEPS = 20
"""By which a training with a budget of minutes tells its pace; the first ones are slower, so the budget is
kept rather than filled."""
TRAINING_SHARE = 0.9
"""Of a budget of minutes; the rest is validation and commits."""
PROGRESS_S = 2.0
"""Time between two messages about the progress within an epoch."""


def be_deterministic() -> None:
    """Has torch compute the same numbers from the same numbers, in this process from now on."""
    # As torch.use_deterministic_algorithms, without its import of the compiler.
    torch.set_deterministic_debug_mode("warn")
    # Nothing reads memory that it did not write; filling it all the same took a twentieth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def fit(plan: Plan, strategy: Strategy, send: Send) -> RankResult:
    """Trains, from the last commit where there is one; rank 0 says how it goes and saves the checkpoint.

    That is the weights of the epoch that did best on the validation split (of equal ones the last), or those
    of the end where there is no such split.
    """
    fitting = Fitting(plan, strategy, send)
    fitting.resume()
    while not fitting.over:
        fitting.epoch()
    encoder, tensors = fitting.batches.encoder, strategy.whole(fitting.model.state_dict())
    ended = weights_digest(encoder, tensors)
    if strategy.rank == 0:
        tensors = fitting.saving.best() or tensors
        save(encoder, tensors, plan.checkpoint, facts(plan, weights_digest(encoder, tensors)))
        fitting.saving.commits.remove()
    parameters = sum(parameter.numel() for parameter in fitting.model.parameters())
    return RankResult(weights=ended, parameters=parameters)


def facts(plan: Plan, weights: str) -> dict[str, object]:
    """What the checkpoint says of itself: nothing that differs between two trainings of the same plan."""
    sections = plan.model_dump(mode="json", include={"intake", "result", "training"})
    return {"project": plan.dataset.project, "dataset": plan.dataset.digest, "weights": weights, **sections}


class Fitting:
    """A network in training on one rank."""

    def __init__(self, plan: Plan, strategy: Strategy, send: Send) -> None:
        self.training, self.strategy = plan.training, strategy
        self.send = send if strategy.rank == 0 else lambda _: None
        self.usage = Usage(strategy.rank, strategy.device, send)
        self.batches = Batches(plan)
        self.loader, self.intake, self.result = self.batches.loader, self.batches.intake, self.batches.result
        model, kept = build_untrained(self.batches)
        self.resting = frozenset() if self.training.backbone_lr_factor else kept
        """Names of tensors that stay as another model has them."""
        warm_start.freeze(model, self.resting)
        self.model = model.to(strategy.device)
        strategy.align(self.model.state_dict())
        self.rows = synchronize(self.model, strategy) if strategy.size > 1 else Batch()
        self.distillation = None
        if plan.teacher:
            self.distillation = Distillation(plan.teacher, self.intake, self.result, strategy.device)
        if self.training.compile:
            self.model.network.compile()
        self.forward = strategy.parallel(self.model)
        self.optimizer = optimizer(self.model, kept, self.training)
        strategy.averaging(self.model, self.training)
        self.saving = Saving(self.model, self.optimizer, strategy, Commits(plan.folder / "commits"))
        self.epochs = planned_epochs(self.training, self.loader.rows)
        self.patience = patience(self.training, self.epochs)
        self.steps = self.loader.steps * self.epochs
        self.paced = self.training.minutes is None
        """Whether it is settled how many steps there are."""
        self.step = 0
        """Optimizer steps done, over all epochs."""
        self.history: list[EpochEnded] = []
        self.committed = self.told = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether all epochs are done, or `patience` of them brought nothing better."""
        if self.step >= self.steps:
            return True
        at_epoch_start = self.step % self.loader.steps == 0
        return at_epoch_start and self.epochs_without_better() >= self.patience

    def epochs_without_better(self) -> int:
        """Since the best one."""
        metric = self.result.metric
        scores = [epoch.metrics[metric] for epoch in self.history if metric in epoch.metrics]
        return len(scores) - 1 - scores.index(max(scores)) if scores else 0

    def epoch(self) -> None:
        """The rest of the epoch that the training is in."""
        started, first = time.perf_counter(), self.step
        number, batch = divmod(self.step, self.loader.steps)
        self.model.train()
        warm_start.freeze(self.model, self.resting)
        summed, rows = torch.zeros((), device=self.strategy.device), 0
        with closing(self.loader.epoch(number, self.strategy.rank, self.strategy.size, batch)) as shares:
            for share in shares:
                summed += self.batch(share, number) * share.size
                rows += share.size
                if not self.paced and self.step - first == min(PACED_STEPS, self.loader.steps - batch):
                    self.keep_to_budget((time.perf_counter() - started) / (self.step - first))
                self.tell(time.perf_counter() - started, self.step - first, rows, summed)
                if self.step >= self.steps:
                    break
        # What a layer of the user's own remembers follows each rank's own rows; all go on with that of rank
        # 0.
        self.strategy.align(dict(self.model.named_buffers()))
        mean = float(self.strategy.sum(summed / self.strategy.size)) / rows
        seconds = time.perf_counter() - started
        ended = EpochEnded(
            epoch=number + 1,
            epochs=self.epochs,
            loss=mean,
            samples_per_s=rows / seconds,
            metrics=validate(self.model, self.result, self.batches.held_out, self.strategy),
        )
        self.history.append(ended)
        self.send(ended)
        self.commit(ended.metrics.get(self.result.metric, -math.inf))

    def keep_to_budget(self, step_s: float) -> None:
        """Plans as many steps of this duration, in seconds, as `training.minutes` has room for.

        All ranks plan the same.
        """
        mean_s = (
            float(self.strategy.sum(torch.tensor(step_s, device=self.strategy.device))) / self.strategy.size
        )
        room = int(TRAINING_SHARE * 60 * (self.training.minutes or math.inf) / mean_s)
        self.steps = max(self.step, min(self.steps, room))
        self.epochs = math.ceil(self.steps / self.loader.steps)
        self.paced = True

    def batch(self, share: Share, epoch: int) -> Tensor:
        """One optimizer step.

        The share's mean loss, weighed so that the mean over ranks is the mean loss of the global batch.
        """
        draws = (
            np.random.SeedSequence((self.training.seed, epoch, share.number)).generate_state(1, np.uint64)[0]
            >> 1
        )
        rows, targets, weights = self.augmented(share, int(draws))
        # Layers that draw while they train, such as dropout, draw something else on each rank.
        torch.manual_seed(int(draws) + self.strategy.rank)
        whole = (share.end - share.start) * self.strategy.size / share.size
        self.strategy.zero(self.optimizer)
        total = torch.zeros((), device=self.strategy.device)
        for number, (mine, part) in enumerate(
            split_share(len(rows), self.training.accumulation_steps), start=1
        ):
            self.rows.counts = whole * part > 0
            with self.strategy.piece(self.forward, last=number == self.training.accumulation_steps):
                with torch.autocast(
                    self.strategy.device.type, torch.bfloat16, enabled=self.training.precision == "bfloat16"
                ):
                    outputs = self.forward(rows[mine])
                outputs = outputs.float()
                losses = self.model.postprocessing.loss(outputs, targets[mine])
                if self.distillation:
                    losses = self.distillation.blend(losses, outputs, rows[mine], self.model.postprocessing)
                loss = (losses * weights[mine]).mean() * (whole * part)
                loss.backward()
            total += loss.detach()
        set_rate(self.optimizer, self.training, self.step, self.steps)
        self.strategy.step(self.optimizer, self.model, self.training.max_grad_norm)
        self.step += 1
        return total

    def augmented(self, share: Share, seed: int) -> Decoded:
        """The share's rows on the device, changed by draws that belong to their places in the global batch."""
        rows, targets, weights = share.rows
        if self.intake.draws:
            draws = torch.rand(share.size, self.intake.draws, generator=torch.Generator().manual_seed(seed))
            rows = self.intake.augment(rows, draws[share.start : share.start + len(rows)])
        device = self.strategy.device
        return rows.to(device), targets.to(device), weights.to(device)

    def tell(self, seconds: float, steps: int, rows: int, summed: Tensor) -> None:
        """Every PROGRESS_S how far it is, every `commit_seconds` a commit.

        The rest: what was done of the epoch, in how long.
        """
        self.usage.tell(self.step)
        now = time.monotonic()
        if now - self.told > PROGRESS_S:
            self.told = now
            progress = Progress(
                share=self.step / self.steps,
                loss=float(summed) / rows,
                samples_per_s=rows / seconds,
                seconds_left=seconds / steps * (self.steps - self.step),
            )
            self.send(progress)
        due = now - self.committed > self.training.commit_seconds
        if self.strategy.sharded:
            # All ranks take part in such a commit, and their clocks may differ.
            due = bool(self.strategy.sum(torch.tensor(float(due), device=self.strategy.device)) > 0)
        if due and self.step % self.loader.steps:
            self.commit()

    def commit(self, score: float = -math.inf) -> None:
        """Writes down where the training stands; rank 0 says so."""
        self.committed = time.monotonic()
        self.saving.save(self.step, self.steps, self.history, score)
        self.send(Committed(self.step))

    def resume(self) -> None:
        """Goes on from the newest commit, or from the one that `training.resume` names."""
        commit = self.saving.newest()
        if commit is None and self.training.resume:
            commit = commit_of(self.training.resume)
        if commit is None:
            return
        self.saving.restore(commit)
        self.step = commit.step
        self.history = [EpochEnded.model_validate(epoch) for epoch in commit.facts["history"]]
        if self.training.minutes and self.step:
            self.steps, self.paced = commit.facts["steps"], True
            self.epochs = math.ceil(self.steps / self.loader.steps)
        for epoch in self.history:
            self.send(epoch)


def build_untrained(batches: Batches) -> tuple[Model, frozenset[str]]:
    """A network behind an encoder, preprocessing and postprocessing that know the training rows.

    The names of tensors kept from another.
    """
    plan, training = batches.plan, batches.training
    rows, targets = batches.fit()
    torch.manual_seed(training.seed)
    model = Model(batches.encoder, batches.intake, batches.result, training)
    model.preprocessing.fit(batches.encoder.encode(rows))
    model.postprocessing.fit(targets)
    kept = warm_start.load_layers(model, plan) if plan.start else frozenset[str]()
    return model, kept


def split_share(rows: int, count: int) -> Iterator[tuple[slice, float]]:
    """A share's rows in `count` pieces, each with what its mean loss weighs.

    A piece of a small share may be a row that counts nothing.
    """
    for number in range(count):
        start, end = (rows * each // count for each in (number, number + 1))
        yield slice(min(start, rows - 1), max(end, start + 1)), (end - start) / rows
