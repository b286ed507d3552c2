"""Ranks and workers killed at random while they train: the training ends as if nothing had happened.

GYRE_KILLS sets how many; `make chaos` takes 20.
"""

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from sklearn.datasets import load_digits

from configs.cluster import ClusterConfig
from configs.intake import ImageIntakeConfig
from configs.result import ClassificationResultConfig
from configs.training import TrainingConfig
from infra.cluster import open_cluster
from infra.files import digest
from infra.ranks.messages import Committed
from tasks.records import DatasetVersion
from tasks.rows.parts import record_of, write
from tasks.training.distributed import train_on_ranks
from tasks.training.messages import EpochEnded
from tasks.training.plan import Plan

KILLS = int(os.environ.get("GYRE_KILLS", "3"))
ROWS = {"train": 1400, "validation": 100, "test": 200}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder, bunch = tmp_path_factory.mktemp("digits"), load_digits()
    split = [name for name, rows in ROWS.items() for _ in range(rows)]
    pixels = np.minimum(bunch.images[: len(split)] * 16, 255).astype(np.uint8).reshape(len(split), -1)
    labels = bunch.target[: len(split)].astype(str)
    write(
        [
            pd.DataFrame(
                {"id": map(str, range(len(split))), "image": list(pixels), "label": labels, "split": split}
            )
        ],
        folder,
    )
    facts = {
        "project": "digits",
        "version": 1,
        "tag": "digits/v1",
        "commit": "c",
        "rows": len(split),
        "splits": ROWS,
    }
    return DatasetVersion(**record_of(folder).model_dump(), **facts)


@pytest.fixture(scope="module")
def client():
    with open_cluster(ClusterConfig(workers=2)) as client:
        yield client


def plan(dataset, folder, **training):
    section = TrainingConfig(epochs=4 * KILLS, batch_size=64, commit_seconds=0.2, **training)
    intake = ImageIntakeConfig(kind="image", height=8, width=8)
    result = ClassificationResultConfig(kind="classification", classes=tuple("0123456789"))
    return Plan(dataset=dataset, intake=intake, result=result, training=section, folder=folder)


def ranks():
    """The ranks' processes, as this process's descendants."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.name() == "gyre-rank":
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


class Chaos:
    """Kills a random rank, or its worker, a random moment after a commit.

    Each has moved on before the next.
    """

    def __init__(self, seed):
        self.draw, self.kills, self.told, self.timer = np.random.default_rng(seed), [], [], None

    def on_message(self, message):
        self.told.append(message)
        if (
            isinstance(message, Committed)
            and len(self.kills) < KILLS
            and (self.timer is None or not self.timer.is_alive())
        ):
            self.timer = threading.Timer(self.draw.uniform(0, 0.4), self.kill)
            self.timer.start()

    def kill(self):
        if alive := ranks():
            victim = alive[self.draw.integers(len(alive))]
            what = self.draw.choice(["rank", "worker"])
            try:
                os.kill(victim.pid if what == "rank" else victim.parent().ppid(), signal.SIGKILL)
            except (ProcessLookupError, psutil.NoSuchProcess):
                return
            self.kills.append(what)


def shake(client, shaken):
    """The accuracy of a training with kills."""
    chaos = Chaos(seed=1)
    train_on_ranks(client, shaken, chaos.on_message)
    chaos.timer.join()
    assert len(chaos.kills) == KILLS
    assert not ranks()
    return accuracy(chaos.told)


def accuracy(told):
    return next(message.metrics["accuracy"] for message in reversed(told) if isinstance(message, EpochEnded))


def test_kills_at_random_change_not_one_byte_of_the_model(client, dataset, tmp_path):
    undisturbed, shaken = (
        plan(dataset, tmp_path / "undisturbed"),
        plan(dataset, tmp_path / "shaken", min_ranks=2),
    )
    train_on_ranks(client, undisturbed, lambda _: None)
    shake(client, shaken)
    # Order, draws and sums belong to a row's place in its epoch: a row seen twice, or not at all, would show
    # in every weight.
    assert digest(undisturbed.checkpoint / "model.safetensors") == digest(
        shaken.checkpoint / "model.safetensors"
    )
    assert not Path(shaken.folder / "commits").exists()


@pytest.mark.skipif(KILLS < 20, reason="make chaos runs it")
def test_a_training_that_goes_on_with_fewer_ranks_learns_as_much(client, dataset, tmp_path):
    told = []
    train_on_ranks(client, plan(dataset, tmp_path / "undisturbed"), told.append)
    after = shake(client, plan(dataset, tmp_path / "shaken", min_ranks=1))
    assert after == pytest.approx(accuracy(told), abs=0.03)
