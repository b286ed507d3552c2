"""One model server for the tests of a file, with a model of images and one of texts and numbers."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from infra.files import digest, write_json
from infra.settings import Settings
from tasks.production.releases import Served, promote, stage_canary
from tasks.records import DatasetVersion
from tests.tasks.conftest import Server, bundle_maker, served_maker

WORDS, NOTES = "words", "notes"


@pytest.fixture(scope="module")
def shared_settings(tmp_path_factory):
    """An installation in a folder of its own, on a free port."""
    with pytest.MonkeyPatch.context() as patch:
        yield fresh_settings(patch, tmp_path_factory.mktemp("shared"))


def fresh_settings(patch, folder, **more):
    """Those of an installation in a folder, on free ports."""
    patch.setenv("GYRE_HOME", str(folder / "home"))
    for service in ("PREFECT", "MLFLOW", "SERVER", "GRPC", "REPORTS"):
        patch.setenv(f"GYRE_{service}_PORT", str(unused_port()))
    return Settings(**more)


@pytest.fixture(scope="module")
def shared(shared_settings, tmp_path_factory):
    """Started, serving `spots`, `words` and `notes`."""
    folder = tmp_path_factory.mktemp("bundles")
    server = Server(shared_settings)
    server.start()
    server.release(served_maker(bundle_maker(folder))(1, turn=0))
    release_words(server, folder, WORDS)
    release_words(server, folder, NOTES)
    yield server
    server.stop()


def unused_port():
    """A port of the loopback that nobody uses."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def words(has_size):
    """text [rows] and size [rows] -> whether a text is `spam`, its probabilities, and whether the size is missing.

    has_size: False leaves the size away, and what is said of it
    """
    nodes = [
        helper.make_node("Equal", ["text", "spam"], ["is_spam"]),
        helper.make_node("Cast", ["is_spam"], ["class"], to=TensorProto.INT64),
        helper.make_node("Cast", ["is_spam"], ["right"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["one", "right"], ["left"]),
        helper.make_node("Unsqueeze", ["left", "last"], ["left_column"]),
        helper.make_node("Unsqueeze", ["right", "last"], ["right_column"]),
        helper.make_node("Concat", ["left_column", "right_column"], ["probability"], axis=1),
    ]
    if has_size:
        nodes.append(helper.make_node("IsNaN", ["size"], ["missing"]))
    constants = [
        helper.make_tensor("spam", TensorProto.STRING, [], [b"spam"]),
        numpy_helper.from_array(np.array(1, np.float32), "one"),
        numpy_helper.from_array(np.array([1], np.int64), "last"),
    ]
    given = [
        helper.make_tensor_value_info("text", TensorProto.STRING, ["batch"]),
        helper.make_tensor_value_info("size", TensorProto.FLOAT, ["batch"]),
    ]
    made = [
        helper.make_tensor_value_info("class", TensorProto.INT64, ["batch"]),
        helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["batch", 2]),
        helper.make_tensor_value_info("missing", TensorProto.BOOL, ["batch"]),
    ]
    if not has_size:
        given, made = given[:1], made[:2]
    graph = helper.make_graph(nodes, WORDS, given, made, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def release_words(server, parent, project):
    """Serves version 1 of `words`, or of `notes`, whose only input is a text."""
    folder, has_size = parent / project, project == WORDS
    folder.mkdir()
    onnx.save(words(has_size), folder / "model.onnx")
    inputs = [
        {"name": "text", "dtype": "str", "shape": []},
        {"name": "size", "dtype": "float32", "shape": []},
    ]
    facts = {
        "project": project,
        "inputs": inputs if has_size else inputs[:1],
        "outputs": ["class", "probability", "missing"] if has_size else ["class", "probability"],
        "classes": ["ham", "spam"],
        "graph_digest": digest(folder / "model.onnx"),
    }
    write_json(folder / "signature.json", facts)
    dataset = DatasetVersion(
        uri="", digest="", project=project, version=1, tag="", commit="", rows=0, splits={}
    )
    served = Served(
        uri=str(folder), digest=digest(folder), version=1, graph_digest=facts["graph_digest"], dataset=dataset
    )
    server.releases.change(project, lambda manifest: stage_canary(manifest, served, 0.0))
    server.releases.change(project, lambda manifest: promote(manifest, 1))
    server.wait(lambda: server.get(f"/v2/models/{project}/ready").status_code == 200)
