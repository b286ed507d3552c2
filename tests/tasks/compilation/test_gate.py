"""What the gate says of what it refuses: the rule, the value, its limit, and what it would take."""

import math

import pytest

from configs.gate import GateConfig
from tasks.compilation.gate import failures, remedies
from tasks.records import (
    Baseline,
    BaselineComparison,
    Bundle,
    Candidate,
    Comparison,
    DatasetVersion,
    Graph,
    Judgement,
    SliceScore,
    TrainedModel,
)

SCORE = {"rows": 1500, "score": 0.8431, "low": 0.81, "high": 0.87}


def candidate(name="fp32", **facts):
    graph = Graph(uri="g", digest="d", name=name, parity=0.0)
    usual = {"split": "validation", "latency_ms": 1.0, "throughput": 1.0, "megabytes": 1.0, "rejected": None}
    return Candidate(graph=graph, **SCORE | usual | facts)


def asked(gate, comparison=None, slices=(), against=(), others=(), latency_ms=1.0, megabytes=1.0, **score):
    """The gate's reasons, and what it would take, for a graph with that score on the test rows."""
    chosen, judgement = (
        candidate(latency_ms=latency_ms, megabytes=megabytes),
        Judgement(**SCORE | score, against=against),
    )
    reasons = failures(chosen, judgement, comparison, slices, gate)
    return reasons, remedies((chosen, *others), chosen, judgement, comparison, slices, gate)


def test_a_score_under_the_limit_is_told_with_its_interval_and_with_what_it_lacks():
    reasons, takes = asked(GateConfig(min_score=0.9))
    assert reasons == (
        "fp32: score 0.8431 (0.8100 to 0.8700) on 1,500 test rows is under gate.min_score 0.9",
    )
    assert takes == ("0.0569 more score, or gate.min_score 0.843 where that is good enough",)


def test_a_limit_within_the_interval_is_a_question_of_more_test_rows():
    (takes,) = asked(GateConfig(min_score=0.86))[1]
    assert (
        takes
        == "0.0169 more score (its interval reaches that: more test rows would tell), or gate.min_score 0.843 where that is good enough"
    )


@pytest.mark.parametrize(
    ("facts", "takes"),
    [
        ({"latency_ms": 61.234}, "a smaller network, or gate.max_latency_ms 61.3"),
        ({"megabytes": 1234.5}, "a smaller network, or gate.max_megabytes 1240"),
        ({"score": math.nan, "low": math.nan, "high": math.nan}, "a training whose answers are numbers"),
    ],
)
def test_what_was_told_to_be_enough_is_enough(facts, takes):
    gate = GateConfig(min_score=0.5)
    reasons, told = asked(gate, **facts)
    assert reasons and told == (takes,)
    if "gate." in takes:
        key, value = takes.partition("gate.")[2].split()
        assert asked(gate.model_copy(update={key: float(value)}), **facts) == ((), ())


def test_a_champion_that_may_be_better_is_told_with_the_drop_that_would_pass():
    comparison = Comparison(
        champion_version=2, rows=400, champion_score=0.85, challenger_score=0.8431, low=-0.0312, high=0.0174
    )
    reasons, takes = asked(GateConfig(min_score=0.5), comparison)
    assert reasons[0].endswith("the difference may be as low as -0.0312, gate.max_drop allows -0.02")
    assert takes == ("more test rows, which narrow the interval, or gate.max_drop 0.0312",)
    assert asked(GateConfig(min_score=0.5, max_drop=0.0312), comparison) == ((), ())


def test_a_slice_that_fell_is_told_with_the_drop_that_would_pass():
    comparison = Comparison(
        champion_version=2, rows=400, champion_score=0.8, challenger_score=0.9, low=0.05, high=0.15
    )
    facts = {
        "name": "x = 1",
        "declared": True,
        "rows": 90,
        "score": 0.5,
        "low": 0.4,
        "high": 0.6,
        "gap": -0.3,
        "champion": 0.9,
    }
    part = SliceScore(**facts, difference=-0.4, difference_low=-0.5, difference_high=-0.3014)
    reasons, takes = asked(GateConfig(), comparison, (part,), score=0.95)
    assert len(reasons) == 1
    assert takes == ("more training rows like those of the slice, or gate.max_slice_drop 0.302",)


