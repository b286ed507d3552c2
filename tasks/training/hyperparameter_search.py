"""The search for better hyperparameters, by Optuna.

Trials side by side, kept as they end, so that a killed search goes on.

A trial that was running when the search was killed is tried again with the same values; none that has ended
is.
"""

import itertools
import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from configs.search import ParameterConfig, SearchConfig

log = logging.getLogger("gyre.search")
DIRECTIONS: dict[str, Literal["maximize", "minimize"]] = {
    "score": "maximize",
    "seconds": "minimize",
    "parameters": "minimize",
}
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
AGAIN = "again"
"""Key of a trial's attributes: the trial whose values it repeats."""
WARM_UP_EPOCHS = 1
STARTUP_TRIALS = 3
"""Trials that are never pruned: there is nothing to compare them with."""


class PrunedError(Exception):
    """Raised by `report` in a trial that is not worth going on."""


Report = Callable[[int, float], None]
"""Takes an epoch and its score; raises PrunedError."""
Evaluate = Callable[[dict[str, Any], int, Report], dict[str, float]]
"""Trains with some values: (values by dotted key, number of the trial, report) -> the measured objectives by
name."""


@dataclass(frozen=True)
class Found:
    """Where a search stands."""

    best: tuple[dict[str, Any], ...]
    """Values of the best trial; of every best compromise where there are several objectives."""
    figures: tuple[dict[str, float], ...]
    """Their objectives, by name."""
    trials: tuple[dict[str, Any], ...]
    """Every trial: number, state, values, objectives, seconds."""


def search(name: str, storage: str, section: SearchConfig, evaluate: Evaluate, slots: int) -> Found:
    """Tries until the budget is spent, `slots` trials at a time.

    `storage` is SQLAlchemy's URL of the kept trials.

    A trial that raises counts as failed and says why in the log; the search goes on, unless all of the first
    STARTUP_TRIALS fail: then the last error is raised. Raises ValueError where the kept search of that name
    looked for something else.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = open_study(name, storage, section)
    enqueue_interrupted(study)
    deadline = time.monotonic() + 60 * section.minutes if section.minutes else math.inf
    most = min(section.trials, queued_grid(study, section)) if section.sampler == "grid" else section.trials
    workers = Workers(study, section, evaluate, most, deadline)
    with ThreadPoolExecutor(slots, thread_name_prefix="trial") as pool:
        for worker in [pool.submit(workers.work) for _ in range(slots)]:
            worker.result()
    return current_state(study, section)


def open_study(name: str, storage: str, section: SearchConfig) -> optuna.Study:
    """The study of that name, made where there is none. Raises ValueError where its objectives are others."""
    directions = [DIRECTIONS[objective] for objective in section.objectives]
    options: dict[str, Any] = {"sampler": sampler(section), "pruner": pruner(section), "load_if_exists": True}
    study = optuna.create_study(storage=storage, study_name=name, directions=directions, **options)
    kept = study.user_attrs.setdefault("objectives", list(section.objectives))
    if kept != list(section.objectives):
        raise ValueError(
            f"search {name!r} was for {', '.join(kept)}, not for {', '.join(section.objectives)}; give it another name"
        )
    study.set_user_attr("objectives", list(section.objectives))
    return study


def sampler(section: SearchConfig) -> optuna.samplers.BaseSampler:
    """Optuna's sampler of the section's name; a grid's values are queued, so its own draws nothing."""
    match section.sampler:
        case "random" | "grid":
            return optuna.samplers.RandomSampler(seed=section.seed)
        case _:
            return optuna.samplers.TPESampler(
                seed=section.seed, multivariate=True, n_startup_trials=min(10, section.trials // 2)
            )


def pruner(section: SearchConfig) -> optuna.pruners.BasePruner:
    """The median of the trials before; none with several objectives, for which Optuna has no pruning."""
    if section.pruning and len(section.objectives) == 1:
        return optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARM_UP_EPOCHS)
    return optuna.pruners.NopPruner()


def grid_of(parameter: ParameterConfig) -> list[Any]:
    """Every value of a parameter in a grid; choices by their place."""
    if parameter.choices:
        return list(range(len(parameter.choices)))
    assert parameter.low is not None and parameter.high is not None and parameter.step is not None  # noqa: S101 - checked by the schema
    values = np.arange(parameter.low, parameter.high + parameter.step / 2, parameter.step)
    return [int(value) if is_whole(parameter) else float(value) for value in values]


def queued_grid(study: optuna.Study, section: SearchConfig) -> int:
    """Queues every combination that was not tried yet; returns how many there are.

    Optuna's own GridSampler stops the study itself, which only its own loop allows.
    """
    combinations = list(itertools.product(*(grid_of(parameter) for parameter in section.parameters.values())))
    for combination in combinations:
        study.enqueue_trial(dict(zip(section.parameters, combination, strict=True)), skip_if_exists=True)
    return len(combinations)


def is_whole(parameter: ParameterConfig) -> bool:
    """Whether a range is of whole numbers."""
    return (
        parameter.step is not None
        and float(parameter.step).is_integer()
        and float(parameter.low or 0).is_integer()
    )


