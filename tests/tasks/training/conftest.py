"""A small data set version of real digits, and plans on it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits

from configs.cluster import ClusterConfig
from configs.intake import ImageIntakeConfig
from configs.result import ClassificationResultConfig
from configs.training import TrainingConfig
from infra.cluster import open_cluster
from tasks.records import DatasetVersion
from tasks.rows.parts import record_of, write
from tasks.training.plan import Plan

INTAKE = ImageIntakeConfig(kind="image", height=8, width=8)
RESULT = ClassificationResultConfig(kind="classification", classes=tuple("0123456789"))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As a rank; two threads on cores that others use spend their time waiting for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """Makes a data set version with that many rows a split."""

    def make(train, validation=50, test=200):
        folder = tmp_path_factory.mktemp("digits")
        bunch, rows = load_digits(), train + validation + test
        split = ["train"] * train + ["validation"] * validation + ["test"] * test
        pixels = np.minimum(bunch.images[:rows] * 16, 255).astype(np.uint8).reshape(rows, -1)
        labels = bunch.target[:rows].astype(str)
        write(
            [
                pd.DataFrame(
                    {"id": map(str, range(rows)), "image": list(pixels), "label": labels, "split": split}
                )
            ],
            folder,
        )
        splits = {"train": train, "validation": validation, "test": test}
        facts = {
            "project": "digits",
            "version": 1,
            "tag": "digits/v1",
            "commit": "c0ffee",
            "rows": rows,
            "splits": splits,
        }
        return DatasetVersion(**record_of(folder).model_dump(), **facts)

    return make


@pytest.fixture(scope="session")
def dataset(digits):
    """299 training rows: the fifth batch of 64 has 43, an odd number."""
    return digits(299)


def planned(rows, folder, **training):
    """A plan with that training section."""
    section = TrainingConfig(**{"epochs": 2, "batch_size": 64, "learning_rate": 0.001} | training)
    return Plan(dataset=rows, intake=INTAKE, result=RESULT, training=section, folder=folder)


@pytest.fixture
def plan(dataset, tmp_path):
    """Makes plans, each in a folder of its own."""
    return lambda name, rows=dataset, **training: planned(rows, tmp_path / name, **training)


@pytest.fixture(scope="module")
def client():
    with open_cluster(ClusterConfig(workers=2)) as client:
        yield client


@pytest.fixture
def own_networks(monkeypatch):
    """Puts networks.py on the import path, as a project's YAML does with its folder."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
