"""Brings the graphs before the gate: measures them, fetches the champion's scores on the same rows, and keeps what came out."""

from collections.abc import Sequence
from dataclasses import dataclass

from configs.project import Gate
from infra.files import read_json, verified
from tasks.compilation.gate import choose, compare, failures, judged
from tasks.compilation.measure import held_out, measure
from tasks.compilation.signature import signature
from tasks.graph import answers, session
from tasks.intake import Intake
from tasks.records import Candidate, Champion, Comparison, DatasetVersion, Graph
from tasks.result import Result


@dataclass(frozen=True)
class Verdict:
    """What the gate said, and on what grounds."""

    candidates: tuple[Candidate, ...]
    chosen: Candidate | None
    comparison: Comparison | None
    failures: tuple[str, ...]
    metrics: dict[str, dict[str, float]]
    """All metrics on the test split, by candidate."""
    margins: dict[str, float]
    """Half the width of a 95 % interval of the score, by candidate."""
    rows: int
    """Of the test split."""


def judge(
    graphs: Sequence[Graph], champion: Champion | None, dataset: DatasetVersion, intake: Intake, result: Result, gate: Gate
) -> Verdict:
    """The verdict on graphs, one of them `fp32`. A champion with another input or other answers cannot be compared, and is not.

    Raises DigestError where a graph, the data set or the champion's bundle was changed.
    """
    rows, targets = held_out(dataset, intake, result)
    measured = {graph.name: measure(graph, rows, targets, result) for graph in graphs}
    candidates = judged([each.candidate for each in measured.values()], gate)
    chosen = choose(candidates, gate)
    comparison = None
    if champion and chosen and comparable(champion, intake, result):
        mine = measured[chosen.graph.name].scores
        same = chosen.graph.digest == champion.graph_digest
        path = verified(champion.uri, champion.digest) / "model.onnx"
        theirs = mine if same else result.scores(answers(session(path), rows), targets)
        comparison = compare(mine, theirs, champion.version)
    return Verdict(
        candidates=candidates,
        chosen=chosen,
        comparison=comparison,
        failures=failures(candidates, comparison, gate),
        metrics={name: each.metrics for name, each in measured.items()},
        margins={name: float(1.96 * each.scores.std() / len(rows) ** 0.5) for name, each in measured.items()},
        rows=len(rows),
    )


def comparable(champion: Champion, intake: Intake, result: Result) -> bool:
    """Whether the champion takes these rows and gives these answers."""
    found = read_json(verified(champion.uri, champion.digest) / "signature.json")
    wanted = signature(intake, result)
    return {key: found.get(key) for key in wanted} == wanted
