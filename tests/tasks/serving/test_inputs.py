"""Rows of several inputs, texts among them, over real HTTP: answered as the graph answers, logged, and refused by name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from configs.intake import ImageIntakeConfig, TabularIntakeConfig, TextIntakeConfig
from configs.load import load
from configs.result import ClassificationResultConfig, RegressionResultConfig
from configs.training import TrainingConfig
from flows.predict import predict_rows
from infra.files import digest, write_json
from tasks.compilation.signature import signature
from tasks.intake import build_intake
from tasks.model.model import Model
from tasks.model.onnx_export import graph_bytes
from tasks.model.onnx_session import answers, session
from tasks.production.prediction_log import PredictionLog, logged_rows
from tasks.production.releases import Served
from tasks.records import DatasetVersion
from tasks.result import build_result
from tasks.rows.parts import record_of, write

# torch 2.13, at export: its own deprecated check.
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
MODEL = "/v2/models/spots"
TABLE = build_intake(
    TabularIntakeConfig(kind="tabular", numeric=("size",), categorical=("kind",), dates=("day",))
)
AMOUNT = build_result(RegressionResultConfig(kind="regression", label="amount", log=True))
TEXTS = build_intake(TextIntakeConfig(kind="text", length=8))
CLASSES = build_result(ClassificationResultConfig(kind="classification", classes=("ham", "spam")))
IMAGES = build_intake(ImageIntakeConfig(kind="image", height=8, width=8))
FRAME = pd.DataFrame(
    {"size": [1.5, None, 3.0], "kind": ["a", "b", None], "day": ["2024-01-01T06:00", None, "2024-06-01"]}
)
TRUTH = {"size": [1.5, None, 3.0], "kind": ["a", "b", ""], "day": [1704088800.0, None, 1717200000.0]}
TYPES = {"size": "FP32", "kind": "BYTES", "day": "FP64"}
INPUTS = [
    {"name": name, "shape": [3], "datatype": TYPES[name], "data": TRUTH[name]}
    for name in ("kind", "day", "size")
]


def served(intake, result, frame, labels, folder):
    """An untrained network that really was exported, as a version."""
    torch.manual_seed(0)
    rows, encoder = intake.rows(frame), intake.encoder()
    encoder.fit(np.concatenate([rows, rows]))
    model = Model(encoder, intake, result, TrainingConfig()).eval()
    model.preprocessing.fit(encoder.encode(rows))
    model.postprocessing.fit(result.targets(pd.Series(labels)))
    bundle = folder / "bundle"
    bundle.mkdir()
    (bundle / "model.onnx").write_bytes(graph_bytes(model, result.names))
    facts = {"project": "spots", **signature(intake, result), "graph_digest": digest(bundle / "model.onnx")}
    facts["training_values"] = model.preprocessing.training_values()
    write_json(bundle / "signature.json", facts)
    (folder / "rows").mkdir()
    write([pd.DataFrame({"id": ["a"], "split": ["test"]})], folder / "rows")
    data = {
        "project": "spots",
        "version": 1,
        "tag": "spots/v1",
        "commit": "c",
        "rows": 1,
        "splits": {"test": 1},
    }
    dataset = DatasetVersion(**record_of(folder / "rows").model_dump(), **data)
    return Served(
        **record_of(bundle).model_dump(), version=1, graph_digest=facts["graph_digest"], dataset=dataset
    )


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """A table's and a text's, with their graphs; exporting takes seconds."""
    base = tmp_path_factory.mktemp("versions")
    frame = pd.DataFrame({"text": ["free prize", "see you", "日本 😀"]})
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64), dtype=np.uint8)
    pictures = pd.DataFrame({"image": list(pixels)})
    made = {}
    for name, asked in {
        "table": (TABLE, AMOUNT, FRAME, [1, 10, 100]),
        "texts": (TEXTS, CLASSES, frame, ["spam", "ham", "ham"]),
        "images": (IMAGES, CLASSES, pictures, ["spam", "ham", "ham"]),
    }.items():
        (base / name).mkdir()
        made[name] = served(*asked, base / name), base / name / "bundle" / "model.onnx"
    return made


@pytest.fixture
def table(server, versions):
    version, graph = versions["table"]
    server.release(version)
    return server, session(graph)


@pytest.fixture
def texts(server, versions):
    version, graph = versions["texts"]
    server.release(version)
    return server, session(graph)


@pytest.fixture
def images(server, versions):
    version, graph = versions["images"]
    server.release(version)
    return server, session(graph)


def test_columns_in_any_order_are_answered_as_the_graph_answers(table):
    server, graph = table
    expected = answers(graph, TABLE.rows(FRAME))["prediction"]
    response = server.post(f"{MODEL}/infer", {"inputs": INPUTS}).json()
    assert np.allclose(response["outputs"][0]["data"], expected, rtol=1e-5)
    assert np.allclose([float(text) for text in response["outputs"][1]["data"]], expected, rtol=1e-5)
    columns = [each | {"shape": [3, 1], "data": [[value] for value in each["data"]]} for each in INPUTS]
    assert server.post(f"{MODEL}/infer", {"inputs": columns}).json()["outputs"][0] == response["outputs"][0]
    with server.client() as client:
        assert np.allclose(client.infer(TABLE.rows(FRAME))["outputs"][0]["data"], expected, rtol=1e-5)


PROJECT = """
name: spots
source: {reader: csv, path: rows.csv}
intake: {kind: tabular, numeric: [size], categorical: [kind], dates: [day]}
result: {kind: regression, label: amount, log: true}
"""
TEXT_PROJECT = """
name: spots
source: {reader: csv, path: rows.csv}
intake: {kind: text}
result: {kind: classification, classes: [ham, spam]}
"""

IMAGE_PROJECT = """
name: spots
source: {reader: images, path: images}
intake: {kind: image, height: 8, width: 8}
result: {kind: classification, classes: [ham, spam]}
"""
SLOW_IMPORTS = ("torch", "pandas", "pyarrow", "prefect", "onnxruntime", "mlflow")


@pytest.fixture
def predict(tmp_path):
    """Runs `gyre predict` as a person does, from a terminal.

    Gives the exit code, what it printed, and its errors.
    """

    def run(project, rows, *options):
        (tmp_path / "spots.yaml").write_text(project)
        command = [
            Path(sys.executable).with_name("gyre"),
            "predict",
            str(tmp_path / "spots.yaml"),
            "-",
            *options,
        ]
        done = subprocess.run(
            command,
            input=rows,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=os.environ | {"COLUMNS": "200"},
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_a_persons_rows_are_answered_with_id_version_and_notices(table, predict):
    server, graph = table
    expected = answers(graph, TABLE.rows(FRAME))["prediction"]
    rows = "id,size,kind,day\n1,1.5,a,2024-01-01T06:00\n2,,b,\n3,3,,2024-06-01\n"
    code, out, _ = predict(PROJECT, rows, "--json")
    told = json.loads(out)
    assert (code, told["model"], told["version"]) == (0, "spots", "1")
    assert np.allclose([float(row["answer"]) for row in told["rows"]], expected, rtol=1e-5)
    assert told["notices"] == [
        "passed over, since the model does not take them: 'id'",
        "input 'size': row 1 has no value; the training rows' median 2.25 stands for it",
        "input 'day': row 1 has no value; the training rows' median 2024-03-17 stands for it",
        "input 'kind': row 2 has no value",
    ]
    with server.client() as client:
        client.label({told["rows"][0]["id"]: 12.5})
    server.stop()
    labelled = PredictionLog(server.settings.home / "predictions" / "spots").labelled()
    assert labelled["request_id"].tolist() == [told["rows"][0]["id"]]


def test_a_misnamed_column_is_refused_with_the_name_that_looks_like_it(table, predict):
    code, out, err = predict(PROJECT, '{"Size": 1, "kind": "a", "day": null}')
    assert (code, out) == (1, "")
    assert err.startswith(
        "gyre: standard input: no column 'size' ('Size' looks like it); want size, day, kind, such as {"
    )
    code, out, _ = predict(PROJECT, '{"Size": 1, "kind": "a", "day": null}', "--allow-missing")
    assert code == 0
    assert "▲ no column 'size' ('Size' looks like it): missing in every row, as --allow-missing says" in out


def test_a_persons_text_is_answered_with_its_probability(texts, predict):
    _, graph = texts
    code, out, _ = predict(TEXT_PROJECT, '{"text": "free prize"}\n{"text": "see you"}\n', "--json")
    rows = json.loads(out)["rows"]
    expected = answers(graph, TEXTS.rows(pd.DataFrame({"text": ["free prize", "see you"]})))[
        "probability"
    ].max(axis=1)
    assert code == 0
    assert np.allclose([row["probability"] for row in rows], expected, atol=1e-5)
    code, out, _ = predict(TEXT_PROJECT, "text\nfree prize\n")
    assert code == 0
    assert "Answered by spots version 1." in out


@pytest.mark.parametrize(
    ("kind", "project", "asked"),
    [
        ("table", PROJECT, "size,kind,day\n1.5,a,2024-01-01T06:00\n,b,\n"),
        ("texts", TEXT_PROJECT, "text\nfree prize\n"),
        ("images", IMAGE_PROJECT, None),
    ],
)
def test_predict_imports_nothing_that_is_slow_to_import(kind, project, asked, request, tmp_path):
    request.getfixturevalue(kind)
    (tmp_path / "spots.yaml").write_text(project)
    file = tmp_path / ("rows.csv" if asked else "scan.png")
    if asked:
        file.write_text(asked)
    else:
        Image.new("L", (8, 8), 200).save(file)
    code = f"""
