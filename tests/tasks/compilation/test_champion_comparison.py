"""Champion and challenger answer the same source rows, each as its own intake reads them.

Real graphs of real digits and of tables.
"""

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from configs.checks import ChecksConfig
from configs.evaluation import EvaluationConfig
from configs.gate import GateConfig
from configs.intake import ImageIntakeConfig, TabularIntakeConfig
from configs.labeling import LabelingConfig
from configs.result import ClassificationResultConfig
from infra.files import digest, write_json
from tasks.compilation.gate_report import judge
from tasks.compilation.model_card import comparison_text
from tasks.compilation.signature import signature
from tasks.intake import build_intake
from tasks.pipeline.findings import judge as judge_findings
from tasks.records import Champion, DatasetVersion, Graph
from tasks.result import build_result
from tasks.rows.content_hash import digests
from tasks.rows.parts import record_of, write

DIGITS = ClassificationResultConfig(kind="classification", classes=tuple("0123456789"))
SIGNS = ClassificationResultConfig(kind="classification", classes=("minus", "plus"))
GATE = GateConfig(min_score=0.3)
SCANS, NUMBERS = load_digits().images * 255 / 16, load_digits().target
ROWS = 1200
SIDES = np.array(["train", "train", "test"])[np.arange(ROWS) % 3]


