"""The path to production answers with what was measured, and says what was not."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from configs.gate import GateConfig
from configs.target import TargetConfig
from tasks.compilation import production_path
from tasks.compilation.gate_report import GateReport
from tasks.compilation.serving_measurement import BATCHES, ServingMeasurement, measure_serving
from tasks.records import Candidate, Graph, Judgement
from tasks.rows.parts import record_of
from tasks.rows.raw import TensorSpec, rows_from

INPUTS = (TensorSpec("x", "float32", (64,)), TensorSpec("word", "str", ()))


def measurement(milliseconds=lambda size: 1 + 0.1 * size, **facts):
    batches = {size: (milliseconds(size), 2 * milliseconds(size)) for size in BATCHES}
    usual = {
        "start_s": 0.5,
        "megabytes": 60.0,
        "batches_ms": batches,
        "operators_ms": {"Conv": 0.9, "Relu": 0.1},
        "prefix_share": 0.25,
        "joules": None,
    }
    return ServingMeasurement(**usual | facts)


def candidate(name, score, latency_ms, megabytes, steps=(), rejected=None):
    return Candidate(
        graph=Graph(
            uri="g",
            digest="d",
            name=name,
            parity=0.0,
            steps=steps,
            format="int8" if "int8" in name else "fp32",
        ),
        split="validation",
        rows=100,
        score=score,
        low=score,
        high=score,
        latency_ms=latency_ms,
        throughput=1000.0,
        megabytes=megabytes,
        rejected=rejected,
    )


FP32 = candidate("fp32", 0.95, 1.0, 4.0)
INT8 = candidate("int8", 0.949, 0.5, 1.0, ("int8",))
HALF = candidate("half", 0.93, 0.4, 1.0, ("half: trained alone",), rejected="0.0200 under fp32's score")


def told(*candidates, chosen=INT8, measured=None, untried=(), gate=None, target=None, failures=()):
    verdict = GateReport(
        candidates=candidates,
        chosen=chosen,
        judgement=Judgement(rows=100, score=0.947, low=0.94, high=0.95),
        comparison=None,
        slices=(),
        failures=failures,
        remedies=(),
        metrics={"accuracy": 0.947},
        rows=np.zeros(1),
    )
    found = production_path.answers(
        verdict,
        measured or measurement(),
        untried,
        gate or GateConfig(),
        target or TargetConfig(),
        "accuracy",
    )
    return {each.question: each.answer for each in found}, found, verdict


def test_every_answer_has_its_figures():
    found = told(FP32, INT8, HALF)[0]
    assert found["Is the latency of a request acceptable?"].startswith("Yes: int8 answers one row in 0.5 ms")
    assert found["Does a smaller format lose little?"] == (
        "int8 is 2 times faster than fp32 and 4 times smaller at -0.0010 accuracy."
    )
    assert found["Does a smaller network lose little?"] == (
        "half is 2.5 times faster than fp32 and 4 times smaller at -0.0200 accuracy (refused: 0.0200 under fp32's score)."
    )
    assert "Conv 90%, Relu 10%" in found["Where does the time go?"]


def test_a_latency_over_the_limit_is_not_acceptable():
    found = told(FP32, INT8, gate=GateConfig(max_latency_ms=0.1))[0]
    assert found["Is the latency of a request acceptable?"].startswith("No: ")


def test_parallel_requests_are_counted_up_to_the_limit_of_the_slowest():
    """16 rows take 2.6 ms, 5.2 at the 99th percentile, twice that behind another call: 10.4; 32 take 16.8."""
    measured = measurement()
    assert measured.most_requests(11) == 16
    assert measured.most_requests(1) == 0
    assert measured.load(128).latency_ms == pytest.approx(2 * 7.4)
    answer = told(FP32, INT8, measured=measured, gate=GateConfig(max_p99_ms=11))[0]
    assert answer["How many parallel requests can one instance serve?"].startswith("16 that arrive together")


def test_what_was_not_tried_or_is_not_known_is_said():
    found = told(FP32, chosen=FP32, untried=("quarter was not trained: it would take 2.0 minutes",))[0]
    assert found["What do a million requests cost?"].startswith("Not known: set target.price_per_hour")
    assert "optimization.minutes" in found["Does a smaller network lose little?"]
    assert "quarter was not trained" in found["What was not tried?"]
    assert "was measured on one thread of a CPU" in found["What was not tried?"]


def test_a_price_makes_the_cost_of_a_million_requests():
    measured = measurement(float)
    price = TargetConfig(price_per_hour=3.6)
    found = told(FP32, INT8, measured=measured, target=price)[0]["What do a million requests cost?"]
    assert found.startswith("1 where the instance is busy")


def test_nothing_is_recommended_that_the_gate_refuses():
    found = told(FP32, INT8, failures=("int8: too bad",))[0]
    assert found["What should serve?"].startswith("Nothing yet: int8: too bad")


@pytest.fixture
def graph(tmp_path):
    """Adds the length of nothing to rows multiplied by a matrix; a text beside them."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [64, 8], np.ones((64, 8), np.float32).ravel())
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Relu", ["product"], ["y"]),
        helper.make_node("Identity", ["word"], ["same"]),
    ]
    model = helper.make_graph(
        nodes,
        "product",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64]),
            helper.make_tensor_value_info("word", TensorProto.STRING, ["batch"]),
        ],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8]),
            helper.make_tensor_value_info("same", TensorProto.STRING, ["batch"]),
        ],
        [weights],
    )
    made = helper.make_model(model, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(made, tmp_path / "g.onnx")
    return Graph(**record_of(tmp_path / "g.onnx").model_dump(), name="fp32", parity=0.0)


def test_an_instance_is_measured_in_a_process_of_its_own_and_the_report_lies_beside_the_card(graph, tmp_path):
    texts = np.array(["a", "日本", ""], dtype=object)
    rows = rows_from(INPUTS, {"x": np.ones((3, 64), np.float32), "word": texts})
    measured = measure_serving(graph, rows)
    assert set(measured.batches_ms) == set(BATCHES)
    assert {"MatMul", "Relu"} <= set(measured.operators_ms)
    assert 10 < measured.megabytes < 1000
    assert measured.start_s > 0
    _, found, verdict = told(FP32, INT8, measured=measured)
    folder = tmp_path / "report"
    folder.mkdir()
    production_path.write_report(
        "p<b>", found, verdict, measured, {"serving": production_path.picture(measured)}, folder
    )
    kept = json.loads((folder / "path.json").read_text())
    assert [each["question"] for each in kept["answers"]] == [each.question for each in found]
    assert kept["serving"]["loads"][0]["requests"] == 1
    assert "one thread" in kept["machine"]
    page = (folder / "path.html").read_text()
    assert "p&lt;b&gt;" in page
    assert "<img src=" in page
    assert (folder / "serving.png").read_bytes().startswith(b"\x89PNG")
