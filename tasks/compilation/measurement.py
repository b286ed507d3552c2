"""What a graph can do on its target, by the graph itself.

ONNX Runtime on one thread, no training framework.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from infra.files import verify
from tasks.intake import Intake, Rows
from tasks.model.onnx_session import answers, session
from tasks.model.timing import time_in_turns
from tasks.records import Baselines, Candidate, DatasetVersion, Graph
from tasks.result import Answers, Result
from tasks.result.confidence_interval import interval
from tasks.rows.parts import SplitName, read, read_file
from tasks.rows.raw import feed

log = logging.getLogger("gyre.compilation")

Scores = npt.NDArray[np.float64]
"""Each row's part of the metric, [rows]."""
ROWS_A_BATCH = 32
ROWS_TIMED = 200
"""Single rows that the calls go through in turn."""


def held_out(
    dataset: DatasetVersion, intake: Intake, result: Result, split: SplitName = "test"
) -> tuple[Rows, npt.NDArray[Any]]:
    """Raw rows and targets of a split.

    Raises ValueError where it is empty, DigestError where the data set was changed.
    """
    frame = read(dataset, columns=[*intake.columns, result.label], split=split)
    if frame.empty:
        raise ValueError(
            f"data set {dataset.tag} has no {split} rows, so nothing can be judged; lower versioning.split.train"
        )
    return intake.rows(frame), result.targets(frame[result.label])


def baseline_scores(baselines: Baselines | None, split: SplitName) -> dict[str, Scores]:
    """Each baseline's scores of the rows of a split, by its name.

    Raises DigestError where they were changed.
    """
    if baselines is None:
        return {}
    frame = read_file(baselines)
    rows = frame[frame["split"] == split]
    return {each.name: rows[each.name].to_numpy() for each in baselines.entries}


def ask(graph: Graph, rows: Rows) -> Answers:
    """A graph's answers to raw rows. Raises DigestError where it was changed."""
    return answers(session(verify(graph.uri, graph.digest)), rows)


@dataclass(frozen=True)
class HeldOut:
    """Rows that candidates are measured on."""

    split: SplitName
    rows: Rows
    targets: npt.NDArray[Any]
    baselines: Mapping[str, Scores]
    """Each baseline's scores of the same rows, by its name."""


def measure(graphs: Sequence[Graph], held: HeldOut, result: Result) -> list[Candidate]:
    """Score, latency, throughput and size of each graph.

    They are timed in turns, so that a noisy machine is noisy for all.

    Raises DigestError where one was changed.
    """
    opened = {graph.name: session(verify(graph.uri, graph.digest)) for graph in graphs}
    single = [feed(held.rows[at : at + 1]) for at in range(min(ROWS_TIMED, len(held.rows)))]
    batch = [feed(np.resize(held.rows, ROWS_A_BATCH))]
    alone = time_in_turns(opened, single)
    together = time_in_turns(opened, batch)
    found = []
    for graph in graphs:
        scores = result.scores(answers(opened[graph.name], held.rows), held.targets)
        low, high = interval(scores)
        rounds_ms = tuple(float(np.median(each)) * 1e3 for each in alone[graph.name])
        every_s = np.concatenate(alone[graph.name])
        candidate = Candidate(
            graph=graph,
            split=held.split,
            rows=len(held.rows),
            score=float(scores.mean()),
            low=low,
            high=high,
            gains={name: float((scores - theirs).mean()) for name, theirs in held.baselines.items()},
            latency_ms=float(np.median(rounds_ms)),
            latency_rounds_ms=rounds_ms,
            p99_ms=float(np.quantile(every_s, 0.99)) * 1e3,
            throughput=ROWS_A_BATCH / float(np.median(np.concatenate(together[graph.name]))),
            megabytes=Path(graph.uri).stat().st_size / 1e6,
            rejected=None,
        )
        told = "%s: score %.4f on %d %s rows, %.3f ms a row, %.0f rows/s"
        log.info(
            told,
            graph.name,
            candidate.score,
            candidate.rows,
            held.split,
            candidate.latency_ms,
            candidate.throughput,
        )
        found.append(candidate)
    return found