def beside(name, trivial, low, high):
    baseline = Baseline(name=name, trivial=trivial, score=0.8, low=0.78, high=0.82)
    return BaselineComparison(baseline=baseline, difference=(low + high) / 2, low=low, high=high)


def test_a_candidate_must_surely_beat_the_trivial_answer():
    no_better = (beside("constant", True, -0.01, 0.02),)
    reasons, takes = asked(GateConfig(), against=no_better)
    assert reasons == (
        "fp32: not told apart from constant, 0.8000: +0.0050 (-0.0100 to +0.0200), a trivial answer (gate.min_gain)",
    )
    assert takes == ("inputs that tell more of the label, more rows, or gate.min_gain null",)
    assert asked(GateConfig(min_gain=None), against=no_better) == ((), ())
    assert asked(GateConfig(), against=(beside("constant", True, 0.001, 0.02),)) == ((), ())


def test_a_candidate_may_be_told_apart_from_a_simple_model_only_by_being_better():
    worse = (beside("trees", False, -0.05, -0.0123),)
    reasons, takes = asked(GateConfig(), against=worse)
    assert reasons == (
        "fp32: surely worse than trees, 0.8000: -0.0312 (-0.0500 to -0.0123) (gate.max_behind)",
    )
    assert takes == (
        "a longer training, `baselines: {serve: true}`, by which trees may serve, or gate.max_behind 0.0123",
    )
    assert asked(GateConfig(max_behind=0.0123), against=worse) == ((), ())
    assert asked(GateConfig(), against=(beside("trees", False, -0.05, 0.0),)) == ((), ())


def test_trees_that_were_a_candidate_need_more_rows_to_be_chosen():
    (takes,) = asked(
        GateConfig(), against=(beside("trees", False, -0.05, -0.0123),), others=(candidate("trees"),)
    )[1]
    assert (
        takes
        == "a longer training, more validation rows, by which trees may be chosen, or gate.max_behind 0.0123"
    )


def test_what_passes_takes_nothing():
    assert asked(GateConfig(min_score=0.5)) == ((), ())


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.05, "surely better than"),
        (-0.05, -0.01, "surely worse than"),
        (-0.01, 0.03, "not told apart from"),
    ],
)
def test_a_bundle_says_its_score_its_graph_and_whom_it_beats(low, high, verdict):
    stored = {"uri": "u", "digest": "d"}
    facts = {
        "project": "p",
        "version": 1,
        "tag": "p/v1",
        "commit": "c",
        "rows": 2000,
        "splits": {"train": 500, "test": 1500},
    }
    model = TrainedModel(
        **stored,
        dataset=DatasetVersion(**stored, **facts),
        run_id="r",
        ranks=1,
        metrics={"accuracy": 0.8, "loss": 1.0},
    )
    comparison = Comparison(
        champion_version=2, rows=400, champion_score=0.82, challenger_score=0.8431, low=low, high=high
    )
    facts = {
        "candidates": (candidate("int8"),),
        "chosen": "int8",
        "judgement": Judgement(**SCORE),
        "failures": (),
    }
    bundle = Bundle(**stored, project="p", comparison=comparison, model=model, **facts)
    assert bundle.headline == "accuracy 0.8431 (0.8100 to 0.8700)"
    against = f"{verdict} champion v2, 0.8200: +0.0231 ({low:+.4f} to {high:+.4f})"
    assert bundle.summary == f"{bundle.headline} by int8 on 1,500 test rows; {against}"
    several = {"comparison": None, "candidates": (candidate(rows=700), candidate("int8", rows=700))}
    told = f"{bundle.headline} by int8 on 1,500 test rows; chosen of 2 graphs on 700 validation rows"
    assert bundle.model_copy(update=several).summary == told
