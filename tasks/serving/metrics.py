"""What Prometheus reads: requests, times, queues, answers and the prediction log, by model, version and role.

Counters begin anew with each process and each loaded version, as Prometheus expects.
"""

import math
import shutil
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from infra.guard import Application, Message, Receive, Send
from tasks.serving.models.statistics import Statistics, model_key

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from tasks.serving.processes.counts import Counts, Standing

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
MOST_ANSWERS = 100
"""Classes of a model that are counted each; of one with more, none is: each is a time series of its own."""
PROBABILITY = "probability"
"""The output of a classification that holds a probability a class."""


@dataclass
class Histogram:
    """How many values fell under each bound."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    """By bound, and above the last one."""
    total: float = 0.0

    def __post_init__(self) -> None:
        """Nothing has fallen anywhere yet."""
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """One more value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Bounds with the values at or under each, as Prometheus has them."""
        found, below = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            below += count
            found.append((bound, float(below)))
        return found


@dataclass
class Answered:
    """What a version answered since it was loaded."""

    seconds: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    """From the decoded request to its answer."""
    probabilities: Histogram = field(default_factory=lambda: Histogram(SHARES))
    """Of the answers, a row each."""
    answers: Counter[str] = field(default_factory=Counter)

    def add(
        self,
        seconds: float,
        outputs: Mapping[str, Any],
        answers: Sequence[str],
        classes: Sequence[str] | None,
    ) -> None:
        """One more request."""
        self.seconds.add(seconds)
        if classes is None or len(classes) > MOST_ANSWERS:
            return
        self.answers.update(answers)
        if (probability := outputs.get(PROBABILITY)) is not None and probability.ndim == 2:
            for share in probability.max(axis=1).tolist():
                # A number that is none would make the sum none for ever.
                if math.isfinite(share):
                    self.probabilities.add(share)


@dataclass
class ModelCounts:
    """Of one version, since it was loaded."""

    statistics: Statistics = field(default_factory=Statistics)
    answered: Answered = field(default_factory=Answered)
    read_again: int = 0
    """How often its graph was read again for a request, since it had left memory."""

    def is_empty(self) -> bool:
        """Whether nobody has asked the version yet."""
        return not (self.statistics.success.count or self.statistics.fail.count)


@dataclass
class Totals:
    """What the server counts beside its models."""

    responses: Counter[str] = field(default_factory=Counter)
    """By protocol (`http`, `grpc`) and status, such as `http 200`."""
    logged: Counter[str] = field(default_factory=Counter)
    """Rows on their way to the prediction log, by model."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Requests that were answered but that the log had no room for, by model."""
    unlogged: Counter[str] = field(default_factory=Counter)
    """Requests that were answered but not logged, since they came from nobody known, by model."""
    labels: Counter[str] = field(default_factory=Counter)
    """Late labels on the disk, by model."""


class Waiting(Protocol):
    """What waits for the disk."""

    waiting_bytes: int

    def lag_s(self) -> float:
        """How long the oldest has waited."""


