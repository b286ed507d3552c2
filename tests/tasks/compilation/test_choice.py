"""One graph is chosen on rows that the gate does not ask: on validation rows, by means."""

import math

import numpy as np
import onnx
import pandas as pd
import pytest

from configs.evaluation import EvaluationConfig
from configs.gate import GateConfig
from configs.intake import ImageIntakeConfig
from configs.labeling import LabelingConfig
from configs.result import ClassificationResultConfig
from tasks.compilation.choice import choose
from tasks.compilation.gate_report import judge
from tasks.compilation.model_card import choice_text
from tasks.intake import build_intake
from tasks.records import Baseline, Baselines, Candidate, DatasetVersion, Graph
from tasks.result import build_result
from tasks.rows.parts import record_of, write
from tests.tasks.conftest import CLASSES, graph

INTAKE = build_intake(ImageIntakeConfig(kind="image", height=2, width=2))
RESULT = build_result(ClassificationResultConfig(kind="classification", classes=tuple(CLASSES)))
NO_LIMIT = GateConfig(min_gain=None, max_behind=None, prefer="score", max_loss=1)


def candidate(name="fp32", score=0.9, **facts):
    usual = {
        "split": "validation",
        "rows": 100,
        "low": score,
        "high": score,
        "latency_ms": 1.0,
        "throughput": 1.0,
        "megabytes": 1.0,
    }
    return Candidate(
        graph=Graph(uri="g", digest="d", name=name, parity=0.0), score=score, rejected=None, **usual | facts
    )


def chosen(*candidates, trivial=("constant",), **gate):
    told, found = choose(candidates, GateConfig(**gate), trivial)
    return found.graph.name, {each.graph.name: each.rejected for each in told}


def test_the_fastest_of_those_that_lose_little_is_chosen():
    fast = candidate("int8", 0.895, latency_ms=0.5)
    assert chosen(candidate(), fast) == ("int8", {"fp32": None, "int8": None})
    assert chosen(candidate(), fast, max_loss=0.001) == (
        "fp32",
        {"fp32": None, "int8": "0.0050 under fp32's score, gate.max_loss is 0.001"},
    )


def test_what_is_not_slower_in_every_round_counts_as_equal_and_the_simpler_one_is_chosen():
    """The rounds of a noisy machine: int8 was the faster one in most of them, but not in all."""
    network = candidate(latency_ms=1.0, latency_rounds_ms=(1.0, 1.1, 0.9, 1.0, 1.0, 1.1, 1.0))
    noisy = candidate("int8", latency_ms=0.9, latency_rounds_ms=(0.9, 0.9, 1.2, 0.9, 0.8, 0.9, 0.9))
    faster = candidate("int8", latency_ms=0.9, latency_rounds_ms=(0.9, 1.0, 0.8, 0.9, 0.9, 0.9, 0.9))
    noisy, faster = (with_steps(each, "int8") for each in (noisy, faster))
    assert chosen(network, noisy)[0] == "fp32"
    assert chosen(network, faster)[0] == "int8"


def with_steps(made, *steps):
    return made.model_copy(update={"graph": made.graph.model_copy(update={"steps": steps})})


def test_a_limit_on_the_slowest_requests_refuses_by_p99():
    name, told = chosen(candidate(), candidate("int8", latency_ms=0.5, p99_ms=21), max_p99_ms=20)
    assert (name, told["int8"]) == ("fp32", "p99 latency 21 ms is over gate.max_p99_ms 20")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"score": 0.84}, "score 0.8400 is under gate.min_score 0.85"),
        ({"latency_ms": 51}, "latency 51 ms is over gate.max_latency_ms 50"),
        ({"megabytes": 501}, "size 501 MB is over gate.max_megabytes 500"),
        ({"gains": {"constant": -0.01}}, "-0.0100 to constant, a trivial answer (gate.min_gain)"),
        ({"gains": {"trees": -0.01}}, "-0.0100 to trees (gate.max_behind)"),
    ],
)
def test_a_rule_that_another_keeps_passes_over_a_candidate(facts, reason):
    name, told = chosen(
        candidate(gains={"constant": 0.1, "trees": 0.0}),
        candidate("int8", **facts),
        min_score=0.85,
        max_loss=1,
    )
    assert (name, told["int8"]) == ("fp32", reason)


def test_a_network_behind_trees_by_any_mean_gives_way_to_them():
    network = candidate(latency_ms=0.1, gains={"trees": -0.002})
    assert chosen(network, candidate("trees", 0.902, gains={"trees": -1e-9}))[0] == "trees"


def test_a_rule_that_no_candidate_keeps_chooses_nothing():
    behind = {"gains": {"trees": -0.01}}
    name, told = chosen(candidate(**behind), candidate("int8", latency_ms=0.5, **behind))
    assert name == "int8"
    assert all(told.values())


def test_a_score_that_is_no_number_is_chosen_only_where_there_is_no_other():
    nothing = candidate("int8", math.nan, latency_ms=0.1)
    assert chosen(candidate(), nothing)[0] == "fp32"
    assert chosen(candidate(score=math.nan), nothing)[0] == "int8"


