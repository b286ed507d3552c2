"""Exports for other servers.

Each answers as the graph, where its runtime can run here, and says what it takes where not.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import psutil
import pytest
import yaml
from google.protobuf import text_format
from onnx import TensorProto, helper

from infra.files import digest, read_json, write_json
from infra.progress import Patience, work
from tasks.export import server_targets as servers
from tasks.export.trial import TrialError, graph_answers
from tasks.export.trial_rows import probe_rows
from tasks.production import probe
from tasks.production.protocol_dtypes import DATATYPES
from tasks.rows.raw import TensorSpec
from tasks.serving.protocol.refusal import Refusal
from tasks.serving.protocol.tensors import values_of
from tests.tasks.conftest import PROJECT, spot

KINDS = ("texts", "images", "photos", "table")


@contextmanager
def running(command, folder, port, path):
    """A server's process, once it answers."""
    log = folder.parent / f"{folder.name}.log"
    # As in an active virtual environment: MLflow looks for its server's program there.
    path_of_programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with log.open("w") as written:
        process = subprocess.Popen(
            command, cwd=folder, stdout=written, stderr=written, env=os.environ | {"PATH": path_of_programs}
        )
    url, patience = f"http://127.0.0.1:{port}", Patience(lambda: work([psutil.Process(process.pid)], log))
    try:
        while True:
            assert process.poll() is None, log.read_text()
            assert not patience.has_run_out(), log.read_text()
            try:
                if httpx.get(url + path).is_success:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        if process.poll() is None:
            workers = psutil.Process(process.pid).children(recursive=True)
            for each in (process, *workers):
                each.kill()
            psutil.wait_procs(workers)
        process.wait()


def real_rows(bundle, folder):
    """The bundle's own rows, and what its graph answers to them."""
    facts = read_json(folder / "model.json")
    rows = probe_rows(bundle, facts)
    return facts, rows, graph_answers(bundle / "model.onnx", rows, facts)


def protocol_request(rows, facts):
    """The rows together as the Open Inference Protocol asks about them."""
    tensors = []
    for each in facts["inputs"]:
        values = [row[each["name"]] for row in rows]
        data = [value for row in values for value in row] if each["shape"] else values
        shape = [len(rows), *each["shape"]]
        tensors.append(
            {"name": each["name"], "shape": shape, "datatype": DATATYPES[each["dtype"]], "data": data}
        )
    return {"id": "mine", "inputs": tensors}


@pytest.mark.parametrize("kind", KINDS)
def test_the_small_server_answers_as_the_graph_in_the_model_servers_form(request, tmp_path, free_port, kind):
    bundle = request.getfixturevalue(kind)
    made = servers.export_docker(bundle, kind, 3, tmp_path / "out")
    assert made.trial.difference < 1e-5
    facts, rows, expected = real_rows(bundle, made.folder)
    port = free_port()
    command = [sys.executable, "-B", "server.py", str(port)]
    with running(command, made.folder, port, "/v2/health/ready") as url:
        place = f"{url}/v2/models/{facts['project']}"
        answered = httpx.post(f"{place}/infer", json=protocol_request(rows, facts)).json()
        metadata = httpx.get(place).json()
    assert (answered["model_name"], answered["model_version"], answered["id"]) == (
        facts["project"],
        "3",
        "mine",
    )
    outputs = {each["name"]: each for each in answered["outputs"]}
    assert list(outputs) == [*facts["outputs"], "answer"]
    for name, values in expected.items():
        assert outputs[name]["shape"] == list(values.shape)
        assert np.allclose(np.array(outputs[name]["data"]).reshape(values.shape), values, atol=1e-5)
    if facts["classes"]:
        assert outputs["answer"]["data"] == [facts["classes"][place] for place in expected["class"]]
    assert [each["name"] for each in metadata["inputs"]] == [each["name"] for each in facts["inputs"]]


def test_the_small_server_and_the_model_server_give_one_answer_to_one_request(
    server, served, tmp_path, free_port
):
    version = served(4)
    server.release(version)
    made = servers.export_docker(Path(version.uri), PROJECT, 4, tmp_path / "out")
    images = np.concatenate([spot(place) for place in (0, 1, 2, 1)])
    tensor = {
        "name": "image",
        "shape": list(images.shape),
        "datatype": "UINT8",
        "data": images.ravel().tolist(),
    }
    asked = {"id": "one", "inputs": [tensor]}
    theirs = server.post(f"/v2/models/{PROJECT}/infer", asked).json()
    port = free_port()
    with running(
        [sys.executable, "-B", "server.py", str(port)], made.folder, port, "/v2/health/ready"
    ) as url:
        mine = httpx.post(f"{url}/v2/models/{PROJECT}/infer", json=asked).json()
    assert {name: mine[name] for name in ("model_name", "model_version", "id")} == {
        name: theirs[name] for name in ("model_name", "model_version", "id")
    }
    assert [each["name"] for each in mine["outputs"]] == [each["name"] for each in theirs["outputs"]]
    for one, other in zip(mine["outputs"], theirs["outputs"], strict=True):
        assert (one["shape"], one["datatype"]) == (other["shape"], other["datatype"])
        if one["datatype"] == "FP32":
            assert np.allclose(one["data"], other["data"], atol=1e-6)
        else:
            assert one["data"] == other["data"]


