"""What a graph can do on its target, by the graph itself: ONNX Runtime on one thread, no training framework."""

import logging
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from infra.files import verified
from tasks.dataset import read
from tasks.graph import answers, session
from tasks.intake import Intake, Rows
from tasks.interval import interval
from tasks.records import Candidate, DatasetVersion, Graph
from tasks.result import Answers, Result
from tasks.rows import feed

log = logging.getLogger("gyre.compilation")

Scores = npt.NDArray[np.float64]
"""Each test row's part of the metric, [rows]."""
ROWS_A_BATCH = 32
RUNS = 200
SECONDS = 1.0
"""A slow graph is timed for this long, a fast one for RUNS calls."""


@dataclass(frozen=True)
class Measured:
    """A candidate before the gate, and what the record is too small for."""

    candidate: Candidate
    scores: Scores
    metrics: dict[str, float]
    answers: Answers


def held_out(dataset: DatasetVersion, intake: Intake, result: Result) -> tuple[Rows, npt.NDArray[Any]]:
    """Raw rows and targets of the test split. Raises ValueError where it is empty, DigestError where the data set was changed."""
    frame = read(dataset, columns=[*intake.columns, result.label], split="test")
    if frame.empty:
        raise ValueError(f"data set {dataset.tag} has no test rows, so nothing can be judged; lower versioning.split.train")
    return intake.rows(frame), result.targets(frame[result.label])


def measure(graph: Graph, rows: Rows, targets: npt.NDArray[Any], result: Result) -> Measured:
    """Score, latency, throughput and size of a graph. Raises DigestError where it was changed."""
    path = verified(graph.uri, graph.digest)
    opened = session(path)
    given = answers(opened, rows)
    scores = result.scores(given, targets)
    low, high = interval(scores)
    latency = median_seconds(opened, [rows[at : at + 1] for at in range(min(RUNS, len(rows)))])
    batch = np.resize(rows, ROWS_A_BATCH)
    candidate = Candidate(
        graph=graph,
        score=float(scores.mean()),
        low=low,
        high=high,
        latency_ms=latency * 1e3,
        throughput=ROWS_A_BATCH / median_seconds(opened, [batch]),
        megabytes=path.stat().st_size / 1e6,
        rejected=None,
    )
    log.info("%s: score %.4f, %.3f ms a row, %.0f rows/s", graph.name, candidate.score, candidate.latency_ms, candidate.throughput)
    return Measured(candidate, scores, result.metrics(given, targets), given)


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