@pytest.fixture
def graphs(tmp_path):
    """fp32 is right where a row is turned by 0, int8 where it is turned by 1."""

    def save(name, turn):
        onnx.save(graph(turn), tmp_path / f"{name}.onnx")
        return Graph(**record_of(tmp_path / f"{name}.onnx").model_dump(), name=name, parity=0.0)

    return [save("fp32", 0), save("int8", 1)]


@pytest.fixture
def version(tmp_path):
    """A data set version of rows turned by a number a row and split."""

    def make(**turns):
        split = np.repeat(list(turns), [len(each) for each in turns.values()])
        places = np.arange(len(split)) % 3
        images = np.full((len(split), 4), 10, np.uint8)
        images[np.arange(len(split)), places] = 200
        labels = np.array(CLASSES)[(places + np.concatenate(list(turns.values()))) % 3]
        folder = tmp_path / "rows"
        folder.mkdir()
        write(
            [
                pd.DataFrame(
                    {
                        "id": map(str, range(len(split))),
                        "image": list(images),
                        "label": labels,
                        "split": split,
                    }
                )
            ],
            folder,
        )
        facts = {"rows": len(split), "splits": {name: len(each) for name, each in turns.items()}}
        return DatasetVersion(
            **record_of(folder).model_dump(), project="spots", version=2, tag="spots/v2", commit="c", **facts
        )

    return make


def verdict_on(graphs, dataset, gate=NO_LIMIT, baselines=None):
    return judge(
        graphs,
        None,
        dataset,
        INTAKE,
        RESULT,
        LabelingConfig(),
        EvaluationConfig(max_discovered=0),
        gate,
        baselines,
    )


def test_what_is_best_on_the_validation_rows_is_asked_and_not_what_is_best_on_the_test_rows(graphs, version):
    verdict = verdict_on(graphs, version(validation=[1] * 30 + [0] * 9, test=[0] * 50 + [1] * 10))
    assert verdict.chosen.graph.name == "int8"
    assert [(each.score, each.measured_on) for each in verdict.candidates] == [
        (9 / 39, "39 validation rows"),
        (30 / 39, "39 validation rows"),
    ]
    assert (verdict.judgement.score, verdict.judgement.rows) == (pytest.approx(10 / 60), 60)
    assert verdict.metrics["accuracy"] == verdict.judgement.score
    assert verdict.findings == ()


def test_the_chosen_graph_must_pass_on_the_test_rows(graphs, version):
    dataset = version(validation=[1] * 30, test=[0] * 50 + [1] * 10)
    verdict = verdict_on(graphs, dataset, NO_LIMIT.model_copy(update={"min_score": 0.5}))
    (failure,) = verdict.failures
    assert failure.startswith("int8: score 0.1667 (")
    assert failure.endswith(") on 60 test rows is under gate.min_score 0.5")


def test_without_validation_rows_the_choice_on_test_rows_is_a_finding(graphs, version):
    dataset = version(test=[0] * 50 + [1] * 10)
    verdict = verdict_on(graphs, dataset)
    assert (verdict.chosen.graph.name, verdict.chosen.measured_on) == ("fp32", "60 test rows")
    (finding,) = verdict.findings
    assert (finding.check, finding.count) == ("choice_on_test_rows", 2)
    assert (
        "the choice is made on the test rows, on which the chosen one looks a little better than it is"
        in finding.text
    )
    assert choice_text(verdict, NO_LIMIT).endswith("There are no others to choose by.")
    assert verdict_on(graphs[:1], dataset).findings == ()


def test_baselines_are_compared_on_the_rows_of_the_choice_and_then_on_those_of_the_test(
    graphs, version, tmp_path
):
    dataset = version(validation=[1] * 30, test=[0] * 50 + [1] * 10)
    split = ["validation"] * 30 + ["test"] * 60
    pd.DataFrame({"split": split, "trees": [0.5] * 30 + [0.25] * 60}).to_parquet(tmp_path / "scores.parquet")
    trees = Baseline(name="trees", trivial=False, score=0.25, low=0.25, high=0.25)
    baselines = Baselines(**record_of(tmp_path / "scores.parquet").model_dump(), entries=(trees,), graphs=())
    verdict = verdict_on(graphs, dataset, GateConfig(min_gain=None, max_loss=1), baselines)
    assert {each.graph.name: each.gains for each in verdict.candidates} == {
        "fp32": {"trees": -0.5},
        "int8": {"trees": 0.5},
    }
    assert verdict.candidates[0].rejected == "-0.5000 to trees (gate.max_behind)"
    (against,) = verdict.judgement.against
    assert against.difference == pytest.approx(10 / 60 - 0.25)
    assert verdict.chosen.graph.name == "int8"


def test_the_card_says_which_rows_chose_and_which_judged(graphs, version):
    dataset = version(validation=[1] * 30, test=[1] * 60)
    verdict = verdict_on(
        graphs, dataset, GateConfig(min_gain=None, max_behind=None, max_loss=1, min_score=0.5)
    )
    told = choice_text(verdict, GateConfig())
    assert (
        told
        == "By means on 30 validation rows int8 is the only one of 2 that passes. The test rows were asked about no other."
    )
