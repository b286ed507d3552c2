"""What a loaded version did since it was loaded.

Requests, rows, calls of its graph, and where their time went.
"""

import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Duration:
    """How often something was done, and for how long altogether."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int, count: int = 1) -> None:
        """Once more, or `count` times that took `ns` together."""
        self.count += count
        self.ns += ns

    def told(self) -> dict[str, int]:
        """As the protocol's statistics extension writes it."""
        return {"count": self.count, "ns": self.ns}


@dataclass
class Batches:
    """Calls of the graph with one number of rows."""

    compute_input: Duration = field(default_factory=Duration)
    compute_infer: Duration = field(default_factory=Duration)
    compute_output: Duration = field(default_factory=Duration)


@dataclass
class Statistics:
    """Of one version. Times are of requests.

    A call of the graph counts for each request in it, as Triton's do.
    """

    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    """From a request's arrival in the queue until a batch takes it."""
    requests: Batches = field(default_factory=Batches)
    rows: int = 0
    calls: int = 0
    last_ms: int = field(default=0, metadata={"merge": max})
    """When the graph was last called, in milliseconds since 1970."""
    by_size: dict[int, Batches] = field(default_factory=dict)
    """By the rows of a call."""

    def add_call(self, rows: int, requests: int, began: int, joined: int, computed: int, split: int) -> None:
        """A call of the graph that answered `requests` with `rows`; its moments are perf_counter_ns's."""
        self.rows += rows
        self.calls += 1
        self.last_ms = time.time_ns() // 1_000_000
        if (sized := self.by_size.get(rows)) is None:
            sized = self.by_size[rows] = Batches()
        for each, times in ((self.requests, requests), (sized, 1)):
            each.compute_input.add((joined - began) * times, times)
            each.compute_infer.add((computed - joined) * times, times)
            each.compute_output.add((split - computed) * times, times)

    def told(self) -> dict[str, Any]:
        """As the protocol's statistics extension writes it, without the model's name."""
        return {
            "last_inference": self.last_ms,
            "inference_count": self.rows,
            "execution_count": self.calls,
            "inference_stats": {
                "success": self.success.told(),
                "fail": self.fail.told(),
                "queue": self.queue.told(),
                **told_batches(self.requests),
            },
            "batch_stats": [
                {"batch_size": size, **told_batches(each)} for size, each in sorted(self.by_size.items())
            ],
        }


def model_key(project: str, version: int) -> str:
    """A version of a project; no project's name has a slash."""
    return f"{project}/{version}"


def told_batches(batches: Batches) -> dict[str, Any]:
    """Durations by the protocol's names."""
    return {
        "compute_input": batches.compute_input.told(),
        "compute_infer": batches.compute_infer.told(),
        "compute_output": batches.compute_output.told(),
    }
