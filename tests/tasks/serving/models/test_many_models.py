"""Models beside one another in one server."""

import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from infra.files import digest, read_json, write_json
from tasks.production.releases import promote, stage_canary
from tests.tasks.conftest import spot

WIDE, STEPS = 2048, 100


@pytest.fixture
def slow(served):
    """A version of another project, whose graph takes a second or two for 64 rows."""
    version = served(5)
    folder = Path(version.uri)
    model = onnx.load(folder / "model.onnx")
    made = model.graph
    weights = np.random.default_rng(0).normal(0, WIDE**-0.5, (WIDE, WIDE)).astype(np.float32)
    constants = {
        "widen": np.ones((4, WIDE), np.float32),
        "mix": weights,
        "narrow": np.zeros((WIDE, 4), np.float32),
    }
    names = ["wide", *(f"step{number}" for number in range(STEPS))]
    steps = [helper.make_node("MatMul", ["flat", "widen"], ["wide"])]
    steps += [helper.make_node("MatMul", [names[at], "mix"], [names[at + 1]]) for at in range(STEPS)]
    steps += [
        helper.make_node("MatMul", [names[-1], "narrow"], ["nothing"]),
        helper.make_node("Add", ["flat", "nothing"], ["again"]),
    ]
    nodes = list(made.node)
    behind = 1 + next(at for at, node in enumerate(nodes) if node.op_type == "Flatten")
    nodes[behind].input[0] = "again"
    del made.node[:]
    made.node.extend([*nodes[:behind], *steps, *nodes[behind:]])
    made.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    onnx.save(model, folder / "model.onnx")
    facts = {"project": "slow", "graph_digest": digest(folder / "model.onnx")}
    write_json(folder / "signature.json", read_json(folder / "signature.json") | facts)
    return version.model_copy(update={"digest": digest(folder), "graph_digest": facts["graph_digest"]})


def test_a_slow_model_holds_up_no_other(server, served, slow):
    server.release(served(1, turn=0))
    server.releases.change("slow", lambda manifest: stage_canary(manifest, slow, 0.0))
    server.releases.change("slow", lambda manifest: promote(manifest, 5))
    server.wait(lambda: server.get("/v2/models/slow/ready").is_success)
    one = {"name": "image", "shape": [1, 2, 2, 1], "datatype": "UINT8", "data": spot(0).ravel().tolist()}
    many = one | {"shape": [64, 2, 2, 1], "data": spot(0).ravel().tolist() * 64}
    order, began = [], threading.Event()

    def ask_slow():
        began.set()
        assert server.post("/v2/models/slow/infer", {"inputs": [many]}).is_success
        order.append("slow")

    asking = threading.Thread(target=ask_slow)
    asking.start()
    began.wait()
    for _ in range(5):
        assert server.post("/v2/models/spots/infer", {"inputs": [one]}).is_success
        order.append("quick")
    asking.join()
    assert order == ["quick"] * 5 + ["slow"]