class Counted:
    """An application of whose responses each is counted, refused ones too."""

    def __init__(self, application: Application, totals: Totals) -> None:
        self.application = application
        self.totals = totals

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Passes a request on."""

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.totals.responses[f"http {message['status']}"] += 1
            await send(message)

        await self.application(scope, receive, counting)


@dataclass(eq=False)
class ServerCollector:
    """What prometheus_client asks at each scrape: of all processes of the server, as of one."""

    counts: "Counts"
    """Of all processes."""
    roles: Mapping[str, Mapping[str, int]]
    """Versions by role, by model: those that are served."""
    standings: "Mapping[int, Standing]"
    """How each process stands, by its number."""
    restarts: Mapping[int, int]
    """How often each process was started again."""
    home: Path

    def collect(self) -> "Iterator[Metric]":
        """Every metric."""
        from prometheus_client.core import GaugeMetricFamily

        standings = list(self.standings.values())
        yield from self._of_models()
        yield from self._of_processes()
        yield from troubles(self.roles, standings)
        yield from of_totals(self.counts.totals)
        yield from of_log(standings)
        free = shutil.disk_usage(self.home).free if self.home.exists() else 0
        yield GaugeMetricFamily("gyre_home_free_bytes", "Free on the disk of the installation's home.", free)

    def _of_models(self) -> "Iterator[Metric]":
        """The metrics of each loaded version."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        by = ["model", "version", "role"]
        requests = CounterMetricFamily("gyre_requests", "Requests to a model.", labels=[*by, "outcome"])
        rows = CounterMetricFamily("gyre_rows", "Rows that a graph answered.", labels=by)
        calls = CounterMetricFamily("gyre_graph_calls", "Calls of a graph.", labels=by)
        queue = CounterMetricFamily("gyre_queue_seconds", "Time that requests waited for a graph.", labels=by)
        busy = CounterMetricFamily("gyre_graph_seconds", "Time that calls of a graph took.", labels=by)
        seconds = HistogramMetricFamily("gyre_request_seconds", "From a request to its answer.", labels=by)
        sure = HistogramMetricFamily("gyre_answer_probability", "Probability of each answer.", labels=by)
        answers = CounterMetricFamily("gyre_answers", "Answers by class.", labels=[*by, "answer"])
        waiting = GaugeMetricFamily("gyre_waiting_rows", "Rows that wait for a graph.", labels=by)
        again = CounterMetricFamily("gyre_graph_reads", "Graphs read again that had left memory.", labels=by)
        fell = GaugeMetricFamily(
            "gyre_fell_back", "1 where the CPU answers in place of the target.", labels=by
        )
        for project, role, version in self._versions():
            labels, counted = [project, str(version), role], self.counts.of(project, version)
            statistics, answered = counted.statistics, counted.answered
            requests.add_metric([*labels, "success"], statistics.success.count)
            requests.add_metric([*labels, "fail"], statistics.fail.count)
            rows.add_metric(labels, statistics.rows)
            calls.add_metric(labels, statistics.calls)
            queue.add_metric(labels, statistics.queue.ns / 1e9)
            computed = sum(each.compute_infer.ns for each in statistics.by_size.values())
            busy.add_metric(labels, computed / 1e9)
            seconds.add_metric(labels, answered.seconds.buckets(), answered.seconds.total)
            if any(answered.probabilities.counts):
                sure.add_metric(labels, answered.probabilities.buckets(), answered.probabilities.total)
            for answer, count in answered.answers.items():
                answers.add_metric([*labels, answer], count)
            again.add_metric(labels, counted.read_again)
            key, standings = model_key(project, version), self.standings.values()
            waiting.add_metric(labels, sum(each.waiting_rows.get(key, 0) for each in standings))
            fell.add_metric(labels, max(each.fell_back.get(key, False) for each in standings))
        yield from (requests, rows, calls, queue, busy, seconds, sure, answers, waiting, again, fell)

    def _of_processes(self) -> "Iterator[Metric]":
        """Memory, time and files of each process: a series each, as those of a new process begin anew."""
        from prometheus_client import ProcessCollector
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

        found: dict[str, Metric] = {}
        for number, standing in self.standings.items():
            for metric in ProcessCollector(pid=partial(int, standing.pid), registry=None).collect():
                family = found.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                for sample in metric.samples:
                    family.add_sample(sample.name, {"process": str(number)}, sample.value)
        yield from found.values()
        restarts = CounterMetricFamily(
            "gyre_process_restarts", "How often a process was started again.", labels=["process"]
        )
        for number, count in self.restarts.items():
            restarts.add_metric([str(number)], count)
        graphs = GaugeMetricFamily("gyre_graphs_in_memory", "Graphs in memory.", labels=["process"])
        for number, standing in self.standings.items():
            graphs.add_metric([str(number)], standing.in_memory)
        yield from (restarts, graphs)

    def _versions(self) -> Iterator[tuple[str, str, int]]:
        """Model, role and version of each loaded version."""
        for project, roles in self.roles.items():
            for role, version in roles.items():
                yield project, role, version


def troubles(roles: Mapping[str, Any], standings: "Sequence[Standing]") -> "Iterator[Metric]":
    """What is not served as it was released, in any process."""
    from prometheus_client.core import GaugeMetricFamily

    refused = GaugeMetricFamily(
        "gyre_refused_versions", "Released versions that cannot be loaded.", labels=["model"]
    )
    degraded = GaugeMetricFamily(
        "gyre_degraded", "1 where a model does not serve as it was released.", labels=["model"]
    )
    for project in roles:
        refused.add_metric([project], max(each.refused.get(project, 0) for each in standings))
        degraded.add_metric([project], max(each.degraded.get(project, False) for each in standings))
    yield from (refused, degraded)


def of_totals(totals: Totals) -> "Iterator[Metric]":
    """What is counted beside the models."""
    from prometheus_client.core import CounterMetricFamily

    told = {
        "logged_rows": ("Rows given to the prediction log.", totals.logged),
        "dropped_predictions": ("Answers that the prediction log had no room for.", totals.dropped),
        "unlogged_requests": ("Requests of nobody known, answered and not logged.", totals.unlogged),
        "labels": ("Late labels on the disk.", totals.labels),
    }
    for name, (help_text, counts) in told.items():
        family = CounterMetricFamily(f"gyre_{name}", help_text, labels=["model"])
        for project, count in counts.items():
            family.add_metric([project], count)
        yield family
    responses = CounterMetricFamily("gyre_responses", "Responses.", labels=["protocol", "status"])
    for labels, count in totals.responses.items():
        responses.add_metric(labels.split(), count)
    yield responses


def of_log(standings: "Sequence[Standing]") -> "Iterator[Metric]":
    """What waits for the disk."""
    from prometheus_client.core import GaugeMetricFamily

    lag = GaugeMetricFamily(
        "gyre_log_lag_seconds", "Age of what waits longest for the disk.", labels=["kind"]
    )
    size = GaugeMetricFamily("gyre_log_waiting_bytes", "What waits for the disk.", labels=["kind"])
    for kind in standings[0].lag_s:
        lag.add_metric([kind], max(each.lag_s.get(kind, 0.0) for each in standings))
        size.add_metric([kind], sum(each.waiting_bytes.get(kind, 0) for each in standings))
    yield from (lag, size)


def exposition(collector: ServerCollector, accept: str) -> tuple[bytes, str]:
    """All metrics, in the format that a scraper accepts, and its content type."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry()
    registry.register(collector)
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type
