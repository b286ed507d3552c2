"""Graphs leave memory and come back, and are run by what their target names."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.files import digest, read_json, write_json
from tasks.production.releases import Manifest
from tasks.rows.raw import rows_from
from tasks.serving.models.memory import ModelMemory
from tasks.serving.models.model import load
from tasks.serving.models.routing import damage
from tasks.serving.models.session import Session
from tasks.serving.protocol.refusal import Refusal
from tests.tasks.conftest import CLASSES, PROJECT, spot

MEGABYTE = 2**20


@pytest.fixture
def executor():
    with ThreadPoolExecutor(2) as pool:
        yield pool


class Scale:
    """Weighs ten megabytes for each graph in memory."""

    def __init__(self):
        self.models = []

    def __call__(self):
        return 10 * MEGABYTE * sum(model.is_loaded for model in self.models)


@pytest.fixture
def three(served, executor):
    """Three versions in a memory that has room for two."""
    scale = Scale()
    memory = ModelMemory(25 * MEGABYTE, scale)
    for number in (1, 2, 3):
        scale.models.append(load(PROJECT, served(number), executor, memory))
        memory.add(scale.models[-1])
    return scale.models


def ask(model):
    """The class that a version answers to the first place."""
    rows = rows_from(model.signature.inputs, {"image": spot(0)})
    return CLASSES[asyncio.run(model.answer(rows))["class"][0]]


def loaded(models):
    return [model.served.version for model in models if model.is_loaded]


def test_the_least_recently_asked_leaves_memory_and_answers_again_when_it_is_asked(three):
    assert loaded(three) == [2, 3]
    assert ask(three[1]) == "right"
    assert ask(three[0]) == "middle"
    assert loaded(three) == [1, 2]
    assert [model.counts.read_again for model in three] == [1, 0, 0]
    assert three[0].counts.statistics.success.count == 1


def test_a_graph_that_was_changed_while_it_was_away_answers_nobody(three):
    graph = Path(three[0].served.uri, "model.onnx")
    graph.write_bytes(graph.read_bytes() + b"!")
    with pytest.raises(Refusal, match=r"version 1 had left memory, and cannot be read again: .*digest"):
        ask(three[0])
    assert ask(three[2]) == "left"


def meant_for(version, provider):
    """The version, of a project whose target names a provider."""
    folder = Path(version.uri)
    found = read_json(folder / "lineage.json")
    found["config"]["target"] = {"provider": provider}
    write_json(folder / "lineage.json", found)
    return version.model_copy(update={"digest": digest(folder)})


def test_where_a_target_is_not_there_the_cpu_answers_and_says_why(served, executor):
    model = load(PROJECT, meant_for(served(1), "tensorrt"), executor)
    assert ask(model) == "middle"
    assert model.provider == "cpu"
    assert model.fell_back.startswith("tensorrt does not take it: ValueError: this onnxruntime has ")
    told = damage(Manifest(project=PROJECT, champion=model.served), model, None, None, {})
    assert told.startswith("version 1 answers on the CPU: tensorrt does not take it")


class Broken:
    """A provider whose device is gone."""

    def run(self, names, fed):
        raise RuntimeError("device lost")


class Unfit:
    """A graph that cannot bear its rows, on any provider."""

    def run(self, names, fed):
        raise ValueError("row 0")


def test_a_provider_that_fails_leaves_its_requests_to_the_cpu(served, executor):
    model = load(PROJECT, served(1), executor)
    model.loaded = Session("cuda", Broken(), model.loaded.on_cpu)
    assert [ask(model), ask(model)] == ["middle", "middle"]
    assert (model.provider, model.fell_back) == ("cpu", "cuda failed: RuntimeError: device lost")


def test_rows_that_no_provider_bears_say_nothing_against_one():
    session = Session("cuda", Unfit(), Unfit())
    with pytest.raises(ValueError, match="row 0"):
        session.run({})
    assert (session.provider, session.fell_back) == ("cuda", "")
