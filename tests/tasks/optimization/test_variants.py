"""Layers that lose too much in 8 bits stay float, the most sensitive first; the rest is quantized."""

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper

from configs.intake import ImageIntakeConfig
from configs.result import ClassificationResultConfig
from tasks.intake import build_intake
from tasks.model.onnx_session import answers, session
from tasks.optimization.formats import round_weights
from tasks.optimization.variants import variant
from tasks.records import DatasetVersion, Graph
from tasks.result import build_result
from tasks.rows.parts import record_of, write

SIDE = 8
INTAKE = build_intake(ImageIntakeConfig(kind="image", height=SIDE, width=SIDE))
RESULT = build_result(ClassificationResultConfig(kind="classification", classes=("dark", "bright")))
DRAW = np.random.default_rng(0)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Images of which a faint difference in one pixel says the class."""
    folder = tmp_path_factory.mktemp("rows")
    images = DRAW.integers(0, 256, (600, SIDE * SIDE), dtype=np.uint8)
    labels = np.where(DRAW.random(600) < 0.5, "dark", "bright")
    images[:, 0] = np.where(labels == "dark", 120, 124)
    split = ["train"] * 300 + ["validation"] * 150 + ["test"] * 150
    write(
        [pd.DataFrame({"id": map(str, range(600)), "image": list(images), "label": labels, "split": split})],
        folder,
    )
    facts = {"project": "p", "version": 1, "tag": "p/v1", "commit": "c", "rows": 600}
    splits = {"train": 300, "validation": 150, "test": 150}
    return DatasetVersion(**record_of(folder).model_dump(), **facts, splits=splits)


@pytest.fixture(scope="module")
def graph(dataset, tmp_path_factory):
    """Two layers between which a faint number lies beside huge ones, and two that need no fine steps."""
    pixels = SIDE * SIDE
    first = DRAW.normal(0, 0.01, (pixels, 64)).astype(np.float32)
    # What the class is: the difference of a pixel from 122, in one output, beside a huge common part.
    first[:, 0] = 0
    first[0, 0] = 1
    offset = np.zeros(64, np.float32)
    offset[0] = -122
    first[1:, 1] = 50
    select = np.zeros((64, 64), np.float32)
    select[0, 0] = 1
    second = np.zeros((64, 2), np.float32)
    second[0] = [-1, 1]
    second[2:] = DRAW.normal(0, 1e-4, (62, 2))
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["float", "shape"], ["flat"]),
        helper.make_node("Gemm", ["flat", "first", "offset"], ["hidden"], name="sensitive"),
        helper.make_node("Gemm", ["hidden", "select"], ["faint"], name="sensitive_too"),
        helper.make_node("Gemm", ["faint", "wide"], ["wider"], name="plain"),
        helper.make_node("MatMul", ["wider", "second"], ["logits"], name="head"),
        helper.make_node("Softmax", ["logits"], ["probability"]),
        helper.make_node("ArgMax", ["logits"], ["class"], axis=1, keepdims=0),
    ]
    weights = {
        "first": first,
        "offset": offset,
        "select": select,
        "wide": np.eye(64, dtype=np.float32),
        "second": second,
        "shape": np.array([-1, pixels], np.int64),
    }
    return saved(nodes, weights, tmp_path_factory.mktemp("graph") / "fp32.onnx")


def saved(nodes, weights, path):
    """A graph from an image to class and probability."""
    made = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 1])],
        [
            helper.make_tensor_value_info("class", TensorProto.INT64, ["batch"]),
            helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["batch", 2]),
        ],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return Graph(**record_of(path).model_dump(), name="fp32", parity=0.0)


def score(made, dataset):
    from tasks.rows.parts import read

    frame = read(dataset, split="test")
    given = answers(session(made.uri), INTAKE.rows(frame))
    return float(RESULT.scores(given, RESULT.targets(frame["label"])).mean())


def test_layers_that_lose_too_much_stay_float_until_the_loss_fits(graph, dataset, tmp_path):
    assert score(graph, dataset) == 1.0
    coarse = variant(graph, "int8", dataset, INTAKE, RESULT, 64, 1.0, tmp_path / "coarse")
    assert score(coarse, dataset) < 0.9
    assert coarse.steps == ("int8",)
    careful = variant(graph, "int8", dataset, INTAKE, RESULT, 64, 0.01, tmp_path / "careful")
    assert score(careful, dataset) >= 0.99
    assert careful.steps == ("int8, 2 of its layers float",)
    kinds = [node.op_type for node in onnx.load(careful.uri).graph.node]
    assert "QuantizeLinear" in kinds


def test_a_format_that_has_nothing_to_change_says_so(dataset, tmp_path):
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["float", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "few"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probability"]),
        helper.make_node("ArgMax", ["logits"], ["class"], axis=1, keepdims=0),
    ]
    few = np.zeros((SIDE * SIDE, 2), np.float32)
    weights = {"few": few, "shape": np.array([-1, SIDE * SIDE], np.int64)}
    small = saved(nodes, weights, tmp_path / "fp32.onnx")
    with pytest.raises(ValueError, match="no layer has as many as 1,024 weights"):
        variant(small, "int8-weights", dataset, INTAKE, RESULT, 64, 0.01, tmp_path)


def test_rounded_weights_are_within_half_a_step_and_zeros_stay_zero():
    values = DRAW.normal(size=(8, 5)).astype(np.float32)
    values[3] = 0
    rounded, scale = round_weights(values, 0)
    assert scale.shape == (8, 1)
    assert np.abs(rounded * scale - values).max() <= 0.5001 * scale.max()
    assert (rounded[3] == 0).all()
