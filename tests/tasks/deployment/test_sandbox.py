"""A bundle that would hurt the model server is refused by one of its own, with the reason."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from configs.deployment import DeploymentConfig
from infra.files import digest
from tasks.deployment.sandbox import try_in_sandbox
from tasks.model.onnx_session import session
from tasks.production import probe
from tasks.rows.raw import TensorSpec, rows_from

PROJECT = "spots"
PIXELS = np.array([[9, 0, 0, 0], [0, 9, 0, 0], [0, 0, 9, 0]], dtype=np.uint8).reshape(3, 2, 2, 1)
ROWS = rows_from([TensorSpec("image", "uint8", (2, 2, 1))], {"image": PIXELS})


def tried(version, rows=ROWS, **limits):
    return try_in_sandbox(PROJECT, version, rows, DeploymentConfig(**limits))


def add_text_output(graph, signature):
    graph.node.append(helper.make_node("Cast", ["probability"], ["words"], to=TensorProto.STRING))
    graph.output.append(helper.make_tensor_value_info("words", TensorProto.STRING, ["batch", 3]))
    signature["outputs"].append("words")


def add_unknown_operator(graph, signature):
    graph.node.append(helper.make_node("NoSuchOperator", ["probability"], ["nothing"]))


def name_two_classes(graph, signature):
    signature["classes"] = ["left", "middle"]


def answer_below_zero(graph, signature):
    """Class -1 to every row."""
    graph.initializer.append(numpy_helper.from_array(np.array(1, np.int64), "one"))
    rename(graph, "class", "counted")
    graph.node.append(helper.make_node("Sub", ["counted", "one"], ["class"]))


def answer_below_zero_on_the_right(graph, signature):
    """Class -1 in the place of class 2, which no blank row has."""
    graph.initializer.append(numpy_helper.from_array(np.array(2, np.int64), "two"))
    graph.initializer.append(numpy_helper.from_array(np.array(3, np.int64), "three classes"))
    rename(graph, "class", "counted")
    graph.node.append(helper.make_node("Equal", ["counted", "two"], ["is right"]))
    graph.node.append(helper.make_node("Cast", ["is right"], ["one if right"], to=TensorProto.INT64))
    graph.node.append(helper.make_node("Mul", ["one if right", "three classes"], ["less"]))
    graph.node.append(helper.make_node("Sub", ["counted", "less"], ["class"]))


def answer_once_a_batch(graph, signature):
    rename(graph, "probability", "each")
    graph.node.append(
        helper.make_node("ReduceMean", ["each"], ["probability"], keepdims=1, noop_with_empty_axes=0)
    )


def add_endless_loop(graph, signature):
    add_loop(graph, 2**62)


def add_slow_loop(graph, signature):
    add_loop(graph, 2 * 10**4)


def add_loop(graph, often):
    """The input goes through it, or it would be computed when the graph is loaded."""
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in ("before", "after")
    ]
    flags = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("goes", "goes_on")]
    number = helper.make_tensor_value_info("number", TensorProto.INT64, [])
    nodes = [
        helper.make_node("Identity", ["goes"], ["goes_on"]),
        helper.make_node("Neg", ["before"], ["after"]),
    ]
    body = helper.make_graph(nodes, "body", [number, flags[0], values[0]], [flags[1], values[1]])
    graph.initializer.append(numpy_helper.from_array(np.array(often), "often"))
    graph.initializer.append(numpy_helper.from_array(np.array(True), "begins"))
    rename(graph, "probability", "once")
    graph.node.append(helper.make_node("Loop", ["often", "begins", "once"], ["probability"], body=body))


def take_memory(graph, signature):
    """Four gigabytes."""
    graph.initializer.append(numpy_helper.from_array(np.array([2**15, 2**15]), "size"))
    rename(graph, "probability", "each")
    graph.node.append(helper.make_node("ConstantOfShape", ["size"], ["zeros"]))
    graph.node.append(helper.make_node("ReduceSum", ["zeros"], ["zero"], keepdims=0))
    graph.node.append(helper.make_node("Add", ["each", "zero"], ["probability"]))


def rename(graph, output, name):
    """A node's output gets another name, so that another node can take its place."""
    for node in graph.node:
        node.output[:] = [name if each == output else each for each in node.output]


