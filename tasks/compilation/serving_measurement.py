"""What one serving instance gets out of a graph, in a process of its own.

Start, memory, time by batch, and where the time goes.

As the model server runs it: one thread, and whoever waits is answered together, at most MOST_ROWS rows a
call. HTTP and JSON cost on top of it what `make bench-serve` measures.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from infra.files import verify
from tasks.compilation.trial import ROOT, TIMEOUT_S
from tasks.production.probe import read_rows, write_rows
from tasks.records import Graph
from tasks.rows.raw import Rows

BATCHES = (1, 2, 4, 8, 16, 32, 64)
MOST_ROWS = BATCHES[-1]
"""Of a call: tasks/serving/models/model.py ROWS_A_BATCH."""
CONCURRENCY = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
ROUNDS = 5
"""In each of which every batch size is timed, so that a slow moment of the machine does not choose one."""
SECONDS = 0.03
"""That a batch size is timed for in a round, LEAST_CALLS calls at least."""
LEAST_CALLS = 2
PROFILED_CALLS = 50
POWER = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
"""Microjoules that the processor took, where the kernel tells."""


@dataclass(frozen=True)
class Load:
    """Requests that arrive together."""

    requests: int
    latency_ms: float
    """Median of the time until all of them are answered."""
    p99_ms: float
    """Of a request that comes while others are being answered: it waits for them first."""

    @property
    def throughput(self) -> float:
        """Requests a second."""
        return self.requests / self.latency_ms * 1e3


@dataclass(frozen=True)
class ServingMeasurement:
    """One instance with one graph."""

    start_s: float
    """From nothing to the first answer."""
    megabytes: float
    """Of memory that the process has for itself, with the graph loaded and run."""
    batches_ms: dict[int, tuple[float, float]]
    """Median and 99th percentile of a call, by its rows."""
    operators_ms: dict[str, float]
    """Time of a single row's call by operator, the longest first."""
    prefix_share: float
    """Of that time, what reading texts, categories and dates takes."""
    joules: float | None
    """Energy of a million rows in full batches; None where the machine does not tell."""

    def load(self, requests: int) -> Load:
        """How long so many requests take that arrive together."""
        calls, rest = divmod(requests, MOST_ROWS)
        parts = [MOST_ROWS] * calls + ([rest] if rest else [])
        median = sum(self.batches_ms[each][0] for each in parts)
        slow = sum(self.batches_ms[each][1] for each in parts)
        return Load(requests, median, 2 * slow)

    @property
    def loads(self) -> list[Load]:
        """By rising number of requests."""
        return [self.load(requests) for requests in CONCURRENCY]

    def most_requests(self, limit_ms: float) -> int:
        """Parallel requests that are all answered within a limit; 0 where not even one is."""
        within = [load.requests for load in self.loads if load.p99_ms <= limit_ms]
        return max(within, default=0)


def measure_serving(graph: Graph, rows: Rows) -> ServingMeasurement:
    """Measured with raw rows.

    Raises DigestError where the graph was changed, RuntimeError where its process fails.
    """
    path = verify(graph.uri, graph.digest)
    with tempfile.TemporaryDirectory(prefix="gyre-serving-") as folder:
        write_rows(np.resize(rows, MOST_ROWS), Path(folder))
        command = [sys.executable, "-m", "tasks.compilation.serving_measurement", str(path), folder]
        ended = subprocess.run(
            [*command, str(time.time())],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            cwd=ROOT,
        )
        if ended.returncode:
            raise RuntimeError(f"{graph.name}: its serving could not be measured: {ended.stderr[-500:]}")
        found = json.loads((Path(folder) / "serving.json").read_text())
    found["batches_ms"] = {int(size): tuple(times) for size, times in found["batches_ms"].items()}
    return ServingMeasurement(**found)


