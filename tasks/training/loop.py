"""The training loop of one rank. N ranks compute what one process would at the same global batch.

Order, augmentation and dropout are drawn from (seed, epoch, batch), so a training that was killed goes on from its last commit as if
nothing had happened. A rank's loss counts by the size of its share of the global batch, so the last, smaller batch is exact as well.
"""

import inspect
import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

import tasks.intake
import tasks.result
from configs.project import Training
from infra.files import verified
from tasks.dataset import schema_of
from tasks.model import Model, save, weights_digest
from tasks.training import start
from tasks.training import strategy as strategies
from tasks.training.batch_norm import Batch, synchronize
from tasks.training.commits import NAME_BYTES, STATE, Commit, Commits, optimizer_state, read, restore_optimizer
from tasks.training.evaluate import ROWS_A_BATCH, answers
from tasks.training.loader import Loader, Rows, Share
from tasks.training.plan import Plan
from tasks.training.strategy import Strategy
from tasks.training.usage import Usage

Send = Callable[[dict[str, Any]], None]
MODEL = "model."
"""Prefix of the model's tensors in a commit."""
FITTED_ROWS = 200_000
"""Training rows that preprocessing and vocabularies are fitted on, all of them where there are fewer."""
ROWS_SEEN = 400_000
"""By a training whose epochs are not given."""
FIRST_RATE = 0.04
"""Share of the learning rate that a warm-up begins with."""
MOMENTS = ("exp_avg", "exp_avg_sq")
"""What Adam remembers of each parameter, in the parameter's shape."""
PROGRESS_S = 2.0
"""Time between two messages about the progress within an epoch."""


def on_rank(arguments: dict[str, Any], send: Send) -> dict[str, Any]:
    """What every rank calls: `arguments` is a Plan."""
    # As torch.use_deterministic_algorithms, without its import of the compiler.
    torch.set_deterministic_debug_mode("warn")
    # Nothing reads memory that it did not write; filling it all the same took a twentieth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    plan = Plan.model_validate(arguments)
    return fit(plan, strategies.of(plan.training), send)


