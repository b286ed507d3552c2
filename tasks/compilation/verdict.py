"""Brings the graphs before the gate: one is chosen, asked about the test rows beside the champion, and what came out is kept."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from configs.evaluation import Evaluation
from configs.project import Gate, Labeling
from tasks.compilation.choice import choose_graph
from tasks.compilation.examples import Examples
from tasks.compilation.gate import compare, failures, judge_scores, remedies
from tasks.compilation.measure import ask, baseline_scores, held_out
from tasks.compilation.rival import Rival, Test, damaged_champion, incompatible_inputs, rival
from tasks.compilation.slice_scores import score_slices
from tasks.compilation.slices import attributes, by_column, declared
from tasks.compilation.weakest import weakest
from tasks.intake import Intake
from tasks.leakage import Leak, proxies
from tasks.records import Baselines, Candidate, Champion, Comparison, DatasetVersion, Finding, Graph, Judgement, SliceScore
from tasks.result import Result


@dataclass(frozen=True)
class Verdict:
    """What the gate said, and on what grounds."""

    candidates: tuple[Candidate, ...]
    chosen: Candidate
    """The one that was asked about the test rows, whether it may serve or not."""
    judgement: Judgement
    comparison: Comparison | None
    slices: tuple[SliceScore, ...]
    """The declared ones, then those that were found, the worst first."""
    failures: tuple[str, ...]
    remedies: tuple[str, ...]
    """What it would take to pass, where there are failures."""
    metrics: dict[str, float]
    """All metrics of the chosen one on the test split."""
    findings: tuple[Finding, ...] = ()
    """What was not compared, and whom the challenger's input would turn away."""
    examples: Examples | None = None
    """Of the chosen one's answers."""


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

    A champion with another input is asked the same source rows as it reads them; for one whose files are damaged its fallback is asked.

    Raises DigestError where a graph, the data set or the champion's bundle was changed, ValueError for a slice that cannot be formed.
    """
    choice = choose_graph(graphs, dataset, intake, result, gate, baselines)
    chosen = choice.chosen
    rows, targets = held_out(dataset, intake, result)
    given = ask(chosen.graph, rows)
    mine = result.scores(given, targets)
    others = [each for each in baselines.entries if each.name != chosen.graph.name] if baselines else []
    judgement = judge_scores(mine, others, baseline_scores(baselines, "test"))
    # A damaged champion's own graph, made again, has nothing to be compared with: it passed the gate when it was released.
    remade = champion is not None and bool(champion.damage) and champion.graph_digest == chosen.graph.digest
    defender = champion.whole if champion and not remade else None
    against = rival(defender, Test(dataset, rows, targets), intake, result) if defender else None
    both = against.compared if against else np.zeros(len(rows), np.bool_)
    theirs = against.scores if against and both.any() else None
    comparison = compare(mine[both], theirs[both], defender.version) if defender and theirs is not None else None
    frame = attributes(dataset, intake, rows)
    named, answered = declared(frame, evaluation), {result.label, *labeling.annotators}
    outside = [name for name in frame if name not in {*answered, *intake.columns, *intake.describe(rows[:1])}]
    known = proxies(frame[outside], targets, result.classes is not None) if evaluation.found else []
    answered |= {each.inputs for each in known}
    singles = [part for column in frame if column not in answered for part in by_column(frame[column])]
    slices = score_slices(named, weakest(singles, mine, evaluation.found, evaluation.minimum), mine, theirs, evaluation.minimum)
    of_champion = damaged_champion(champion, len(rows), remade=remade) if champion else ()
    of_defender = told_of_defender(defender, against, intake) if defender and against else ()
    return Verdict(
        candidates=choice.candidates,
        chosen=chosen,
        judgement=judgement,
        comparison=comparison,
        slices=slices,
        failures=failures(chosen, judgement, comparison, slices, gate),
        remedies=remedies(choice.candidates, chosen, judgement, comparison, slices, gate),
        metrics=result.metrics(given, targets),
        examples=Examples.of(rows, targets, given, intake, result),
        findings=(*choice.findings, *of_champion, *of_defender, *map(told_of_proxy, known)),
    )


def told_of_defender(defender: Champion, against: Rival, intake: Intake) -> tuple[Finding, ...]:
    """What was not compared, and which clients would be turned away."""
    return (*against.findings, *incompatible_inputs(defender, intake))


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
