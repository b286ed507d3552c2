"""How long a training will take, before it starts.

Rows, epochs, and a few real steps timed in this process.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from configs.project import Project
from infra.settings import Settings
from tasks.ingestion.row_count import estimate_rows
from tasks.intake import Intake
from tasks.model.model import Model
from tasks.result import Result
from tasks.rows.versions import Versions
from tasks.training.epochs import patience, planned_epochs
from tasks.training.optimizer import optimizer
from tasks.training.strategy import device

TIMED_S = 0.7
"""That steps are timed for; one step at least."""
FIRST_STEPS = 3
"""Which are slower than those that follow."""
SLOWER = 2.0
"""How much slower than here a step may be: other ranks compute beside it, rows are read, gradients travel."""
EXCHANGE_S = 0.005
"""That a step of several ranks takes longer for their gradients, at most, on busy cores: small networks spend most
of a step on it."""
START_S = (5.0, 15.0)
"""That ranks take to start and a training to be evaluated: at least, and at most."""
UNITS = ((3600, "hours"), (60, "minutes"), (1, "seconds"))
RANK_THREADS = 1
"""Threads that a rank computes with (infra/ranks/forkserver.py)."""


@dataclass(frozen=True)
class Duration:
    """How long a training takes, about."""

    low_s: float
    high_s: float
    rows: int
    """Training rows."""
    epochs: int
    steps: int
    """An epoch."""
    step_s: float
    minutes: float | None
    """The training's own budget."""

    @property
    def told(self) -> str:
        """In words."""
        basis = f"about {self.rows:,} training rows, {self.epochs} epochs of {self.steps:,} steps, {1000 * self.step_s:.3g} ms a step as timed here"
        ends = (
            f"; training.minutes ends it after {self.minutes:g} minutes"
            if self.minutes
            else "; it ends sooner where validation stops improving"
        )
        return f"{told_range(self.low_s, self.high_s)} ({basis}{ends})"


def estimate_training(
    frame: pd.DataFrame, config: Project, intake: Intake, result: Result, settings: Settings
) -> Duration | None:
    """How long the project's training takes on rows like these.

    None where nothing tells how many rows there are.
    """
    training = config.training
    total = estimate_rows(config.source) or rows_of_last_version(config.name, settings)
    if not total:
        return None
    rows = max(1, round(total * config.versioning.split.train))
    epochs, steps = planned_epochs(training, rows), math.ceil(rows / training.batch_size)
    # Nothing gets better after the first epoch in the shortest case; without a validation split all epochs run.
    fewest = min(epochs, patience(training, epochs) + 1) if config.versioning.split.validation else epochs
    times = time_steps(frame, config, intake, result)
    step_s = float(np.median(times))
    low = fewest * steps * min(times) + START_S[0]
    slowest = SLOWER * step_s * ranks_a_core(config) + (EXCHANGE_S if training.ranks > 1 else 0)
    high = epochs * steps * slowest + START_S[1]
    if training.minutes:
        low, high = min(low, 60 * training.minutes), min(high, 60 * training.minutes + START_S[1])
    return Duration(low, high, rows, epochs, steps, step_s, training.minutes)


def ranks_a_core(config: Project) -> float:
    """How many ranks share a core of this machine; elsewhere each is taken to have one."""
    cores = torch.get_num_threads() if config.cluster.kind == "local" else math.inf
    return max(1.0, config.training.ranks / cores)


def rows_of_last_version(project: str, settings: Settings) -> int:
    """Rows of the project's newest version; 0 where there is none."""
    known = Versions(settings.home.data_repository)
    numbers = known.numbers(project)
    return int(known.facts(project, numbers[-1])["rows"]) if numbers else 0


def time_steps(frame: pd.DataFrame, config: Project, intake: Intake, result: Result) -> list[float]:
    """Seconds of real optimizer steps, each on a rank's share of a batch.

    The frame's rows come again and again.
    """
    training = config.training
    rows, targets = intake.rows(frame), known_targets(frame, result)
    encoder = intake.encoder()
    encoder.fit(rows)
    encoded = encoder.encode(rows)
    share = math.ceil(training.batch_size / training.ranks)
    times: list[float] = []
    with rank_threads():
        where = device()
        model = Model(encoder, intake, result, training)
        model.preprocessing.fit(encoded)
        model.postprocessing.fit(targets)
        model.to(where).train()
        adam = optimizer(model, frozenset(), training)
        batch = torch.from_numpy(encoded[np.resize(np.arange(len(encoded)), share)])
        wanted = torch.from_numpy(np.resize(targets, share)).to(where)
        until = time.perf_counter() + TIMED_S
        while not times or time.perf_counter() < until:
            started = time.perf_counter()
            given = intake.augment(batch, torch.rand(share, intake.draws)) if intake.draws else batch
            adam.zero_grad()
            outputs = model.outputs(given.to(where)).float()
            loss = model.postprocessing.loss(outputs, wanted).mean()
            loss.backward()
            adam.step()
            float(loss.detach())  # a GPU has computed it only once it is asked for
            times.append(time.perf_counter() - started)
    return times[FIRST_STEPS:] or times[-1:]


def known_targets(frame: pd.DataFrame, result: Result) -> npt.NDArray[Any]:
    """Targets [rows] of the rows with a label; made up where annotators give the labels."""
    labels = frame[result.label].dropna() if result.label in frame else pd.Series(dtype=object)
    if labels.empty:
        labels = pd.Series([result.classes[0] if result.classes else 1.0])
    return result.targets(labels)


@contextmanager
def rank_threads() -> Iterator[None]:
    """Torch with the threads of a rank."""
    threads = torch.get_num_threads()
    torch.set_num_threads(RANK_THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def told_range(low_s: float, high_s: float) -> str:
    """Such as `2 to 5 minutes`: two digits at most, since no estimate knows more."""
    unit, name = next((unit, name) for unit, name in UNITS if high_s >= unit * 1.5 or unit == 1)
    low, high = rounded(low_s / unit, math.floor), rounded(high_s / unit, math.ceil)
    if low == high:
        return f"{high:g} {name}"
    return f"{low:g} to {high:g} {name}" if low else f"up to {high:g} {name}"


def rounded(value: float, towards: Callable[[float], int]) -> float:
    """Halves below ten, tens from a hundred on."""
    step = 0.5 if value < 3 else 1 if value < 20 else 5 if value < 100 else 10
    return towards(value / step) * step
