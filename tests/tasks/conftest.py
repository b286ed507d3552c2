"""A real model server on a free port, and small real bundles for it to serve."""

import os
import subprocess
import sys
import time

import httpx
import numpy as np
import onnx
import pandas as pd
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from infra.files import digest, write_json
from infra.progress import Patience, work
from tasks.production.inference_client import InferenceClient
from tasks.production.releases import Releases, Served, promote, stage_canary
from tasks.records import Bundle, Candidate, DatasetVersion, Graph, Judgement, TrainedModel
from tasks.rows.parts import record_of, write

PROJECT = "spots"
CLASSES = ["left", "middle", "right"]
DEADLINE_S = 300
SURE = {"rows": 3, "score": 1.0, "low": 1.0, "high": 1.0}


def graph(turn, broken_at=None, side=2):
    """[rows, side, side, 1] uint8 -> the brightest of the first three pixels, `turn` places further on, and the probabilities.

    A row whose fourth pixel is `broken_at` makes the graph fail.
    """
    weights = np.roll(np.eye(side * side, 3, dtype=np.float32) / 8, turn, axis=1)
    weights[3] = 0
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probability"]),
        helper.make_node("ArgMax", ["scores"], ["argmax"], axis=1, keepdims=0),
    ]
    constants = [numpy_helper.from_array(weights, "weights")]
    if broken_at is None:
        nodes.append(helper.make_node("Identity", ["argmax"], ["class"]))
    else:
        table = np.zeros(256, dtype=np.int64)
        table[broken_at] = 99
        constants += [
            numpy_helper.from_array(value, name)
            for name, value in {"table": table, "three": np.array([3]), "zero": np.zeros(1, np.int64)}.items()
        ]
        nodes += [
            helper.make_node("Gather", ["flat", "three"], ["fourth"], axis=1),
            helper.make_node("Cast", ["fourth"], ["indexes"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "indexes"], ["chosen"]),
            helper.make_node("Gather", ["zero", "chosen"], ["nothing"]),
            helper.make_node("Squeeze", ["nothing"], ["none"]),
            helper.make_node("Add", ["argmax", "none"], ["class"]),
        ]
    made = helper.make_graph(
        nodes,
        "spots",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", side, side, 1])],
        [
            helper.make_tensor_value_info("class", TensorProto.INT64, ["batch"]),
            helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["batch", 3]),
        ],
        constants,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def spot(place, fourth=0):
    """A row whose brightest pixel is `place`."""
    row = np.full((1, 2, 2, 1), 10, dtype=np.uint8)
    row.reshape(-1)[place] = 200
    row.reshape(-1)[3] = fourth
    return row


@pytest.fixture
def spots():
    """The graph that says which pixel is the brightest."""
    return graph(0)


@pytest.fixture
def bundle(tmp_path):
    """Makes a bundle of the graph with that turn."""
    return bundle_maker(tmp_path)


def bundle_maker(tmp_path):
    """Makes bundles in a folder."""
    rows = tmp_path / "rows"
    rows.mkdir(exist_ok=True)
    images = [spot(place).reshape(-1) for place in (0, 1, 2)]
    write(
        [pd.DataFrame({"id": ["a", "b", "c"], "image": images, "label": CLASSES, "split": ["test"] * 3})],
        rows,
    )
    facts = {
        "project": PROJECT,
        "version": 1,
        "tag": f"{PROJECT}/v1",
        "commit": "0" * 40,
        "rows": 3,
        "splits": {"test": 3},
    }
    dataset = DatasetVersion(**record_of(rows).model_dump(), **facts)

    def make(turn, broken_at=None, run_id="0" * 32, side=2, change=None):
        """change: gets the graph and its signature, and changes what it will in them"""
        folder = tmp_path / f"bundle-{turn}-{broken_at}-{side}{f'-{change.__name__}' if change else ''}"
        folder.mkdir()
        model = graph(turn, broken_at, side)
        signature = {
            "project": PROJECT,
            "inputs": [{"name": "image", "dtype": "uint8", "shape": [side, side, 1]}],
            "outputs": ["class", "probability"],
            "classes": CLASSES,
        }
        if change:
            change(model.graph, signature)
        onnx.save(model, folder / "model.onnx")
        write_json(folder / "signature.json", signature | {"graph_digest": digest(folder / "model.onnx")})
        intake = {"kind": "image", "height": side, "width": side}
        write_json(folder / "lineage.json", {"turn": turn, "config": {"intake": intake}})
        one = Graph(**record_of(folder / "model.onnx").model_dump(), name="fp32", parity=0.0)
        candidate = Candidate(
            graph=one,
            **SURE,
            split="validation",
            latency_ms=0.1,
            throughput=1e4,
            megabytes=0.1,
            rejected=None,
        )
        model = TrainedModel(
            **record_of(folder).model_dump(),
            dataset=dataset,
            run_id=run_id,
            ranks=2,
            metrics={"accuracy": 1.0},
        )
        return Bundle(
            **record_of(folder).model_dump(),
            project=PROJECT,
            candidates=(candidate,),
            chosen="fp32",
            judgement=Judgement(**SURE),
            comparison=None,
            failures=(),
            model=model,
        )

    return make


@pytest.fixture
def served(bundle):
    """Makes a bundle as a version that a manifest can name."""
    return served_maker(bundle)


def served_maker(bundle):
    """Makes versions that a manifest can name, of bundles."""

    def make(version, turn=None, major=1, **options):
        made = bundle(version if turn is None else turn, **options)
        return Served(
            uri=made.uri,
            digest=made.digest,
            version=version,
            graph_digest=made.candidates[0].graph.digest,
            dataset=made.model.dataset,
            major=major,
        )

    return make


class Server:
    """The model server's process."""

    def __init__(self, settings):
        self.settings, self.url = settings, settings.server_url
        self.log = settings.home.make(settings.home.logs) / "server.log"
        self.releases = Releases(settings.home / "releases")
        self.process = None

    def start(self, ready=None):
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tasks.serving"],
                env=os.environ | self.settings.environment(),
                stderr=log,
            )
        self.wait(ready or (lambda: self.get("/v2/health/ready")), httpx.TransportError)

    def stop(self):
        self.process.terminate()
        return self.process.wait(DEADLINE_S)

    def kill(self):
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def get(self, path):
        return httpx.get(self.url + path, timeout=DEADLINE_S, headers=self.settings.credential.headers)

    def post(self, path, body):
        return httpx.post(
            self.url + path, json=body, timeout=DEADLINE_S, headers=self.settings.credential.headers
        )

    def client(self, **options):
        return InferenceClient(self.url, PROJECT, **options)

    def release(self, served):
        """Serves a version as champion, and waits until it is so."""
        self.stage(served, 0.0)
        self.releases.change(PROJECT, lambda manifest: promote(manifest, served.version))
        self.wait(lambda: self.roles().get("champion") == str(served.version))

    def stage(self, served, share):
        self.releases.change(PROJECT, lambda manifest: stage_canary(manifest, served, share))

    def roles(self):
        return self.get(f"/v2/models/{PROJECT}").json().get("parameters", {})

    def wait(self, done, *ignored):
        patience = Patience(lambda: work([psutil.Process()], self.log))
        while True:
            try:
                if done():
                    return
            except ignored:
                assert self.process.poll() is None, self.log.read_text()
            assert not patience.has_run_out(), self.log.read_text()
            time.sleep(0.02)


@pytest.fixture
def server(settings):
    """Started, with nothing to serve yet."""
    server = Server(settings)
    server.start()
    yield server
    if server.process.poll() is None:
        server.stop()
