"""What a graph can do on its target, by the graph itself: ONNX Runtime on one thread, no training framework."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from infra.files import verify
from tasks.intake import Intake, Rows
from tasks.model.onnx_session import answers, session
from tasks.records import Baselines, Candidate, DatasetVersion, Graph
from tasks.result import Answers, Result
from tasks.result.confidence_interval import interval
from tasks.rows.parts import SplitName, read, read_file
from tasks.rows.raw import feed

log = logging.getLogger("gyre.compilation")

Scores = npt.NDArray[np.float64]
"""Each row's part of the metric, [rows]."""
ROWS_A_BATCH = 32
RUNS = 200
SECONDS = 1.0
"""A slow graph is timed for this long, a fast one for RUNS calls."""


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


def measure(
    graph: Graph,
    rows: Rows,
    targets: npt.NDArray[Any],
    result: Result,
    split: SplitName,
    others: Mapping[str, Scores] | None = None,
) -> Candidate:
    """Score on rows of a split, latency, throughput and size of a graph; `others`: baselines' scores of the same rows, by name.

    Raises DigestError where it was changed.
    """
    path = verify(graph.uri, graph.digest)
    opened = session(path)
    scores = result.scores(answers(opened, rows), targets)
    low, high = interval(scores)
    latency = median_seconds(opened, [rows[at : at + 1] for at in range(min(RUNS, len(rows)))])
    batch = np.resize(rows, ROWS_A_BATCH)
    candidate = Candidate(
        graph=graph,
        split=split,
        rows=len(rows),
        score=float(scores.mean()),
        low=low,
        high=high,
        gains={name: float((scores - theirs).mean()) for name, theirs in (others or {}).items()},
        latency_ms=latency * 1e3,
        throughput=ROWS_A_BATCH / median_seconds(opened, [batch]),
        megabytes=path.stat().st_size / 1e6,
        rejected=None,
    )
    told = "%s: score %.4f on %d %s rows, %.3f ms a row, %.0f rows/s"
    log.info(told, graph.name, candidate.score, len(rows), split, candidate.latency_ms, candidate.throughput)
    return candidate


def median_seconds(opened: Any, batches: list[Rows]) -> float:
    """Median time of a call, over RUNS calls or SECONDS, whichever ends first; the first calls only warm up."""
    fed = [feed(batch) for batch in batches]
    for batch in fed[:5] * 2:
        opened.run(None, batch)
    times: list[float] = []
    while len(times) < RUNS and sum(times) < SECONDS:
        start = time.perf_counter()
        opened.run(None, fed[len(times) % len(fed)])
        times.append(time.perf_counter() - start)
    return float(np.median(times))
