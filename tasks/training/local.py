"""Trains in the process that calls: for a notebook, or a look at what a rank does."""

import time

from tasks.records import TrainedModel
from tasks.rows.parts import record_of
from tasks.training.evaluate import evaluate, record_model
from tasks.training.loop import be_deterministic, fit
from tasks.training.messages import EpochEnded, Message, Send
from tasks.training.plan import Plan
from tasks.training.strategy import Single


def train(plan: Plan, on_message: Send | None = None) -> TrainedModel:
    """The trained and evaluated model of a plan: the weights that its ranks would reach, up to rounding.

    Its checkpoint is in the plan's folder; a training that was interrupted goes on from its last commit. What
    `training` says of ranks does not count here, and no run of MLflow keeps the curves: take them from the
    messages. Torch computes the same from the same in this process from now on.
    """
    history: list[EpochEnded] = []

    def keep(message: Message) -> None:
        if isinstance(message, EpochEnded):
            history.append(message)
        if on_message:
            on_message(message)

    started = time.monotonic()
    be_deterministic()
    fit(plan, Single(), keep)
    seconds = time.monotonic() - started
    checkpoint = record_of(plan.checkpoint)
    metrics, _ = evaluate(plan, checkpoint)
    return record_model(plan, checkpoint, metrics, history, ranks=1, run_id="", seconds=seconds)
