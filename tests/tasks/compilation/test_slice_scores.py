"""A challenger against the champion, slice by slice."""

import numpy as np
import pytest

from configs.gate import GateConfig
from tasks.compilation.gate import failures, is_worse_on_slice
from tasks.compilation.slice_scores import score_slices
from tasks.compilation.slices import Slice
from tasks.records import Candidate, Comparison, Graph, Judgement

ROWS, MINIMUM = 2000, 30
STRICT = GateConfig(max_slice_drop=0.0)


def slices(draw, count, share=0.2):
    return [Slice(f"kind = {number}", draw.random(ROWS) < share) for number in range(count)]


def hits(draw, right):
    return (draw.random(ROWS) < right).astype(float)


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_noise_on_many_slices_refuses_no_equal_model(share):
    refused = 0
    for seed in range(40):
        draw = np.random.default_rng(seed)
        parts = slices(draw, 20, share)
        refused += any(
            is_worse_on_slice(part, STRICT)
            for part in score_slices(parts, [], hits(draw, 0.9), hits(draw, 0.9), MINIMUM)
        )
    assert refused <= 3


def test_a_slice_that_fell_refuses_a_model_that_is_better_on_the_whole():
    draw = np.random.default_rng(0)
    parts = slices(draw, 10, 0.1)
    mine, theirs = hits(draw, np.where(parts[3].members, 0.6, 0.99)), hits(draw, 0.9)
    told = score_slices(parts, [], mine, theirs, MINIMUM)
    assert mine.mean() > theirs.mean()
    assert [part.name for part in told if is_worse_on_slice(part, GateConfig())] == ["kind = 3"]
    assert not any(is_worse_on_slice(part, GateConfig(max_slice_drop=None)) for part in told)
    assert not any(is_worse_on_slice(part, GateConfig(max_slice_drop=0.5)) for part in told)
    graph = Graph(uri="g", digest="d", name="fp32", parity=0.0)
    score = {"rows": ROWS, "score": mine.mean(), "low": 0.9, "high": 1.0}
    passes = Candidate(
        graph=graph, split="validation", **score, latency_ms=1, throughput=1, megabytes=1, rejected=None
    )
    comparison = Comparison(
        champion_version=4,
        rows=ROWS,
        champion_score=theirs.mean(),
        challenger_score=mine.mean(),
        low=0.0,
        high=0.1,
    )
    (reason,) = failures(passes, Judgement(**score), comparison, told, GateConfig())
    part = told[3]
    assert reason.startswith(
        f"slice kind = 3: score {part.score:.4f} against {part.champion:.4f} of champion v4 on {part.rows} rows: "
    )
    assert reason.endswith("at best, gate.max_slice_drop is 0.02")


def test_few_rows_and_found_slices_are_told_but_refuse_nothing():
    few, many = Slice("few", np.arange(ROWS) < MINIMUM - 1), Slice("many", np.arange(ROWS) < 500)
    mine, theirs = np.zeros(ROWS), np.ones(ROWS)
    told = {part.name: part for part in score_slices([few], [many, few], mine, theirs, MINIMUM)}
    assert [(part.declared, part.rows) for part in told.values()] == [(True, MINIMUM - 1), (False, 500)]
    assert all((part.champion, part.difference_high) == (1.0, None) for part in told.values())
    assert not any(is_worse_on_slice(part, STRICT) for part in told.values())


def test_without_a_champion_a_slice_has_its_own_score_alone():
    draw = np.random.default_rng(0)
    (part,) = score_slices(slices(draw, 1), [], hits(draw, 0.8), None, MINIMUM)
    assert part.low < part.score < part.high
    assert (part.champion, part.difference_low) == (None, None)


def test_more_slices_make_wider_intervals_around_the_same_difference():
    draw = np.random.default_rng(0)
    parts, mine, theirs = slices(draw, 10), draw.normal(size=ROWS), draw.normal(size=ROWS)
    alone, among = (
        score_slices(parts[:1], [], mine, theirs, MINIMUM)[0],
        score_slices(parts, [], mine, theirs, MINIMUM)[0],
    )
    assert (
        among.difference_low
        < alone.difference_low
        < alone.score - alone.champion
        < alone.difference_high
        < among.difference_high
    )