def linear(intake, weights, bias):
    """A graph of the intake's inputs, flat and one after the other.

    [batch, width] x weights + bias -> class and probability.
    """
    types = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}
    nodes, taken = [], []
    for spec in intake.inputs:
        taken.append(helper.make_tensor_value_info(spec.name, types[spec.dtype], ["batch", *spec.shape]))
        nodes.append(helper.make_node("Cast", [spec.name], [f"{spec.name}.float"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Reshape", [f"{spec.name}.float", "flat"], [f"{spec.name}.flat"]))
    nodes += [
        helper.make_node("Concat", [f"{spec.name}.flat" for spec in intake.inputs], ["row"], axis=1),
        helper.make_node("Gemm", ["row", "weights", "bias"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probability"]),
        helper.make_node("ArgMax", ["scores"], ["class"], axis=1, keepdims=0),
    ]
    given = [
        helper.make_tensor_value_info("class", TensorProto.INT64, ["batch"]),
        helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["batch", len(bias)]),
    ]
    width = -1 if any(spec.shape for spec in intake.inputs) else 1
    constants = {"weights": np.float32(weights), "bias": np.float32(bias), "flat": np.array([0, width])}
    made = helper.make_graph(
        nodes,
        "linear",
        taken,
        given,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture
def version(tmp_path):
    """A data set version of frames."""

    def make(frame, number):
        folder = tmp_path / f"v{number}"
        folder.mkdir()
        write([frame[:700], frame[700:]], folder)
        facts = {
            "project": "p",
            "version": number,
            "tag": f"p/v{number}",
            "commit": "c",
            "rows": len(frame),
            "splits": {},
        }
        return DatasetVersion(**record_of(folder).model_dump(), **facts)

    return make


@pytest.fixture
def compared(tmp_path):
    """The verdict on a challenger (intake, graph, data set) against a champion (the same)."""

    def judge_both(challenger, champion, result=DIGITS, champion_result=None, gate=GATE):
        section, graph, dataset = champion
        folder = tmp_path / "champion"
        folder.mkdir()
        onnx.save(graph, folder / "model.onnx")
        own = champion_result or result
        write_json(
            folder / "signature.json", {"project": "p", **signature(build_intake(section), build_result(own))}
        )
        write_json(
            folder / "lineage.json",
            {"config": {"intake": section.model_dump(mode="json"), "result": own.model_dump(mode="json")}},
        )
        serving = Champion(
            **record_of(folder).model_dump(), project="p", version=7, graph_digest="g", dataset=dataset
        )
        section, graph, dataset = challenger
        onnx.save(graph, tmp_path / "challenger.onnx")
        mine = Graph(
            uri=str(tmp_path / "challenger.onnx"),
            digest=digest(tmp_path / "challenger.onnx"),
            name="fp32",
            parity=0.0,
        )
        built, evaluation = build_intake(section), EvaluationConfig(max_discovered=0)
        return judge(
            [mine], serving, dataset, built, build_result(result), LabelingConfig(), evaluation, gate
        )

    return judge_both


def refused(verdict):
    return [
        each.finding.check
        for each in judge_findings(verdict.findings, ChecksConfig())
        if each.action == "refuse"
    ]


def scans(side, rows=ROWS):
    """Digits in a size, as a folder of images would give them: the same content whatever the size."""
    whole = SCANS[:rows].astype(np.uint8)
    pixels = [
        np.asarray(Image.fromarray(scan).resize((side, side), Image.Resampling.BILINEAR)).reshape(-1)
        for scan in whole
    ]
    columns = {"image": pixels, "label": NUMBERS[:rows].astype(str), "origin": "a.tar", "split": SIDES[:rows]}
    contents = np.arange(rows, dtype=np.uint64) * 7
    return pd.DataFrame({"id": [f"{n}.png" for n in range(rows)], "origin_content": contents} | columns)


def learned(frame, side, rows=None):
    """Intake and graph of a logistic regression on training rows."""
    trained = frame[frame["split"] == "train"].head(rows or len(frame))
    pixels = np.stack(trained["image"]) / 255
    model = LogisticRegression(max_iter=300).fit(pixels, trained["label"].astype(int))
    weights, bias = np.zeros((side * side, 10)), np.full(10, -99.0)
    weights[:, model.classes_], bias[model.classes_] = model.coef_.T / 255, model.intercept_
    section = ImageIntakeConfig(kind="image", height=side, width=side)
    return section, linear(build_intake(section), weights, bias)


def test_another_image_size_is_compared_on_the_same_source_rows_and_a_worse_one_is_refused(version, compared):
    large, small = scans(8), scans(4)
    champion, challenger = learned(large, 8), learned(small, 4, rows=60)
    verdict = compared((*challenger, version(small, 2)), (*champion, version(large, 1)))
    assert verdict.comparison.rows == verdict.judgement.rows == ROWS // 3
    assert verdict.comparison.champion_score > 0.9 > verdict.comparison.challenger_score + 0.05
    (reason,) = verdict.failures
    assert "of champion v7: the difference may be as low as -0." in reason
    (found,) = verdict.findings
    assert found.check == "incompatible_input"
    assert found.examples == ("image: uint8 [8, 8, 1] becomes uint8 [4, 4, 1]",)
    assert refused(verdict) == ["incompatible_input"]


def test_an_equal_one_of_another_size_passes_the_gate(version, compared):
    large, small = scans(8), scans(7)
    verdict = compared(
        (*learned(small, 7), version(small, 2)),
        (*learned(large, 8), version(large, 1)),
        gate=GateConfig(max_drop=0.06),
    )
    assert verdict.failures == ()
    assert verdict.comparison.rows == ROWS // 3


def test_rows_that_came_since_cannot_be_asked_and_are_counted(version, compared):
    large, small = scans(8, rows=600), scans(7)
    verdict = compared((*learned(small, 7), version(small, 2)), (*learned(large, 8), version(large, 1)))
    assert verdict.comparison.rows == 200
    found = verdict.findings[0]
    assert (found.check, found.count, found.total) == ("not_compared", 200, 400)
    assert found.told.endswith(
        "takes another input, and its own data set does not have these rows as they are now"
    )
    assert "on the same 200 rows" in comparison_text(verdict)
    assert "not_compared" in refused(verdict)


def test_rows_of_the_same_shape_that_are_read_otherwise_are_the_champions_own(version, compared):
    now = scans(8)
    before = now.assign(image=[255 - image for image in now["image"]])
    section, graph = learned(now, 8)
    verdict = compared((section, graph, version(now, 2)), (*learned(before, 8), version(before, 1)))
    assert verdict.comparison.champion_score > 0.9
    assert verdict.findings == ()


def test_rows_that_the_champion_learned_from_are_left_out_and_counted(version, compared):
    now = scans(8)
    before = now.assign(split=np.roll(SIDES, 1))
    section, graph = learned(now, 8)
    verdict = compared((section, graph, version(now, 2)), (*learned(before, 8), version(before, 1)))
    assert verdict.comparison is None
    assert [(each.check, each.count) for each in verdict.findings] == [
        ("champion_learned_rows", 400),
        ("not_compared", 400),
    ]
    assert refused(verdict) == ["champion_learned_rows", "not_compared"]
    assert "learned from every one of them" in comparison_text(verdict)


def test_a_copy_under_another_name_counts_as_learned(version, compared):
    now = scans(8)
    moved = now.assign(id=now["id"].radd("moved/"))
    section, graph = learned(now, 8)
    before = now.assign(split=np.where(np.arange(ROWS) % 30 == 2, "train", SIDES))
    verdict = compared((section, graph, version(moved, 2)), (*learned(before, 8), version(before, 1)))
    assert [(each.check, each.count) for each in verdict.findings] == [("champion_learned_rows", 40)]
    assert verdict.comparison.rows == 360


def test_other_classes_are_not_compared_and_that_refuses(version, compared):
    now = scans(8)
    section, graph = learned(now, 8)
    dataset = version(now, 1)
    eleven = ClassificationResultConfig(kind="classification", classes=(*"0123456789", "x"))
    verdict = compared((section, graph, dataset), (section, graph, dataset), champion_result=eleven)
    assert verdict.comparison is None
    (found,) = verdict.findings
    assert (found.check, found.count) == ("not_compared", 400)
    assert "gives other answers (classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ..." in found.told
    assert refused(verdict) == ["not_compared"]


def numbers(rows=ROWS, **more):
    """A table whose label is the sign of `a` plus `b`."""
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(2, rows)).astype(np.float32)
    frame = pd.DataFrame(
        {"id": [f"r{n}" for n in range(rows)], "a": a, "b": b, "label": np.where(a + b > 0, "plus", "minus")}
        | more
    )
    return frame.assign(origin="a.csv", split=SIDES[np.arange(rows) % 3], origin_content=digests_of(a))


def digests_of(values):
    import pyarrow as pa

    return digests([pa.chunked_array([pa.array(values)])]).to_numpy()


def sign(*weights):
    section = TabularIntakeConfig(kind="tabular", numeric=tuple("ab"[: len(weights)]))
    return section, linear(
        build_intake(section), np.array([[-weight, weight] for weight in weights]), [0.0, 0.0]
    )


def test_a_column_more_is_compared_on_all_rows_new_ones_too(version, compared):
    verdict = compared(
        (*sign(1, 1), version(numbers(), 2)), (*sign(1), version(numbers(600).drop(columns="b"), 1)), SIGNS
    )
    assert verdict.comparison.rows == 400
    assert verdict.comparison.challenger_score == 1.0 > verdict.comparison.champion_score > 0.6
    assert [each.check for each in verdict.findings] == ["incompatible_input"]


def test_a_column_less_of_the_source_is_read_from_the_champions_data_set(version, compared):
    verdict = compared(
        (*sign(1), version(numbers().drop(columns="b"), 2)), (*sign(1, 1), version(numbers(), 1)), SIGNS
    )
    assert verdict.comparison.rows == 400
    assert verdict.comparison.champion_score == 1.0 > verdict.comparison.challenger_score
    assert len(verdict.failures) == 1


def test_where_no_row_can_be_had_nothing_is_compared(version, compared):
    before = numbers().assign(id=[f"other-{n}" for n in range(ROWS)])
    verdict = compared(
        (*sign(1), version(numbers().drop(columns="b"), 2)), (*sign(1, 1), version(before, 1)), SIGNS
    )
    assert verdict.comparison is None
    assert verdict.findings[0].told.endswith(
        "takes another input, and no data set has these rows as it reads them"
    )