def with_probe(version, answered_by):
    """The version with its rows as a probe, whose answers are those of a graph."""
    folder = Path(version.uri)
    shutil.rmtree(folder / "probe", ignore_errors=True)
    probe.write(folder, ROWS, {probe.GRAPH: session(answered_by)})
    return version.model_copy(update={"digest": digest(folder)})


def test_a_sound_bundle_answers_real_rows_its_own_and_hostile_ones(served):
    version = served(1)
    report = tried(with_probe(version, Path(version.uri, "model.onnx")))
    assert report.refusal == ""
    assert report.answers["class"].tolist() == [1, 2, 0]
    assert report.answers["answer"].tolist() == ["middle", "right", "left"]
    assert (report.real, report.known, report.hostile) == (3, 3, 7)
    assert report.difference < probe.TOLERANCE
    assert report.megabytes > 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (add_text_output, "output 'words' is a text; the server answers numbers"),
        (add_unknown_operator, "NoSuchOperator"),
        (name_two_classes, "cannot answer real rows: IndexError"),
        (answer_below_zero, "answers -1; want a whole number below 3, a class of signature.json"),
        (
            answer_below_zero_on_the_right,
            "answers class -1 to 1 of 3 real rows; signature.json has 3 classes",
        ),
        (answer_once_a_batch, "output 'probability' has shape [1, 1] for 64 rows; want an answer a row"),
    ],
)
def test_a_bundle_that_cannot_answer_as_its_signature_says_is_refused(served, change, told):
    assert told in tried(served(1, change=change)).refusal


def test_a_row_that_no_client_should_send_may_be_refused_but_not_fail(served):
    told = "fails on row 1 of those that no client should send: "
    assert tried(served(1, broken_at=255)).refusal.startswith(told)


def test_answers_other_than_those_that_it_was_judged_by_are_a_refusal(served, bundle):
    judged = with_probe(served(1), Path(bundle(2).uri, "model.onnx"))
    assert "its answers differ from those that it was judged by" in tried(judged).refusal


def test_a_bundle_that_never_ends_is_refused_in_time(served):
    told = "did not load and answer within 8 s (deployment.sandbox_seconds)"
    assert tried(served(1, change=add_endless_loop), sandbox_seconds=8).refusal == told


def test_a_bundle_that_takes_too_much_memory_is_refused(served):
    report = tried(served(1, change=take_memory), sandbox_megabytes=600)
    assert report.refusal == "took more than 600 MB of memory (deployment.sandbox_megabytes)"


def is_sandbox(process):
    return "tasks.serving.sandbox" in process.cmdline()


def test_a_bundle_that_kills_its_process_is_refused_with_the_signal(served):
    version = served(1, change=add_endless_loop)

    def crash():
        while not (found := [each for each in psutil.Process().children() if is_sandbox(each)]):
            time.sleep(0.05)
        os.kill(found[0].pid, signal.SIGSEGV)

    crashing = threading.Thread(target=crash)
    crashing.start()
    report = tried(version)
    crashing.join()
    assert report.refusal == "ended its process by SIGSEGV"


def test_a_sandbox_dies_with_a_deployment_that_is_killed_in_the_middle_of_an_endless_graph(served):
    version = served(1, change=add_endless_loop)
    code = (
        "from configs.deployment import DeploymentConfig\n"
        "from tasks.deployment.sandbox import try_in_sandbox\n"
        "from tasks.production.releases import Served\n"
        f"try_in_sandbox('spots', Served.model_validate_json({version.model_dump_json()!r}), [], DeploymentConfig())"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as deployment:
        process = psutil.Process(deployment.pid)
        while not (found := [each for each in process.children() if is_sandbox(each)]):
            assert deployment.poll() is None
            time.sleep(0.05)
        # By now it has begun to use the processor, and soon does nothing but that.
        while found[0].cpu_times().user < 1:
            time.sleep(0.05)
        deployment.kill()
    gone, alive = psutil.wait_procs(found, timeout=60)
    assert (len(gone), alive) == (1, [])
