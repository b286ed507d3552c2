"""Learns the baselines from a sample of the training rows, and scores them on every validation and test row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from configs.baselines import BaselinesConfig
from configs.versioning import SplitConfig
from infra.files import whole_file
from tasks.baselines.fit import fit_network
from tasks.baselines.trees import fit_trees, trees_answers, trees_graph
from tasks.intake import Encoder, Intake, Rows
from tasks.model.onnx_export import eager, graph_bytes
from tasks.model.onnx_session import answers, session
from tasks.records import Baseline, Baselines, DatasetVersion, Finding, Graph
from tasks.result import Answers, Result
from tasks.result.confidence_interval import interval
from tasks.rows.parts import SplitName, read, record_of, sample

SPLITS: tuple[SplitName, ...] = ("validation", "test")
PARITY_ROWS = 256
MAX_PARITY = 1e-4
"""Rounding moves a float32 probability by less; more means that the graph is not the model."""
Scores = npt.NDArray[np.float64]
HeldOut = dict[SplitName, pd.DataFrame]


@dataclass(frozen=True)
class Learned:
    """What all baselines learn from."""

    encoder: Encoder
    rows: Rows
    targets: npt.NDArray[Any]


@dataclass(frozen=True)
class Fitted:
    """A baseline that has learned."""

    name: Literal["constant", "linear", "trees"]
    answer: Callable[[Rows], Answers]
    graph: Callable[[], bytes]
    """Makes the ONNX graph that should answer alike."""


def measure_baselines(
    dataset: DatasetVersion,
    intake: Intake,
    result: Result,
    section: BaselinesConfig,
    split: SplitConfig,
    serve: bool,
    output: Path,
) -> Baselines:
    """Every baseline's scores in `<output>/scores.parquet`.

    With `serve`, graphs of the simple ones of a table beside it.

    Raises DigestError where the data set was changed.
    """
    columns = [*intake.columns, result.label]
    frame = sample(dataset, section.rows, "train", columns)
    learned = Learned(intake.encoder(), intake.rows(frame), result.targets(frame[result.label]))
    learned.encoder.fit(learned.rows)
    held_out: HeldOut = {name: read(dataset, columns, name) for name in SPLITS}
    fitted = fit_baselines(learned, intake, result, section)
    scores: dict[str, Scores] = {
        each.name: score_answers(each.answer, held_out, intake, result) for each in fitted
    }
    if split.by == "time":
        scores["previous"] = score_previous(dataset, result, str(split.column))
    findings = [
        unusable_scores(name, values) for name, values in scores.items() if not np.isfinite(values).all()
    ]
    usable = {name: values for name, values in scores.items() if np.isfinite(values).all()}
    graphs: list[Graph] = []
    if serve and is_table(learned, intake):
        for each in fitted:
            if each.name != "constant" and each.name in usable:
                graph = write_graph(each, learned, result, output)
                if graph.parity <= MAX_PARITY:
                    graphs.append(graph)
                else:
                    findings.append(inexact_graph(graph))
    return write_scores(usable, held_out, graphs, findings, output / "scores.parquet")


def is_table(learned: Learned, intake: Intake) -> bool:
    """Whether a row is single values that become numbers.

    What trees split, and what a simple model may serve.
    """
    return all(spec.shape == () for spec in intake.inputs) and learned.encoder.encoded.dtype == "float32"


def fit_baselines(learned: Learned, intake: Intake, result: Result, section: BaselinesConfig) -> list[Fitted]:
    """The constant answer, and of the simple ones those that the project wants and its rows allow."""
    networks: dict[Literal["constant", "linear"], str] = {"constant": "Constant"}
    if "linear" in section.simple:
        networks["linear"] = "Linear" if learned.encoder.encoded.dtype != "int64" else "LinearOfTokens"
    fitted = [fit_by_gradient(name, network, learned, intake, result) for name, network in networks.items()]
    if "trees" in section.simple and is_table(learned, intake) and len(np.unique(learned.targets)) > 1:
        fitted.append(fit_by_boosting(learned, result))
    return fitted


def fit_by_gradient(
    name: Literal["constant", "linear"], network: str, learned: Learned, intake: Intake, result: Result
) -> Fitted:
    """A baseline that is a network of tasks/baselines/networks.py."""
    model = fit_network(network, learned.encoder, intake, result, learned.rows, learned.targets)
    return Fitted(
        name, lambda rows: eager(model, rows, result.names), lambda: graph_bytes(model, result.names)
    )


def fit_by_boosting(learned: Learned, result: Result) -> Fitted:
    """Gradient-boosted trees."""
    post = result.postprocessing()
    post.fit(learned.targets)
    post.eval()
    trees = fit_trees(learned.encoder.encode(learned.rows), learned.targets, result, post)

    def graph() -> bytes:
        made: bytes = trees_graph(trees, learned.encoder, result, post).SerializeToString(deterministic=True)
        return made

    return Fitted(
        "trees", lambda rows: trees_answers(trees, learned.encoder.encode(rows), result, post), graph
    )


def write_graph(fitted: Fitted, learned: Learned, result: Result, output: Path) -> Graph:
    """A baseline's graph as `<output>/<name>.onnx`, with the largest difference of its answers from the baseline's own."""
    path, rows = output / f"{fitted.name}.onnx", learned.rows[:PARITY_ROWS]
    with whole_file(path) as temporary:
        temporary.write_bytes(fitted.graph())
        parity = result.parity(fitted.answer(rows), answers(session(temporary), rows))
    return Graph.model_validate({**record_of(path).model_dump(), "name": fitted.name, "parity": parity})


def score_answers(
    answer: Callable[[Rows], Answers], held_out: HeldOut, intake: Intake, result: Result
) -> Scores:
    """Scores [validation rows + test rows]: R2 and its like are relative to the split that a row is in."""
    parts = []
    for frame in held_out.values():
        if frame.empty:
            continue
        given = answer(intake.rows(frame))
        parts.append(result.scores(given, result.targets(frame[result.label])))
    return np.concatenate(parts)


def score_previous(dataset: DatasetVersion, result: Result, time: str) -> Scores:
    """Scores of answering what was true of the row before in time."""
    frame = read(dataset, ["split", time, result.label])
    order = np.argsort(frame[time].to_numpy(), kind="stable")
    targets = result.targets(frame[result.label])
    before = np.empty_like(targets)
    before[order] = np.concatenate([targets[order][:1], targets[order][:-1]])
    parts = []
    for name in SPLITS:
        mine = (frame["split"] == name).to_numpy()
        if mine.any():
            parts.append(result.scores(answers_of(before[mine], result), targets[mine]))
    return np.concatenate(parts)


def answers_of(targets: npt.NDArray[Any], result: Result) -> Answers:
    """Answers that are sure of these targets."""
    if result.classes is None:
        return {result.names[0]: targets.astype(np.float32)}
    return {"class": targets, "probability": np.eye(len(result.classes), dtype=np.float32)[targets]}


def unusable_scores(name: str, scores: Scores) -> Finding:
    """Scores of a baseline that are not all finite numbers.

    A comparison with them would let anything pass, or nothing.
    """
    count = int((~np.isfinite(scores)).sum())
    told = "validation and test rows have a score that is no finite number: nothing is compared with it, and it may not serve"
    return unusable_baseline(name, count, len(scores), told)


def inexact_graph(graph: Graph) -> Finding:
    """A graph that does not answer as the baseline does."""
    told = f"graph answers otherwise than the baseline, by up to {graph.parity:.3g} ({MAX_PARITY:g} is allowed): it may not serve"
    return unusable_baseline(graph.name, 1, 1, told)


def unusable_baseline(name: str, count: int, total: int, told: str) -> Finding:
    """A baseline that is not what the gate needs."""
    return Finding(
        stage="baselines",
        check="unusable_baselines",
        about=f"baseline {name}",
        count=count,
        total=total,
        told=told,
        advice="look for values of the inputs or of the label that are far from all others",
    )


def write_scores(
    scores: dict[str, Scores], held_out: HeldOut, graphs: list[Graph], findings: Sequence[Finding], path: Path
) -> Baselines:
    """The record of scores by baseline, and their file."""
    split = np.repeat(list(held_out), [len(frame) for frame in held_out.values()])
    entries = []
    for name, values in scores.items():
        mine = values[split == "test"]
        low, high = interval(mine)
        trivial = name in ("constant", "previous")
        entries.append(Baseline(name=name, trivial=trivial, score=float(mine.mean()), low=low, high=high))
    with whole_file(path) as temporary:
        pd.DataFrame({"split": split, **scores}).to_parquet(temporary, index=False)
    return Baselines(
        **record_of(path).model_dump(), entries=tuple(entries), graphs=tuple(graphs), findings=tuple(findings)
    )