def measure_here(path: Path, folder: Path, spawned: float) -> dict[str, Any]:
    """What the process measures of the graph; `spawned`: when it was started, in seconds since the epoch."""
    from tasks.model.onnx_session import session

    inputs = read_rows(folder)
    opened = session(path)
    opened.run(None, first(inputs, 1))
    started = time.time() - spawned
    batches = time_batches(opened, inputs)
    before, rows = energy(), 0
    until = time.perf_counter() + ROUNDS * SECONDS
    while time.perf_counter() < until:
        opened.run(None, inputs)
        rows += MOST_ROWS
    after = energy()
    used = None if before is None or after is None or after <= before else (after - before) / rows
    megabytes = own_memory() / 1e6
    return {
        "start_s": started,
        "megabytes": megabytes,
        "batches_ms": batches,
        "operators_ms": profile(path, folder, first(inputs, 1)),
        "prefix_share": prefix_share(path, first(inputs, 1), batches[1][0]),
        # Microjoules a row are joules a million rows.
        "joules": used,
    }


def first(inputs: dict[str, Any], count: int) -> dict[str, Any]:
    """The first rows."""
    return {name: values[:count] for name, values in inputs.items()}


def time_batches(opened: Any, inputs: dict[str, Any]) -> dict[int, tuple[float, float]]:
    """Median and 99th percentile of a call in milliseconds, by its rows."""
    times: dict[int, list[float]] = {size: [] for size in BATCHES}
    for _ in range(ROUNDS):
        for size in BATCHES:
            times[size] += call_times(opened, first(inputs, size))
    return {
        size: (float(np.median(each)) * 1e3, float(np.quantile(each, 0.99)) * 1e3)
        for size, each in times.items()
    }


def call_times(opened: Any, inputs: dict[str, Any]) -> list[float]:
    """Seconds of each call; a first one, which plans memory for this size, is not counted."""
    opened.run(None, inputs)
    times: list[float] = []
    while len(times) < LEAST_CALLS or sum(times) < SECONDS:
        start = time.perf_counter()
        opened.run(None, inputs)
        times.append(time.perf_counter() - start)
    return times


def profile(path: Path, folder: Path, inputs: dict[str, Any]) -> dict[str, float]:
    """Milliseconds of a call by operator, by ONNX Runtime's own profile, which itself takes some time of each."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    opened = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    for _ in range(PROFILED_CALLS):
        opened.run(None, inputs)
    calls: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in json.loads(Path(opened.end_profiling()).read_text()):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            calls[event["args"]["op_name"], event["name"]].append(event["dur"] / 1e3)
    times: dict[str, float] = defaultdict(float)
    for (operator, _), milliseconds in calls.items():
        # Its mean would be that of the few calls in which the machine did something else.
        times[operator] += float(np.median(milliseconds)) * len(milliseconds) / PROFILED_CALLS
    return dict(sorted(times.items(), key=lambda item: -item[1]))


def prefix_share(path: Path, inputs: dict[str, Any], whole_ms: float) -> float:
    """How much of a call the part of the graph takes that encodes raw rows, asked alone.

    0 where there is none.
    """
    import onnx

    from tasks.model.onnx_parts import split
    from tasks.model.onnx_session import session

    prefix, _ = split(onnx.load(path))
    if prefix is None:
        return 0.0
    alone = call_times(session(prefix.SerializeToString()), inputs)
    return min(1.0, float(np.median(alone)) * 1e3 / whole_ms)


def own_memory() -> int:
    """Bytes that this process has in memory, its part of what it shares with others included."""
    pages = Path("/proc/self/smaps_rollup")
    if not pages.exists():
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = next(line for line in pages.read_text().splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) * 1024


def energy() -> int | None:
    """Microjoules so far; None where the kernel does not tell."""
    return int(POWER.read_text()) if os.access(POWER, os.R_OK) else None


if __name__ == "__main__":
    measured = measure_here(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
    (Path(sys.argv[2]) / "serving.json").write_text(json.dumps(measured))