def suggest_value(trial: Trial, key: str, parameter: ParameterConfig) -> Any:
    """A value for a key; choices are drawn by place, since Optuna keeps plain values alone."""
    if parameter.choices:
        return parameter.choices[trial.suggest_categorical(key, list(range(len(parameter.choices))))]
    assert parameter.low is not None and parameter.high is not None  # noqa: S101 - checked by the schema
    if is_whole(parameter):
        return trial.suggest_int(key, int(parameter.low), int(parameter.high), step=int(parameter.step or 1))
    return trial.suggest_float(key, parameter.low, parameter.high, log=parameter.log, step=parameter.step)


def enqueue_interrupted(study: optuna.Study) -> None:
    """Puts the values of trials that a killed search left running in front of the queue."""
    again = {trial.user_attrs.get(AGAIN) for trial in study.trials}
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params and trial.number not in again:
            study.enqueue_trial(trial.params, user_attrs={AGAIN: trial.number})


@dataclass
class Workers:
    """Threads that take trials from one study until its budget is spent."""

    study: optuna.Study
    section: SearchConfig
    evaluate: Evaluate
    most: int
    deadline: float
    lock: threading.Lock = field(default_factory=threading.Lock)

    def work(self) -> None:
        """Trials one after the other. Raises the last error where nothing but errors came."""
        while (trial := self.next()) is not None:
            try:
                self.attempt(trial)
            except PrunedError:
                self.study.tell(trial, state=TrialState.PRUNED)
            except Exception as error:
                self.study.tell(trial, state=TrialState.FAIL)
                log.warning("trial %d failed: %s", trial.number, error)
                failed = self.study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
                if len(failed) >= STARTUP_TRIALS and not self.study.get_trials(deepcopy=False, states=ENDED):
                    raise

    def next(self) -> Trial | None:
        """A new trial, or None where the budget is spent."""
        with self.lock:
            started = self.study.get_trials(deepcopy=False, states=(*ENDED, TrialState.RUNNING))
            failed = self.study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
            if (
                len(started) >= self.most
                or len(failed) >= self.most + STARTUP_TRIALS
                or time.monotonic() > self.deadline
            ):
                return None
            trial = self.study.ask()
            values = {
                key: suggest_value(trial, key, parameter)
                for key, parameter in self.section.parameters.items()
            }
            trial.set_user_attr("values", values)
            return trial

    def attempt(self, trial: Trial) -> None:
        """Trains with a trial's values and keeps what was measured."""
        values = trial.user_attrs["values"]
        log.info("trial %d: %s", trial.number, ", ".join(f"{key} {value}" for key, value in values.items()))

        def report(epoch: int, score: float) -> None:
            if len(self.section.objectives) == 1:
                trial.report(score, epoch)
                if trial.should_prune():
                    raise PrunedError

        measured = self.evaluate(values, trial.number, report)
        self.study.tell(trial, [measured[objective] for objective in self.section.objectives])


def current_state(study: optuna.Study, section: SearchConfig) -> Found:
    """Where a study stands."""
    completed = study.get_trials(states=(TrialState.COMPLETE,))
    best = study.best_trials if completed else []
    if len(section.objectives) == 1:
        best = best[:1]
    return Found(
        best=tuple(trial.user_attrs["values"] for trial in best),
        figures=tuple(objectives(trial, section) for trial in best),
        trials=tuple(
            trial_row(trial, section) for trial in study.trials if trial.state != TrialState.WAITING
        ),
    )


def objectives(trial: FrozenTrial, section: SearchConfig) -> dict[str, float]:
    """A trial's measured objectives by name; none before it has ended."""
    return dict(zip(section.objectives, trial.values or (), strict=False))


def trial_row(trial: FrozenTrial, section: SearchConfig) -> dict[str, Any]:
    """A trial for a table."""
    seconds = trial.duration.total_seconds() if trial.duration else 0.0
    state = trial.state.name.lower()
    return {
        "trial": trial.number,
        "state": state,
        **trial.user_attrs.get("values", {}),
        **objectives(trial, section),
        "took_s": seconds,
    }


def picture(study: optuna.Study, section: SearchConfig) -> bytes:
    """A PNG: how the best score grew, and each parameter against the first objective."""
    import io

    from matplotlib.figure import Figure

    completed = study.get_trials(states=(TrialState.COMPLETE,))
    scores = [trial.values[0] for trial in completed]
    names = list(section.parameters)
    columns = min(4, 1 + len(names))
    lines = -(-(1 + len(names)) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.4 * lines), layout="constrained")
    panels = list(figure.subplots(lines, columns, squeeze=False).ravel())
    better = max if section.objectives[0] == "score" else min
    panels[0].plot([trial.number for trial in completed], scores, "o", alpha=0.5)
    panels[0].step(
        [trial.number for trial in completed], list(itertools.accumulate(scores, better)), where="post"
    )
    panels[0].set(title="best so far", xlabel="trial", ylabel=section.objectives[0])
    for name, axes in zip(names, panels[1:], strict=False):
        values = [trial.user_attrs["values"][name] for trial in completed]
        axes.plot(
            [value if isinstance(value, (int, float)) else str(value) for value in values],
            scores,
            "o",
            alpha=0.6,
        )
        axes.set(
            title=name,
            ylabel=section.objectives[0],
            xscale="log" if section.parameters[name].log else "linear",
        )
    for axes in panels[1 + len(names) :]:
        axes.axis("off")
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=100)
    return image.getvalue()
