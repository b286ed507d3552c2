"""Graphs are tried in processes of their own.

What cannot be run, or answers by its neighbours, is no candidate.
"""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tasks.compilation.trial import try_graphs
from tasks.records import Graph
from tasks.rows.parts import record_of
from tasks.rows.raw import TensorSpec, rows_from

INPUTS = (TensorSpec("x", "float32", (3,)),)


class Intake:
    inputs = INPUTS


ROWS = rows_from(INPUTS, {"x": np.arange(120, dtype=np.float32).reshape(40, 3) / 120})


@pytest.fixture
def made(tmp_path):
    """Makes graphs of nodes from `x` to `y`."""

    def make(name, nodes, constants=()):
        taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])
        given = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        graph = helper.make_graph(nodes, name, [taken], [given], list(constants))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        path = tmp_path / f"{name}.onnx"
        onnx.save(model, path)
        return Graph(**record_of(path).model_dump(), name=name, parity=0.0)

    return make


def sound(made, name="fp32"):
    clip = [
        helper.make_tensor("low", TensorProto.FLOAT, [], [0]),
        helper.make_tensor("high", TensorProto.FLOAT, [], [1]),
    ]
    return made(name, [helper.make_node("Clip", ["x", "low", "high"], ["y"])], clip)


def failures(*graphs):
    able, reasons = try_graphs(graphs, Intake, ROWS)
    return [graph.name for graph in able], reasons


def test_graphs_that_answer_alike_are_all_candidates(made):
    assert failures(sound(made), sound(made, "int8")) == (["fp32", "int8"], {})


def test_a_graph_that_takes_all_memory_is_no_candidate_and_ends_alone(made):
    size = helper.make_tensor("size", TensorProto.INT64, [2], [2**20, 2**20])
    greedy = made(
        "greedy",
        [
            helper.make_node("ConstantOfShape", ["size"], ["all"]),
            helper.make_node("ReduceSum", ["all"], ["sum"], keepdims=0),
            helper.make_node("Add", ["x", "sum"], ["y"]),
        ],
        [size],
    )
    able, reasons = failures(sound(made), greedy)
    assert able == ["fp32"]
    assert reasons["greedy"].startswith("cannot be run: ")


def test_a_graph_whose_answer_depends_on_its_neighbours_is_no_candidate(made):
    among = made(
        "among",
        [
            helper.make_node("Shape", ["x"], ["shape"], end=1),
            helper.make_node("Cast", ["shape"], ["count"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["x", "count"], ["y"]),
        ],
    )
    reasons = failures(made("fp32", [helper.make_node("Identity", ["x"], ["y"])]), among)[1]
    assert "answers a row otherwise among others than alone: y moves by" in reasons["among"]


def test_a_graph_that_answers_with_what_is_no_number_is_no_candidate(made):
    root = made("root", [helper.make_node("Neg", ["x"], ["n"]), helper.make_node("Sqrt", ["n"], ["y"])])
    assert failures(sound(made), root)[1] == {
        "root": "answers y with what is no number where fp32 answers with one"
    }


def test_a_network_whose_own_graph_cannot_be_run_is_an_error(made):
    broken = made("fp32", [helper.make_node("NoSuchOperator", ["x"], ["y"])])
    with pytest.raises(ValueError, match=r"the network's own graph cannot be run: .*NoSuchOperator"):
        try_graphs([broken], Intake, ROWS)