def fit(plan: Plan, strategy: Strategy, send: Send) -> dict[str, Any]:
    """Trains, from the last commit where there is one; rank 0 says how it goes and saves the checkpoint. Returns the weights' digest.

    After each epoch a message has epoch, epochs, loss (mean of the epoch, or of what was left of it when the training went on),
    samples_per_s (of all ranks) and, with a validation split, the result's metric. Within an epoch, every PROGRESS_S, it has progress
    (share of the training) and seconds_left. Every rank also tells its usage (usage.py).
    """
    fitting = Fitting(plan, strategy, send)
    fitting.resume()
    while not fitting.over:
        fitting.epoch()
    fitting.take_best()
    tensors = strategy.whole(fitting.model.state_dict())
    weights = weights_digest(fitting.encoder, tensors)
    if strategy.rank == 0:
        save(fitting.encoder, tensors, plan.checkpoint, facts(plan, weights))
        fitting.commits.remove()
    return {"weights": weights, "parameters": sum(parameter.numel() for parameter in fitting.model.parameters())}


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

    def __init__(self, plan: Plan, strategy: Strategy, send: Send) -> None:
        self.training, self.strategy, self.plan = plan.training, strategy, plan
        self.send = send if strategy.rank == 0 else lambda _: None
        self.usage = Usage(strategy.rank, strategy.device, send)
        self.intake, self.result = tasks.intake.build(plan.intake), tasks.result.build(plan.result)
        folder = verified(plan.dataset.uri, plan.dataset.digest)
        named = [*self.intake.columns, self.result.label, self.result.soft_label, self.training.sample_weight]
        columns = list(dict.fromkeys(name for name in named if name))
        if missing := set(columns) - set(names := schema_of(folder).names):
            raise ValueError(f"{plan.dataset.tag} has no column {min(missing)!r}; it has {', '.join(names)}")
        self.mean_weight = 1.0
        self.loader = Loader(folder, "train", columns, self.lesson, self.training.batch_size, self.training.seed)
        self.held_out = Loader(folder, "validation", columns, self.question, ROWS_A_BATCH, 0)
        self.encoder = self.intake.encoder()
        self.kept: frozenset[str] = frozenset()
        """Names of the tensors of layers that come from `plan.start`."""
        self.model = self.fitted().to(strategy.device)
        strategy.align(self.model.state_dict())
        self.rows = synchronize(self.model, strategy) if strategy.size > 1 else Batch()
        if self.training.compile:
            self.model.network.compile()
        self.forward = strategy.parallel(self.model)
        self.optimizer = self.adam()
        strategy.averaging(self.model, self.training)
        self.epochs = self.training.epochs or min(60, max(5, round(ROWS_SEEN / self.loader.rows)))
        self.steps = self.loader.steps * self.epochs
        self.commits = Commits(plan.folder / "commits")
        self.step = 0
        """Optimizer steps done, over all epochs."""
        self.history: list[dict[str, Any]] = []
        self.committed = self.told = time.monotonic()

    def fitted(self) -> Model:
        """A fresh network behind an encoder, preprocessing and postprocessing that know the training rows."""
        frame = self.loader.sample(FITTED_ROWS).to_pandas()
        rows = self.intake.rows(frame)
        self.mean_weight = float(self.weights(frame).mean()) or 1.0
        if self.plan.start:
            self.encoder.restore(start.encoder_state(self.plan))
        else:
            self.encoder.fit(rows)
        torch.manual_seed(self.training.seed)
        model = Model(self.encoder, self.intake, self.result, self.training)
        model.preprocessing.fit(self.encoder.encode(rows))
        model.postprocessing.fit(self.result.targets(frame[self.result.label]))
        if self.plan.start:
            self.kept = start.take_over(model, self.plan)
            if not self.training.trunk_rate:
                start.rest(model, self.kept)
        return model

    def adam(self) -> Adam:
        """The optimizer; layers that were kept have a learning rate of their own."""
        kept: dict[bool, list[Tensor]] = {False: [], True: []}
        for name, parameter in self.model.named_parameters():
            kept[name in self.kept].append(parameter)
        shares = {False: 1.0, True: self.training.trunk_rate}
        groups = [{"params": parameters, "share": shares[key]} for key, parameters in kept.items() if parameters]
        return Adam(groups, lr=self.training.learning_rate, weight_decay=self.training.weight_decay, fused=True)

    def lesson(self, table: pa.Table) -> Rows:
        """A table's encoded rows [rows, ...], what is learned of them [rows, ...], and how much each counts [rows] float32."""
        frame = table.to_pandas()
        weights = (self.weights(frame) / self.mean_weight).astype(np.float32)
        return self.encoded(frame), torch.from_numpy(self.result.learned(frame)), torch.from_numpy(weights)

    def question(self, table: pa.Table) -> tuple[Tensor, Tensor]:
        """A table's encoded rows and targets."""
        frame = table.to_pandas()
        return self.encoded(frame), torch.from_numpy(self.result.targets(frame[self.result.label]))

    def encoded(self, frame: pd.DataFrame) -> Tensor:
        """A frame's encoded rows."""
        return torch.from_numpy(self.encoder.encode(self.intake.rows(frame)))

    def weights(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """How much each row counts. Raises ValueError naming a value that is no weight."""
        if (column := self.training.sample_weight) is None:
            return np.ones(len(frame))
        weights = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        if (wrong := ~(weights >= 0) | np.isinf(weights)).any():
            strange = frame[column][wrong].tolist()[0]
            raise ValueError(f"training.sample_weight: column {column!r} holds {strange!r}; want finite numbers from 0 on")
        return weights

    @property
    def over(self) -> bool:
        """Whether all epochs are done, or `patience` of them brought nothing better."""
        if self.step >= self.steps:
            return True
        at_epoch_start = self.step % self.loader.steps == 0
        return at_epoch_start and self.training.patience is not None and self.epochs_without_better() >= self.training.patience

    def epochs_without_better(self) -> int:
        """Since the best one."""
        scores = [message.get(self.result.metric, -math.inf) for message in self.history]
        return len(scores) - 1 - scores.index(max(scores)) if scores else 0

    def epoch(self) -> None:
        """The rest of the epoch that the training is in."""
        started, first = time.perf_counter(), self.step
        number, batch = divmod(self.step, self.loader.steps)
        self.model.train()
        if self.kept and not self.training.trunk_rate:
            start.rest(self.model, self.kept)
        summed, rows = torch.zeros((), device=self.strategy.device), 0
        with closing(self.loader.epoch(number, self.strategy.rank, self.strategy.size, batch)) as shares:
            for share in shares:
                summed += self.batch(share, number) * share.size
                rows += share.size
                self.tell(started, self.step - first)
        # What a layer of the user's own remembers follows each rank's own rows; all go on with that of rank 0.
        self.strategy.align(dict(self.model.named_buffers()))
        mean = float(self.strategy.sum(summed / self.strategy.size)) / rows
        seconds = time.perf_counter() - started
        message = {"epoch": number + 1, "epochs": self.epochs, "loss": mean, "samples_per_s": rows / seconds, **self.validate()}
        self.history.append(message)
        self.send(message)
        self.commit(message.get(self.result.metric, -math.inf))

    def batch(self, share: Share, epoch: int) -> Tensor:
        """One optimizer step; the share's mean loss, weighed so that the mean over ranks is the mean loss of the global batch."""
        draws = np.random.SeedSequence((self.training.seed, epoch, share.number)).generate_state(1, np.uint64)[0] >> 1
        rows, targets, weights = self.augmented(share, int(draws))
        # Layers that draw while they train, such as dropout, draw something else on each rank.
        torch.manual_seed(int(draws) + self.strategy.rank)
        whole = (share.end - share.start) * self.strategy.size / share.size
        self.strategy.zero(self.optimizer)
        total = torch.zeros((), device=self.strategy.device)
        for number, (mine, part) in enumerate(pieces(len(rows), self.training.accumulate), start=1):
            self.rows.counts = whole * part > 0
            with self.strategy.piece(self.forward, last=number == self.training.accumulate):
                with torch.autocast(self.strategy.device.type, torch.bfloat16, enabled=self.training.precision == "bfloat16"):
                    outputs = self.forward(rows[mine])
                losses = self.model.postprocessing.loss(outputs.float(), targets[mine]) * weights[mine]
                loss = losses.mean() * (whole * part)
                loss.backward()
            total += loss.detach()
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.training, self.step, self.steps) * group["share"]
        self.strategy.step(self.optimizer, self.model, self.training.clip)
        self.step += 1
        return total

    def augmented(self, share: Share, seed: int) -> Rows:
        """The share's rows on the device, changed by draws that belong to their places in the global batch."""
        rows, targets, weights = share.rows
        if self.intake.draws:
            draws = torch.rand(share.size, self.intake.draws, generator=torch.Generator().manual_seed(seed))
            rows = self.intake.augment(rows, draws[share.start : share.start + len(rows)])
        device = self.strategy.device
        return rows.to(device), targets.to(device), weights.to(device)

    def tell(self, started: float, steps: int) -> None:
        """Every PROGRESS_S how far it is, every `commit_seconds` a commit."""
        self.usage.tell(self.step)
        now = time.monotonic()
        if now - self.told > PROGRESS_S:
            self.told = now
            pace = (time.perf_counter() - started) / steps
            self.send({"progress": self.step / self.steps, "seconds_left": pace * (self.steps - self.step)})
        due = now - self.committed > self.training.commit_seconds
        if self.strategy.sharded:
            # All ranks take part in such a commit, and their clocks may differ.
            due = bool(self.strategy.sum(torch.tensor(float(due), device=self.strategy.device)) > 0)
        if due and self.step % self.loader.steps:
            self.commit()

    def validate(self) -> dict[str, float]:
        """The result's metric on the validation split, whose rows the ranks share; nothing where there is none."""
        if not self.held_out.rows:
            return {}
        shared = self.held_out.rows >= self.strategy.size
        place = (self.strategy.rank, self.strategy.size) if shared else (0, 1)
        given, wanted = [], []
        self.model.eval()
        for rows, targets in self.held_out.share_of_all(*place):
            given.append(answers(self.model, self.result, rows.to(self.strategy.device)))
            wanted.append(targets)
        if self.strategy.sharded:
            for _ in range(len(given), max(self.held_out.batches_of_all(rank, place[1]) for rank in range(place[1]))):
                answers(self.model, self.result, rows.to(self.strategy.device))
        columns = {name: torch.from_numpy(np.concatenate([each[name] for each in given])) for name in self.result.names}
        gather = self.strategy.gather if shared else Tensor.cpu
        merged = {name: gather(values).numpy() for name, values in columns.items()}
        scores = self.result.scores(merged, gather(torch.cat(wanted)).numpy())
        return {self.result.metric: float(scores.mean())}

    def commit(self, score: float = -math.inf) -> None:
        """Rank 0 writes down where the training stands, and says so."""
        self.committed = time.monotonic()
        if self.strategy.rank and not self.strategy.sharded:
            return
        tensors, groups = optimizer_state(self.optimizer)
        tensors |= {MODEL + name: tensor for name, tensor in self.model.state_dict().items()}
        whole = self.strategy.whole(tensors)
        if not self.strategy.rank:
            self.commits.save(self.step, whole, {"groups": groups, "history": self.history}, score)
            self.send({"committed": self.step})

    def resume(self) -> None:
        """Goes on from the newest commit, or from the one that `training.resume` names."""
        commit = self.agreed(self.commits.newest)
        if commit is None and self.training.resume:
            commit = named(self.training.resume)
        if commit is None:
            return
        like: dict[str, Tensor] = {f"{STATE}{number}.{key}": each for number, each in enumerate(self.model.parameters()) for key in MOMENTS}
        restore_optimizer(self.optimizer, self.strategy.parts(commit.tensors, like), commit.facts["groups"])
        self.load(commit.tensors)
        self.step, self.history = commit.step, commit.facts["history"]
        for message in self.history:
            self.send(message)

    def agreed(self, choose: Callable[[], Commit | None]) -> Commit | None:
        """The commit that rank 0 chooses: a rank that chose by itself might find one that was written since."""
        commit = choose() if not self.strategy.rank else None
        name = torch.zeros(NAME_BYTES, dtype=torch.uint8)
        if commit:
            name = torch.tensor(list(commit.path.name.encode()), dtype=torch.uint8)
        name = name.to(self.strategy.device)
        self.strategy.align({"commit": name})
        if not name.any() or not self.strategy.rank:
            return commit
        return named(self.commits.folder / bytes(name.tolist()).decode())

    def load(self, tensors: dict[str, Tensor]) -> None:
        """The model as a commit has it."""
        state = {name.removeprefix(MODEL): each for name, each in tensors.items() if name.startswith(MODEL)}
        self.model.load_state_dict(self.strategy.parts(state, self.model.state_dict()))

    def take_best(self) -> None:
        """The weights of the best epoch, where `patience` asks for them."""
        if self.training.patience is not None and (best := self.agreed(self.commits.best)):
            self.load(best.tensors)


def named(path: Path) -> Commit:
    """The commit of a folder. Raises ValueError where it is not there or damaged."""
    commit = read(path) if path.is_dir() else None
    if commit is None:
        raise ValueError(f"{path}: no commit of a training, or a damaged one; all workers need the storage that rank 0 writes it to")
    return commit


def pieces(rows: int, count: int) -> Iterator[tuple[slice, float]]:
    """A share's rows in `count` pieces, each with what its mean loss weighs; a piece of a small share may be a row that counts nothing."""
    for number in range(count):
        start, end = (rows * each // count for each in (number, number + 1))
        yield slice(min(start, rows - 1), max(end, start + 1)), (end - start) / rows


def rate(training: Training, step: int, steps: int) -> float:
    """Learning rate of a step: up along half a cosine for `warmup`, then down to nothing as the schedule says."""
    rising = round(training.warmup * steps)
    if step < rising:
        share = FIRST_RATE + (1 - FIRST_RATE) * (1 - math.cos(math.pi * step / rising)) / 2
    else:
        done = (step - rising) / max(1, steps - rising)
        share = {"cosine": (1 + math.cos(math.pi * done)) / 2, "linear": 1 - done, "constant": 1.0}[training.schedule]
    return training.learning_rate * share