def test_the_small_server_is_a_hundred_lines_or_little_more_and_needs_three_packages(table, tmp_path):
    made = servers.export_docker(table, "pay", 1, tmp_path / "out")
    needed = [line.partition("==")[0] for line in (made.folder / "requirements.txt").read_text().splitlines()]
    assert needed == ["onnxruntime", "numpy", "uvicorn"]
    assert "COPY . ." in (made.folder / "Dockerfile").read_text()
    assert len((made.folder / "server.py").read_text().splitlines()) < 160


def test_the_small_server_refuses_what_the_model_server_refuses(table, tmp_path, free_port):
    made = servers.export_docker(table, "pay", 1, tmp_path / "out")
    facts, rows, _ = real_rows(table, made.folder)
    port = free_port()
    command = [sys.executable, "-B", "server.py", str(port)]

    def changed(input_name, **changes):
        asked = protocol_request(rows[:1], facts)
        tensor = next(each for each in asked["inputs"] if each["name"] == input_name)
        tensor.update(changes)
        return asked, tensor

    with running(command, made.folder, port, "/v2/health/ready") as url:
        place = f"{url}/v2/models/pay/infer"
        for name, value in (
            ("age", "old"),
            ("age", True),
            ("age", 1e39),
            ("work", 3),
            ("work", "x" * 20_001),
        ):
            asked, tensor = changed(name, data=[value])
            refused = httpx.post(place, json=asked)
            assert refused.status_code == 400
            assert name in refused.json()["error"]
            spec = next(each for each in facts["inputs"] if each["name"] == name)
            with pytest.raises(Refusal):
                values_of(tensor, TensorSpec(name, spec["dtype"], ()))
        asked, _ = changed("age", data=[1.0, 2.0])
        assert "2 rows; the shape says 1" in httpx.post(place, json=asked).json()["error"]
        asked, _ = changed("age", name="Age")
        assert (
            "want ['age', 'born', 'hours per week', 'work']" in httpx.post(place, json=asked).json()["error"]
        )
        assert httpx.post(place, content=b"[" * 100_000).status_code == 400
        assert httpx.post(place, json=protocol_request(rows, facts) | {"outputs": []}).status_code == 400
        assert httpx.get(f"{url}/v2/models/other").status_code == 404
        assert httpx.post(place, json=protocol_request(rows, facts)).is_success


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_mlflow_model_answers_as_the_graph(request, tmp_path, kind):
    bundle = request.getfixturevalue(kind)
    made = servers.export_mlflow(bundle, kind, 3, tmp_path / "out")
    assert made.trial.rows > 10
    assert made.trial.difference < 1e-5
    assert not list(made.folder.rglob("*.pkl"))
    needed = (made.folder / "requirements.txt").read_text()
    assert "onnxruntime==" in needed
    assert "gyre" not in needed


