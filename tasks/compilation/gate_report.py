"""Brings the graphs before the gate.

One is chosen, asked about the test rows beside the champion, and what came out is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from configs.evaluation import EvaluationConfig
from configs.gate import GateConfig
from configs.labeling import LabelingConfig
from tasks.compilation.champion_comparison import (
    Test,
    compare_champion,
    damaged_champion,
    incompatible_inputs,
)
from tasks.compilation.choice import choose_graph
from tasks.compilation.gate import compare, failures, judge_scores, remedies
from tasks.compilation.measurement import Scores, ask, baseline_scores, held_out
from tasks.compilation.sample_answers import Examples
from tasks.compilation.slice_discovery import discover_slices
from tasks.compilation.slice_scores import score_slices
from tasks.compilation.slices import attributes, by_column, declared_slices
from tasks.intake import Intake, Rows
from tasks.records import (
    Baselines,
    Candidate,
    Champion,
    Comparison,
    DatasetVersion,
    Finding,
    Graph,
    Judgement,
    SliceScore,
)
from tasks.result import Result
from tasks.result.label_leakage import Leak, proxies


@dataclass(frozen=True)
class GateReport:
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
    rows: Rows
    """The test rows as graphs take them."""
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
    labeling: LabelingConfig,
    evaluation: EvaluationConfig,
    gate: GateConfig,
    baselines: Baselines | None = None,
) -> GateReport:
    """The verdict on graphs, one of them `fp32`, beside the baselines on the same rows.

    A champion with another input is asked the same source rows as it reads them; for one whose files are
    damaged its fallback is asked.

    Raises DigestError where a graph, the data set or the champion's bundle was changed, ValueError for a
    slice that cannot be formed.
    """
    choice = choose_graph(graphs, dataset, intake, result, gate, baselines)
    chosen = choice.chosen
    rows, targets = held_out(dataset, intake, result)
    given = ask(chosen.graph, rows)
    mine = result.scores(given, targets)
    others = [each for each in baselines.entries if each.name != chosen.graph.name] if baselines else []
    judgement = judge_scores(mine, others, baseline_scores(baselines, "test"))
    defence = defend(champion, chosen, mine, Test(dataset, rows, targets), intake, result)
    frame = attributes(dataset, intake, rows)
    named, answered = declared_slices(frame, evaluation), {result.label, *labeling.annotators}
    outside = [name for name in frame if name not in {*answered, *intake.columns, *intake.describe(rows[:1])}]
    known = proxies(frame[outside], targets, result.classes is not None) if evaluation.max_discovered else []
    answered |= {each.inputs for each in known}
    singles = [part for column in frame if column not in answered for part in by_column(frame[column])]
    worst = discover_slices(singles, mine, evaluation.max_discovered, evaluation.min_rows)
    slices = score_slices(named, worst, mine, defence.scores, evaluation.min_rows)
    return GateReport(
        candidates=choice.candidates,
        chosen=chosen,
        judgement=judgement,
        comparison=defence.comparison,
        slices=slices,
        failures=failures(chosen, judgement, defence.comparison, slices, gate),
        remedies=remedies(choice.candidates, chosen, judgement, defence.comparison, slices, gate),
        metrics=result.metrics(given, targets),
        rows=rows,
        examples=Examples.of(rows, targets, given, intake, result),
        findings=(*choice.findings, *defence.findings, *map(told_of_proxy, known)),
    )


@dataclass(frozen=True)
class Defence:
    """What the champion is worth on the test rows, as far as it can be asked."""

    comparison: Comparison | None = None
    scores: Scores | None = None
    """[rows]; NaN where a row is not compared, None where none is."""
    findings: tuple[Finding, ...] = ()
    """What was not compared, and which clients would be turned away."""


def defend(
    champion: Champion | None, chosen: Candidate, mine: Scores, test: Test, intake: Intake, result: Result
) -> Defence:
    """The champion, or the version that stands in for a damaged one, beside the chosen graph's scores `mine` [rows]."""
    if champion is None:
        return Defence()
    # A damaged champion's own graph, made again, is compared with nothing: it passed the gate when it was
    # released.
    remade = bool(champion.damage) and champion.graph_digest == chosen.graph.digest
    findings = damaged_champion(champion, len(mine), remade=remade)
    defender = champion.whole
    if defender is None or remade:
        return Defence(findings=findings)
    against = compare_champion(defender, test, intake, result)
    findings = (*findings, *against.findings, *incompatible_inputs(defender, intake))
    both = against.compared
    if not both.any():
        return Defence(findings=findings)
    comparison = compare(mine[both], against.scores[both], defender.version)
    return Defence(comparison, against.scores, findings)


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
