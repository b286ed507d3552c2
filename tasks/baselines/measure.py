"""Learns the baselines from a sample of the training rows, and scores them on every validation and test row."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from configs.baselines import Baselines as BaselinesSection
from configs.data import Split
from infra.files import whole_file
from tasks.baselines.fit import fit_network
from tasks.baselines.trees import fit_trees, trees_graph
from tasks.dataset import SplitName, read, sample, stored
from tasks.graph import answers, session
from tasks.graph_export import eager, graph_bytes
from tasks.intake import Encoder, Intake, Rows
from tasks.interval import interval
from tasks.model import Model
from tasks.records import Baseline, Baselines, DatasetVersion, Graph
from tasks.result import Answers, Result

LOGGER = logging.getLogger("gyre.baselines")
SPLITS: tuple[SplitName, ...] = ("validation", "test")
MAX_PARITY = 1e-4
"""Rounding moves a float32 probability by less; more means that the graph is not the model."""
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Learned:
    """What all baselines learn from."""

    encoder: Encoder
    rows: Rows
    targets: npt.NDArray[Any]


def measure_baselines(
    dataset: DatasetVersion, intake: Intake, result: Result, section: BaselinesSection, split: Split, serve: bool, output: Path
) -> Baselines:
    """Every baseline's scores in `<output>/scores.parquet`; with `serve`, graphs of the simple ones of a table beside it.

    Raises DigestError where the data set was changed.
    """
    columns = [*intake.columns, result.label]
    frame = sample(dataset, section.rows, "train", columns)
    learned = Learned(intake.encoder(), intake.rows(frame), result.targets(frame[result.label]))
    learned.encoder.fit(learned.rows)
    held_out = {name: read(dataset, columns, name) for name in SPLITS}
    constant = fit_network("Constant", learned.encoder, intake, result, learned.rows, learned.targets)
    scores = {"constant": scored_by_model(constant, held_out, intake, result)}
    if split.by == "time":
        scores["previous"] = scored_by_previous(dataset, result, str(split.column))
    graphs: list[Graph] = []
    table = all(spec.shape == () for spec in intake.inputs) and learned.encoder.encoded.dtype == "float32"
    if "linear" in section.simple:
        network = "Linear" if learned.encoder.encoded.dtype != "int64" else "LinearOfTokens"
        linear = fit_network(network, learned.encoder, intake, result, learned.rows, learned.targets)
        scores["linear"] = scored_by_model(linear, held_out, intake, result)
        if serve and table:
            graphs.append(write_graph("linear", graph_bytes(linear, result.names), linear, learned, result, output))
    if "trees" in section.simple and table and len(np.unique(learned.targets)) > 1:
        path = output / "trees.onnx"
        with whole_file(path) as temporary:
            temporary.write_bytes(tree_bytes(learned, result))
        scores["trees"] = scored_by_graph(path, held_out, intake, result)
        if serve:
            graphs.append(Graph(**stored(path).model_dump(), name="trees", parity=0.0))
    return write_scores(scores, held_out, graphs, output / "scores.parquet")


def tree_bytes(learned: Learned, result: Result) -> bytes:
    """Gradient-boosted trees as the one graph."""
    post = result.postprocessing()
    post.fit(learned.targets)
    trees = fit_trees(learned.encoder.encode(learned.rows), learned.targets, result, post)
    made: bytes = trees_graph(trees, learned.encoder, result, post.eval()).SerializeToString(deterministic=True)
    return made


def write_graph(name: Any, content: bytes, model: Model, learned: Learned, result: Result, output: Path) -> Graph:
    """A fitted network's graph as `<output>/<name>.onnx`. Raises ValueError where its answers are not the model's."""
    path, rows = output / f"{name}.onnx", learned.rows[:256]
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
        parity = result.parity(eager(model, rows, result.names), answers(session(temporary), rows))
        if not parity <= MAX_PARITY:
            raise ValueError(f"baseline {name}: the graph's answers differ from the model's by {parity:.3g}; {MAX_PARITY:g} is allowed")
    return Graph(**stored(path).model_dump(), name=name, parity=parity)


def scored_by_model(model: Model, held_out: dict[SplitName, pd.DataFrame], intake: Intake, result: Result) -> Scores:
    """A model's score of every validation and test row."""
    return scored(lambda rows: eager(model, rows, result.names), held_out, intake, result)


def scored_by_graph(path: Path, held_out: dict[SplitName, pd.DataFrame], intake: Intake, result: Result) -> Scores:
    """A graph's score of every validation and test row."""
    opened = session(path)
    return scored(lambda rows: answers(opened, rows), held_out, intake, result)


def scored(answer: Any, held_out: dict[SplitName, pd.DataFrame], intake: Intake, result: Result) -> Scores:
    """Scores [validation rows + test rows]: R2 and its like are relative to the split that a row is in."""
    parts = []
    for frame in held_out.values():
        if frame.empty:
            continue
        given = answer(intake.rows(frame))
        parts.append(result.scores(given, result.targets(frame[result.label])))
    return np.concatenate(parts)


def scored_by_previous(dataset: DatasetVersion, result: Result, time: str) -> Scores:
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
            parts.append(result.scores(certain(before[mine], result), targets[mine]))
    return np.concatenate(parts)


def certain(targets: npt.NDArray[Any], result: Result) -> Answers:
    """Answers that are sure of these targets."""
    if result.classes is None:
        return {result.names[0]: targets.astype(np.float32)}
    return {"class": targets, "probability": np.eye(len(result.classes), dtype=np.float32)[targets]}


def write_scores(scores: dict[str, Scores], held_out: dict[SplitName, pd.DataFrame], graphs: list[Graph], path: Path) -> Baselines:
    """The record of scores by baseline, and their file. A baseline whose scores are no numbers is left out, and said so."""
    split = np.repeat(list(held_out), [len(frame) for frame in held_out.values()])
    entries = []
    for name, values in scores.items():
        mine = values[split == "test"]
        if not np.isfinite(mine).all():
            LOGGER.warning("baseline %s: its scores are no finite numbers; it is not compared with", name)
            continue
        low, high = interval(mine)
        trivial = name in ("constant", "previous")
        entries.append(Baseline(name=name, trivial=trivial, score=float(mine.mean()), low=low, high=high))
    with whole_file(path) as temporary:
        pd.DataFrame({"split": split, **scores}).to_parquet(temporary, index=False)
    return Baselines(**stored(path).model_dump(), entries=tuple(entries), graphs=tuple(graphs))
