"""Brings the graphs before the gate: measures them, fetches the champion's scores on the same rows, and keeps what came out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from configs.evaluation import Evaluation
from configs.project import Gate, Labeling
from tasks.compilation.examples import Examples
from tasks.compilation.gate import choose, compare, compare_baseline, failures, judged, remedies
from tasks.compilation.measure import Measured, held_out, measure
from tasks.compilation.rival import Rival, Test, incompatible_inputs, rival
from tasks.compilation.slice_scores import scored
from tasks.compilation.slices import attributes, by_column, declared
from tasks.compilation.weakest import weakest
from tasks.dataset import read_file
from tasks.intake import Intake
from tasks.leakage import Leak, proxies
from tasks.records import Baselines, Candidate, Champion, Comparison, DatasetVersion, Finding, Graph, SliceScore
from tasks.result import Result


@dataclass(frozen=True)
class Verdict:
    """What the gate said, and on what grounds."""

    candidates: tuple[Candidate, ...]
    chosen: Candidate | None
    comparison: Comparison | None
    slices: tuple[SliceScore, ...]
    """Of the best candidate: the declared ones, then those that were found, the worst first."""
    failures: tuple[str, ...]
    remedies: tuple[str, ...]
    """What it would take to pass, where there are failures."""
    metrics: dict[str, dict[str, float]]
    """All metrics on the test split, by candidate."""
    rows: int
    """Of the test split."""
    findings: tuple[Finding, ...] = ()
    """What was not compared, and whom the challenger's input would turn away."""
    examples: Examples | None = None
    """Of the best candidate's answers."""

    @property
    def best(self) -> Candidate:
        """The chosen candidate; where the gate refused them all, the one with the highest score."""
        return best_of(self.candidates, self.chosen)


def judge(
    graphs: Sequence[Graph],
    champion: Champion | None,
    dataset: DatasetVersion,
    intake: Intake,
    result: Result,
    labeling: Labeling,
    evaluation: Evaluation,
    gate: Gate,
    baselines: Baselines | None = None,
) -> Verdict:
    """The verdict on graphs, one of them `fp32`, beside the baselines on the same rows.

    A champion with another input is asked the same source rows as it reads them.

    Raises DigestError where a graph, the data set or the champion's bundle was changed, ValueError for a slice that cannot be formed.
    """
    rows, targets = held_out(dataset, intake, result)
    measured = {graph.name: measure(graph, rows, targets, result) for graph in graphs}
    candidates = judged([beside_baselines(each, baselines) for each in measured.values()], gate)
    chosen = choose(candidates, gate)
    best = measured[best_of(candidates, chosen).graph.name]
    mine = best.scores
    against = rival(champion, Test(dataset, rows, targets), intake, result) if champion and chosen else None
    both = against.compared if against else np.zeros(len(rows), np.bool_)
    theirs = against.scores if against and both.any() else None
    comparison = compare(mine[both], theirs[both], champion.version) if champion and theirs is not None else None
    frame = attributes(dataset, intake, rows)
    named, answered = declared(frame, evaluation), {result.label, *labeling.annotators}
    outside = [name for name in frame if name not in {*answered, *intake.columns, *intake.describe(rows[:1])}]
    known = proxies(frame[outside], targets, result.classes is not None) if evaluation.found else []
    answered |= {each.inputs for each in known}
    singles = [part for column in frame if column not in answered for part in by_column(frame[column])]
    slices = scored(named, weakest(singles, mine, evaluation.found, evaluation.minimum), mine, theirs, evaluation.minimum)
    return Verdict(
        candidates=candidates,
        chosen=chosen,
        comparison=comparison,
        slices=slices,
        failures=failures(candidates, comparison, slices, gate),
        remedies=remedies(candidates, comparison, slices, gate),
        metrics={name: each.metrics for name, each in measured.items()},
        rows=len(rows),
        examples=Examples.of(rows, targets, best.answers, intake, result),
        findings=(*(told_of_champion(champion, against, intake) if champion and against else ()), *map(told_of_proxy, known)),
    )


def told_of_champion(champion: Champion, against: Rival, intake: Intake) -> tuple[Finding, ...]:
    """What was not compared, and which clients would be turned away."""
    return (*against.findings, *incompatible_inputs(champion, intake))


def told_of_proxy(leak: Leak) -> Finding:
    """A column in which no weak slices are looked for."""
    told = f"column is no input and nearly is the label ({leak.gain:.1%} of a constant guess's error is gone)"
    return Finding(
        stage="compile",
        check="label_proxies",
        about=leak.inputs,
        count=1,
        total=1,
        told=f"{told}: weak slices are not looked for in it, as they would be slices by the answer",
        advice="leave the column out of the source; in evaluation.slices it is scored all the same",
    )


def beside_baselines(measured: Measured, baselines: Baselines | None) -> Candidate:
    """A candidate with what it is worth beside each baseline. Raises DigestError where the baselines' scores were changed."""
    if baselines is None:
        return measured.candidate
    scores = read_file(baselines)
    scores = scores[scores["split"] == "test"]
    compared = [compare_baseline(measured.scores, scores[each.name].to_numpy(), each) for each in baselines.entries]
    return measured.candidate.model_copy(update={"against": tuple(compared)})


def best_of(candidates: Sequence[Candidate], chosen: Candidate | None) -> Candidate:
    """The chosen candidate, or the one with the highest score."""
    return chosen or max(candidates, key=lambda candidate: candidate.score)
