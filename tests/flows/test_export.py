"""gyre export: which bundle, and what the terminal says."""

import json

import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

from flows.cli import app
from flows.export import bundle_of
from infra.files import digest, write_json
from tasks.production.releases import Manifest, Releases, Served
from tasks.records import DatasetVersion

PROJECT = "digits"


@pytest.fixture
def bundle(tmp_path):
    """A bundle whose graph doubles a number."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    graph = helper.make_graph(
        [helper.make_node("Add", ["size", "size"], ["prediction"])],
        "twice",
        [helper.make_tensor_value_info("size", TensorProto.FLOAT, ["batch"])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["batch"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    facts = {
        "project": PROJECT,
        "inputs": [{"name": "size", "dtype": "float32", "shape": []}],
        "outputs": ["prediction"],
        "classes": None,
        "graph_digest": digest(folder / "model.onnx"),
    }
    write_json(folder / "signature.json", facts)
    write_json(folder / "lineage.json", {})
    return folder


def served(version, uri="/nowhere", of="0" * 64):
    dataset = DatasetVersion(
        uri="/rows",
        digest="0" * 64,
        project=PROJECT,
        version=1,
        tag="digits/v1",
        commit="0" * 40,
        rows=1,
        splits={},
    )
    return Served(uri=uri, digest=of, version=version, graph_digest="0" * 64, dataset=dataset)


def test_a_released_bundle_that_was_changed_is_not_exported(settings, bundle):
    released = served(1, str(bundle), digest(bundle))
    manifest = Manifest(project=PROJECT, champion=released)
    releases = Releases(settings.home.releases)
    releases.change(PROJECT, lambda _: manifest)
    assert bundle_of(settings, PROJECT, None) == (bundle, "digits version 1", 1)
    (bundle / "lineage.json").write_text("[]")
    with pytest.raises(
        ValueError, match=r"digits: the bundle of version 1 is damaged: .* instead of .*; restore it"
    ):
        bundle_of(settings, PROJECT, None)


def test_a_given_bundle_is_exported_and_the_terminal_says_what_and_how_large(settings, bundle, tmp_path):
    command = ["export", str(bundle), "--to", "c", "--output", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.exception
    told = json.loads(done.stdout)
    assert told["bytes"]["model.onnx"] == (bundle / "model.onnx").stat().st_size
    assert told.get("untried") or told["largest_difference"] < 1e-6
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 0
    assert "Wrote bundle into" in again.stdout
    assert "make -C" in again.stdout
    refused = CliRunner().invoke(app, [*command, "--version", "2"])
    assert "is a bundle's folder, which has one version; leave --version out" in str(refused.exception)