import sys
from flows.cli import main
sys.argv = ["gyre", "predict", {str(tmp_path / "spots.yaml")!r}, {str(file)!r}, "--json"]
try:
    main()
finally:
    print([name for name in {SLOW_IMPORTS} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert json.loads(done.stdout)["model"] == "spots"


def test_a_persons_image_is_answered_as_the_graph_answers_and_what_was_changed_of_it_is_said(
    images, tmp_path
):
    server, graph = images
    Image.new("RGB", (16, 8), (250, 10, 10)).save(tmp_path / "photo.png")
    (tmp_path / "spots.yaml").write_text(IMAGE_PROJECT)
    config = load(str(tmp_path / "spots.yaml"))
    with server.client() as client:
        told = predict_rows(config, client, tmp_path / "photo.png", None, allow_missing=False)
    expected = answers(graph, IMAGES.decode(tmp_path / "photo.png"))["probability"].max()
    assert np.isclose(told["rows"][0]["probability"], expected, atol=1e-5)
    assert told["notices"] == [
        "the image is 16 x 8 pixels, made 8 x 8 (intake.resize: stretch)",
        "the image has colours, made grey (intake.channels: 1)",
    ]


def test_the_model_describes_its_inputs(table):
    found = table[0].get(MODEL).json()["inputs"]
    assert found == [
        {"name": name, "datatype": TYPES[name], "shape": [-1]} for name in ("size", "day", "kind")
    ]


def test_missing_and_unseen_values_are_noticed_in_the_answer(table):
    server, _ = table
    kind, day, size = INPUTS
    asked = {"inputs": [kind | {"data": ["A", "b", ""]}, day, size | {"data": [1, 2, None]}]}
    assert server.post(f"{MODEL}/infer", asked).json()["parameters"]["notices"] == [
        "input 'size': row 2 has no value; the training rows' median 2.25 stands for it",
        "input 'day': row 1 has no value; the training rows' median 2024-03-17 stands for it",
        "input 'kind': row 2 has no value",
        "input 'kind': row 0 has a category that counts as missing, such as 'A' (did you mean 'a'?); training rows have 'a', 'b'",
    ]
    whole = [each | {"shape": [1], "data": each["data"][:1]} for each in INPUTS]
    assert "parameters" not in server.post(f"{MODEL}/infer", {"inputs": whole}).json()


def test_the_model_tells_what_training_rows_had(table):
    found = table[0].get(f"{MODEL}/columns").json()
    assert found["version"] == "1"
    assert [
        (each["name"], each["datatype"], each["categories"], each["usual"]) for each in found["columns"]
    ] == [
        ("size", "FP32", None, "2.25"),
        ("day", "FP64", None, "2024-03-17"),
        ("kind", "BYTES", ["a", "b"], None),
    ]


def test_what_was_asked_comes_back_from_the_log(table):
    server, _ = table
    with server.client() as client:
        client.infer(TABLE.rows(FRAME), "mine")
        client.label({"mine#0": 12.5, "mine#1": "7"})
    server.stop()
    log = PredictionLog(server.settings.home / "predictions" / "spots")
    rows, fits = logged_rows(log.latest(10), TABLE.inputs)
    assert fits.all()
    for name in TABLE.columns:
        assert np.array_equal(rows[name], TABLE.rows(FRAME)[name], equal_nan=name != "kind")
    labelled = log.labelled()
    assert dict(zip(labelled["request_id"], labelled["label"], strict=True)) == {
        "mine#0": "12.5",
        "mine#1": "7",
    }


def test_hostile_columns_are_refused_by_name(table):
    server, _ = table
    kind, day, size = INPUTS
    wrong = {
        "inputs is missing; want a list with 3 tensors: size, day, kind": None,
        "inputs has no 'day'; want 3 tensors: size, day, kind (null stands for a missing value)": [
            kind,
            size,
        ],
        "inputs[1].name is 'colour'; want 'size' or 'day' or 'kind'": [kind, size | {"name": "colour"}, day],
        "inputs[3].name is 'day' for the second time; want 3 tensors: size, day, kind": [
            kind,
            day,
            size,
            day,
        ],
        "inputs[0].name is ['kind']; want 'size' or 'day' or 'kind'": [kind | {"name": ["kind"]}],
        "input 'kind': datatype is 'FP32'; want 'BYTES'": [kind | {"datatype": "FP32"}, day, size],
        "input 'kind': data[1] (row 1) is 7; want texts or null (BYTES)": [
            kind | {"data": ["a", 7, "b"]},
            day,
            size,
        ],
        "input 'size': data[0] (row 0) is 'big'; want numbers or null (FP32, at most 3.4e+38)": [
            kind,
            day,
            size | {"data": ["big", 1, 2]},
        ],
        "input 'day': data[0] (row 0) is '2024-01-01'; want numbers or null (FP64, at most 1.8e+308)": [
            kind,
            day | {"data": ["2024-01-01", 1, 2]},
            size,
        ],
        "input 'day': has 2 rows; want 3, as many as input 'size'": [
            kind,
            day | {"shape": [2], "data": [1, 2]},
            size,
        ],
        "input 'size': shape is [3, 2]; want [1 to 1024]": [kind, day, size | {"shape": [3, 2]}],
    }
    responses = [server.post(f"{MODEL}/infer", {"inputs": inputs}) for inputs in wrong.values()]
    assert {response.status_code for response in responses} == {400}
    assert [response.json()["error"] for response in responses] == list(wrong)
    extreme = [
        kind | {"data": ["\0", "x" * 20_000, "\u202e"]},
        day | {"data": [1e300, -1e300, 0]},
        size | {"data": [3e38, -3e38, 0]},
    ]
    answered = server.post(f"{MODEL}/infer", {"inputs": extreme})
    assert answered.status_code == 200
    assert np.isfinite(answered.json()["outputs"][0]["data"]).all()


def test_labels_of_a_number_are_numbers(table):
    server, _ = table
    texts = {
        "labels[0].label is 'many'; want a number, such as 12.5": "many",
        "labels[0].label is 'nan'; want a finite number": "nan",
        'labels[0].label is [1]; want a text, such as {"request_id": "...", "label": "..."}': [1],
        'labels[0].label is True; want a text, such as {"request_id": "...", "label": "..."}': True,
    }
    responses = [
        server.post(f"{MODEL}/labels", {"request_id": "a", "label": label}) for label in texts.values()
    ]
    assert [(response.status_code, response.json()["error"]) for response in responses] == [
        (400, text) for text in texts
    ]
    with server.client() as client:
        client.infer(TABLE.rows(FRAME.head(1)), "a")
    assert server.post(f"{MODEL}/labels", {"request_id": "a", "label": 7}).json() == {"accepted": 1}


def test_texts_are_answered_whatever_stands_in_them(texts):
    server, graph = texts
    asked = ["free prize", "", "日本 😀\n\r\t", "\0\u202e", "x" * 20_000, "win " * 4000]
    rows = TEXTS.rows(pd.DataFrame({"text": asked}))
    tensor = {"name": "text", "shape": [len(asked)], "datatype": "BYTES", "data": asked}
    response = server.post(f"{MODEL}/infer", {"id": "texts", "inputs": [tensor]}).json()
    assert np.allclose(
        np.reshape(response["outputs"][1]["data"], (-1, 2)), answers(graph, rows)["probability"], atol=1e-5
    )
    assert set(response["outputs"][2]["data"]) <= {"ham", "spam"}
    server.stop()
    log = PredictionLog(server.settings.home / "predictions" / "spots")
    assert logged_rows(log.latest(10), TEXTS.inputs)[0]["text"].tolist() == asked


def test_requests_of_texts_side_by_side_share_a_call(texts):
    from concurrent.futures import ThreadPoolExecutor

    server, graph = texts
    asked = [f"free {'prize ' * (number % 7)}{number}" for number in range(60)]
    expected = answers(graph, TEXTS.rows(pd.DataFrame({"text": asked})))["probability"]

    def ask(text):
        with server.client() as client:
            return client.infer(TEXTS.decode(text))["outputs"][1]["data"]

    with ThreadPoolExecutor(16) as pool:
        assert np.allclose(list(pool.map(ask, asked)), expected, atol=1e-5)


def test_an_endless_text_is_refused(texts):
    server, _ = texts
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["x" * 20_001]}
    response = server.post(f"{MODEL}/infer", {"inputs": [tensor]})
    assert (response.status_code, response.json()["error"]) == (
        400,
        "input 'text': data[0] (row 0) has 20001 characters; want at most 20000",
    )
