"""Chooses the graph that the test split is asked about: on validation rows, by means.

What was chosen for its score on some rows looks better on them than it is. So the choice is made on rows that
the gate does not ask, and the test split is asked once, about the chosen graph. Means choose and intervals
judge: on few rows nothing is surely worse than anything, and a choice by intervals would take the fastest
graph whatever it answers.

Where there are no validation rows the choice is made on the test rows, and a finding says so. Training rows
would be worse: they favour whoever knows them by heart.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from configs.gate import GateConfig
from tasks.compilation.gate import heaviness, is_under, slowness
from tasks.compilation.measurement import HeldOut, baseline_scores, held_out, measure
from tasks.compilation.trial import try_graphs
from tasks.intake import Intake
from tasks.records import Baselines, Candidate, DatasetVersion, Finding, Graph
from tasks.result import Result
from tasks.rows.parts import SplitName

ORDERS: dict[str, Callable[[Candidate], float]] = {
    "size": lambda candidate: candidate.megabytes,
    "latency": lambda candidate: candidate.latency_ms,
    "throughput": lambda candidate: -candidate.throughput,
    "score": lambda candidate: -candidate.score,
}
"""What `prefer` wants least of."""
NEARLY = 1.1
"""Times the smallest size: a graph of no more is about as small."""


@dataclass(frozen=True)
class Choice:
    """The candidates as measured, each with what speaks against it, and the one that was chosen."""

    candidates: tuple[Candidate, ...]
    chosen: Candidate
    findings: tuple[Finding, ...] = ()


def choose_graph(
    graphs: Sequence[Graph],
    dataset: DatasetVersion,
    intake: Intake,
    result: Result,
    gate: GateConfig,
    baselines: Baselines | None = None,
) -> Choice:
    """The choice among graphs, one of them `fp32`.

    Raises DigestError where a graph, the data set or the baselines' scores were changed.
    """
    split: SplitName = "validation" if dataset.splits.get("validation") else "test"
    rows, targets = held_out(dataset, intake, result, split)
    able, failures = try_graphs(graphs, intake, rows)
    held = HeldOut(split, rows, targets, baseline_scores(baselines, split))
    trivial = [each.name for each in baselines.entries if each.trivial] if baselines else []
    candidates, chosen = choose(measure(able, held, result), gate, trivial)
    findings = [failed_candidate(name, reason) for name, reason in failures.items()]
    if split == "test" and len(able) > 1:
        findings.append(choice_on_test_rows(len(able)))
    return Choice(candidates, chosen, tuple(findings))


def choose(
    candidates: Sequence[Candidate], gate: GateConfig, trivial: Collection[str] = ()
) -> tuple[tuple[Candidate, ...], Candidate]:
    """The candidates with what speaks against each, and the one that `prefer` likes best of those that keep the gate's rules.

    A rule that no candidate keeps chooses nothing; whether the chosen one may serve is the gate's to say, on
    other rows. Of candidates that are equally good, as far as the noise of the machine lets one tell, the
    smallest is chosen, and of those that are about as small the simplest: the one that came about in the
    fewest steps.
    """
    exact = next(candidate.score for candidate in candidates if candidate.graph.name == "fp32")
    objections = {each.graph.name: objections_to(each, exact, gate, trivial) for each in candidates}
    told = []
    for each in candidates:
        reasons = [reason for reason in objections[each.graph.name] if reason]
        told.append(each.model_copy(update={"rejected": "; ".join(reasons) or None}))
    left = set(objections)
    for rule in zip(*objections.values(), strict=True):
        keeping = {name for name, reason in zip(objections, rule, strict=True) if not reason}
        left = left & keeping or left
    order, allowed = ORDERS[gate.prefer], [each for each in told if each.graph.name in left]
    best = min(allowed, key=lambda each: (order(each), len(each.graph.steps), each.graph.name))
    equal = [each for each in allowed if order(each) <= order(best)]
    if gate.prefer == "latency":
        equal = [each for each in allowed if not each.surely_slower(best)]
    smallest = min(each.megabytes for each in equal)
    equal = [each for each in equal if each.megabytes <= NEARLY * smallest]
    chosen = min(equal, key=lambda each: (len(each.graph.steps), -each.score, order(each), each.graph.name))
    return tuple(told), chosen


def objections_to(
    candidate: Candidate, exact: float, gate: GateConfig, trivial: Collection[str]
) -> tuple[str, ...]:
    """What each rule says against a candidate, the weightiest first, where `exact` is the fp32 graph's score.

    Empty: nothing.
    """
    trifling, behind = [], []
    for name, gain in candidate.gains.items():
        if name == candidate.graph.name:
            continue
        if name in trivial and gate.min_gain is not None and not gain > gate.min_gain:
            trifling.append(f"{gain:+.4f} to {name}, a trivial answer (gate.min_gain)")
        if name not in trivial and gate.max_behind is not None and not gain >= -gate.max_behind:
            behind.append(f"{gain:+.4f} to {name} (gate.max_behind)")
    loss = exact - candidate.score
    low_score = f"score {candidate.score:.4f} is under gate.min_score {gate.min_score or 0:g}"
    return (
        "its score is no number" if math.isnan(candidate.score) else "",
        slowness(candidate, gate),
        heaviness(candidate, gate),
        low_score if is_under(candidate.score, gate) else "",
        ", ".join(trifling),
        ", ".join(behind),
        "" if loss <= gate.max_loss else f"{loss:.4f} under fp32's score, gate.max_loss is {gate.max_loss:g}",
    )


def failed_candidate(name: str, reason: str) -> Finding:
    """What is found where a graph cannot be run."""
    return Finding(
        stage="compile",
        check="failed_candidates",
        about=name,
        count=1,
        total=1,
        told=f"graph is no candidate: it {reason}",
        advice="leave its format or network out of optimization",
    )


def choice_on_test_rows(count: int) -> Finding:
    """What is found where there are no validation rows and several candidates."""
    told = "graphs are candidates and there are no validation rows: the choice is made on the test rows, on which the chosen one looks"
    return Finding(
        stage="compile",
        check="choice_on_test_rows",
        count=count,
        total=count,
        told=f"{told} a little better than it is",
        advice="leave rows to versioning.split.validation",
    )
