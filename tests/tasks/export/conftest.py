"""Small real bundles of each kind of row, made as the compilation stage makes them, and what they are exported with."""

import shutil

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits

from configs.intake import ImageIntakeConfig, TabularIntakeConfig, TextIntakeConfig
from configs.result import ClassificationResultConfig, RegressionResultConfig
from infra.files import digest, write_json
from tasks.compilation.signature import signature
from tasks.export.npm_runtime import RuntimeFetchError, runtime_files
from tasks.export.targets import export_browser
from tasks.intake import build_intake
from tasks.model.onnx_parts import with_prefix
from tasks.production import probe
from tasks.result import build_result

MESSAGES = [
    "Free entry in 2 a wkly comp to win FA Cup final tkts 21st May 2005. Text FA to 87121",
    "Nah I don't think he goes to usf, he lives around here though",
    "WINNER!! As a valued network customer you have been selected to receive a £900 prize reward!",
    "I'm gonna be home soon and i don't want to talk about this stuff anymore tonight, k?",
    "Überraschung: Sie haben gewonnen! Rufen Sie jetzt an, kostenlos",
    "Ça va ? On se voit à 18h, d'accord",
    "恭喜您 中奖了 😀 😀 free prize call now",
    "Καλημέρα, θα έρθω αύριο. Σας ευχαριστώ",
]
WORK = ["Private", "State-gov", "Self-emp-not-inc", "Federal-gov"]


def classes_of(*names):
    return build_result(ClassificationResultConfig(kind="classification", classes=list(names)))


@pytest.fixture(scope="session")
def runtimes(tmp_path_factory):
    """A folder with the runtime of browsers and Node.js, fetched through npm."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("no npm or node on PATH; apt-get install npm")
    folder = tmp_path_factory.mktemp("runtimes")
    try:
        runtime_files(folder)
    except RuntimeFetchError as error:
        # No network is no fault of Gyre's; another content than the one that is pinned would be one.
        if "instead of" in str(error):
            raise
        pytest.skip(str(error))
    return folder


def core(taken, classes):
    """A small network for encoded rows, as an onnx.ModelProto.

    An embedding, a convolution or a layer, and a head.
    """
    draw = np.random.default_rng(3)
    weights, nodes = {}, []

    def constant(name, *shape):
        weights[name] = (draw.normal(size=shape) / 4).astype(np.float32)
        return name

    def add(operator, inputs, **attributes):
        name = f"{operator}{len(nodes)}"
        nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return nodes[-1].output[0]

    if taken.dtype == "int64":
        embedded = add("Gather", [constant("embedding", 200, 6), taken.name])
        weights["axis"] = np.array([1])
        features, width = add("ReduceSum", [embedded, "axis"], keepdims=0), 6
    elif taken.dtype == "uint8":
        grey = add("Transpose", [add("Cast", [taken.name], to=TensorProto.FLOAT)], perm=[0, 3, 1, 2])
        weights["brightest"] = np.float32(255)
        strokes = add(
            "Conv", [add("Div", [grey, "brightest"]), constant("filters", 4, taken.shape[-1], 3, 3)]
        )
        features, width = add("Flatten", [add("Relu", [strokes])]), 4 * 6 * 6
    else:
        weights["nothing"], weights["far"] = np.float32(0), np.float32(1e4)
        filled = add("Where", [add("IsNaN", [taken.name]), "nothing", taken.name])
        features, width = add("Tanh", [add("Div", [filled, "far"])]), taken.shape[0]
    head = add("MatMul", [features, constant("head", width, classes)])
    if classes > 1:
        nodes.append(helper.make_node("ArgMax", [head], ["class"], "class", axis=1, keepdims=0))
        nodes.append(helper.make_node("Softmax", [head], ["probability"], "probability", axis=1))
        given = [
            ("class", TensorProto.INT64, ["batch"]),
            ("probability", TensorProto.FLOAT, ["batch", classes]),
        ]
    else:
        weights["last"] = np.array([1])
        nodes.append(helper.make_node("Squeeze", [head, "last"], ["prediction"], "prediction"))
        given = [("prediction", TensorProto.FLOAT, ["batch"])]
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(taken.dtype))
    graph = helper.make_graph(
        nodes,
        "core",
        [helper.make_tensor_value_info(taken.name, dtype, ["batch", *taken.shape])],
        [helper.make_tensor_value_info(*each) for each in given],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory):
    """A bundle whose graph reads raw rows as the frame's were, before a small network."""

    def make(name, section, result, frame):
        folder = tmp_path_factory.mktemp(name) / "bundle"
        folder.mkdir()
        intake = build_intake(section)
        rows = intake.rows(frame)
        encoder = intake.encoder()
        encoder.fit(rows)
        preprocessing = intake.preprocessing(encoder)
        preprocessing.fit(encoder.encode(rows))
        onnx.save(with_prefix(core(encoder.encoded, result.outputs), encoder), folder / "model.onnx")
        probe.write(folder, rows, {probe.GRAPH: onnxruntime.InferenceSession(folder / "model.onnx")})
        facts = {"project": name, **signature(intake, result), "graph_digest": digest(folder / "model.onnx")}
        facts |= {"date_formats": {}, "training_values": preprocessing.training_values()}
        write_json(folder / "signature.json", facts)
        write_json(folder / "lineage.json", {"config": {"intake": section.model_dump(mode="json")}})
        return folder

    return make


@pytest.fixture(scope="session")
def texts(make_bundle):
    section = TextIntakeConfig(kind="text", column="message", length=24)
    frame = pd.DataFrame({"message": MESSAGES * 2})
    return make_bundle("messages", section, classes_of("ham", "spam"), frame)


@pytest.fixture(scope="session")
def images(make_bundle):
    section = ImageIntakeConfig(kind="image", height=8, width=8)
    pixels = (load_digits().images[:200] * 15.9).astype(np.uint8)
    frame = pd.DataFrame({"image": [each.ravel() for each in pixels]})
    return make_bundle("scans", section, classes_of(*map(str, range(10))), frame)


@pytest.fixture(scope="session")
def photos(make_bundle):
    section = ImageIntakeConfig(kind="image", height=8, width=8, channels=3, resize="crop")
    pixels = np.random.default_rng(2).integers(0, 256, (20, 8 * 8 * 3), np.uint8)
    return make_bundle("photos", section, classes_of("cat", "dog"), pd.DataFrame({"image": list(pixels)}))


@pytest.fixture(scope="session")
def table(make_bundle):
    section = TabularIntakeConfig(
        kind="tabular", numeric=("age", "hours per week"), categorical=("work",), dates=("born",)
    )
    draw = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "age": draw.integers(17, 90, 200).astype(float),
            "hours per week": draw.integers(1, 99, 200).astype(float),
            "work": draw.choice(WORK, 200),
            "born": pd.to_datetime("2000-01-01") + pd.to_timedelta(draw.integers(0, 9000, 200), "D"),
        }
    )
    result = build_result(RegressionResultConfig(kind="regression", label="pay"))
    return make_bundle("pay", section, result, frame)


@pytest.fixture(scope="session")
def pages(texts, images, photos, table, runtimes, tmp_path_factory):
    """What each bundle was exported to for browsers and Node.js."""
    folder = tmp_path_factory.mktemp("pages")
    bundles = {"texts": texts, "images": images, "photos": photos, "table": table}
    return {name: export_browser(bundle, name, folder / name, runtimes) for name, bundle in bundles.items()}