def test_mlflow_models_serve_answers_with_an_exported_model(table, tmp_path, free_port):
    made = servers.export_mlflow(table, "pay", 3, tmp_path / "out")
    _, rows, expected = real_rows(table, made.folder)
    frame = pd.DataFrame(rows)
    port = free_port()
    program = str(Path(sys.executable).with_name("mlflow"))
    command = [
        program,
        "models",
        "serve",
        "-m",
        str(made.folder),
        "-p",
        str(port),
        "--env-manager",
        "local",
        "-w",
        "1",
    ]
    with running(command, made.folder, port, "/ping") as url:
        body = {"dataframe_split": json.loads(frame.to_json(orient="split"))}
        answered = httpx.post(f"{url}/invocations", json=body, timeout=120).json()
    found = [each["prediction"] for each in answered["predictions"]]
    assert np.allclose(found, expected["prediction"], rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_tritons_own_schema_reads_the_configuration_and_it_says_what_the_graph_takes(request, tmp_path, kind):
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    bundle = request.getfixturevalue(kind)
    made = servers.export_triton(bundle, kind, 7, tmp_path / "out")
    facts = read_json(made.folder / "model.json")
    (model,) = (path for path in made.folder.iterdir() if path.is_dir())
    config = text_format.Parse((model / "config.pbtxt").read_text(), ModelConfig())
    assert digest(model / "7" / "model.onnx") == digest(bundle / "model.onnx")
    assert (config.name, config.backend) == (model.name, "onnxruntime")
    assert config.dynamic_batching.max_queue_delay_microseconds > 0
    session = onnxruntime.InferenceSession(bundle / "model.onnx")
    kinds = {
        "tensor(float)": "FP32",
        "tensor(double)": "FP64",
        "tensor(string)": "STRING",
        "tensor(uint8)": "UINT8",
    }
    kinds |= {"tensor(int64)": "INT64"}
    for told, found in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        assert [each.name for each in told] == [each.name for each in found]
        for mine, own in zip(told, found, strict=True):
            name = (
                type(mine)
                .DESCRIPTOR.fields_by_name["data_type"]
                .enum_type.values_by_number[mine.data_type]
                .name
            )
            assert name == f"TYPE_{kinds[own.type]}"
            # Triton puts the rows of a batch before what a reshape leaves; that must be the graph's own shape.
            shape = list(mine.reshape.shape) if mine.HasField("reshape") else list(mine.dims)
            assert shape == own.shape[1:]
    assert [each.batch_size for each in config.model_warmup] == [1, 64]
    for warmed in config.model_warmup:
        assert set(warmed.inputs) == {each["name"] for each in facts["inputs"]}
    if facts["classes"]:
        assert (model / "labels.txt").read_text().splitlines() == facts["classes"]
        assert [each.label_filename for each in config.output] == ["", "labels.txt"]


def test_an_inference_service_names_where_its_repository_will_be(table, tmp_path):
    made = servers.export_kserve(table, "pay", 2, tmp_path / "out", "s3://models/pay")
    service = yaml.safe_load((made.folder / "inference-service.yaml").read_text())
    model = service["spec"]["predictor"]["model"]
    assert (service["kind"], service["metadata"]["name"]) == ("InferenceService", "pay")
    assert (model["storageUri"], model["protocolVersion"]) == ("s3://models/pay", "v2")
    assert (made.folder / "repository" / "pay" / "2" / "model.onnx").is_file()
    assert "Triton is not run here" in made.untried


def test_a_plain_graph_brings_its_facts_and_the_rows_that_it_was_judged_by(images, tmp_path):
    made = servers.export_onnx(images, "scans", 4, tmp_path / "out")
    facts = read_json(made.folder / "model.json")
    assert digest(made.folder / "model.onnx") == facts["graph_digest"] == digest(images / "model.onnx")
    assert (facts["project"], facts["version"], len(facts["classes"])) == ("scans", 4, 10)
    assert made.trial.rows == probe.ROWS


def test_a_graph_that_does_not_answer_here_as_it_was_judged_leaves_no_folder(table, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(table, bundle)
    with np.load(bundle / "probe" / "model.onnx.npz") as known:
        moved = {name: values + 1 for name, values in known.items()}
    np.savez(bundle / "probe" / "model.onnx.npz", **moved)
    with pytest.raises(
        TrialError, match=r"model.onnx: on this machine its answers differ by .* export it where"
    ):
        servers.export_onnx(bundle, "pay", 1, tmp_path / "onnx")
    with pytest.raises(TrialError, match=r"(?s)server.py did not start: .*not those that it was judged by"):
        servers.export_docker(bundle, "pay", 1, tmp_path / "docker")
    assert not (tmp_path / "onnx").exists()
    assert not (tmp_path / "docker").exists()


def test_whole_numbers_switches_and_arrays_of_them_are_answered_by_every_server(tmp_path):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    inputs = [("count", TensorProto.INT32, [], "int32"), ("on", TensorProto.BOOL, [2], "bool")]
    nodes = [
        helper.make_node("Cast", ["count"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["on"], ["switches"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["switches", "axis"], ["switched"], keepdims=0),
        helper.make_node("Add", ["number", "switched"], ["prediction"]),
    ]
    graph = helper.make_graph(
        nodes,
        "sum",
        [helper.make_tensor_value_info(name, kind, ["batch", *shape]) for name, kind, shape, _ in inputs],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["batch"])],
        [helper.make_tensor("axis", TensorProto.INT64, [1], [1])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10),
        bundle / "model.onnx",
    )
    facts = {
        "project": "sums",
        "inputs": [{"name": name, "dtype": dtype, "shape": shape} for name, _, shape, dtype in inputs],
        "outputs": ["prediction"],
        "classes": None,
        "graph_digest": digest(bundle / "model.onnx"),
    }
    write_json(bundle / "signature.json", facts)
    write_json(bundle / "lineage.json", {})
    for export in (servers.export_docker, servers.export_mlflow):
        assert export(bundle, "sums", None, tmp_path / export.__name__).trial.difference < 1e-5
