"""One model version in memory: its bundle, checked and warmed, and the queue in front of its graph."""

import asyncio
import math
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from infra.files import digest, read_json, verify
from tasks.production import probe
from tasks.production.protocol_dtypes import DATATYPES
from tasks.production.releases import Served
from tasks.rows.raw import Rows, TensorSpec, blank, feed
from tasks.serving.metrics import ModelCounts
from tasks.serving.models.fair_queue import FairQueue, Outputs, Waiting
from tasks.serving.models.memory import ModelMemory
from tasks.serving.models.session import CPU, Session, open_session
from tasks.serving.protocol.notices import TrainingValues, training_values
from tasks.serving.protocol.refusal import Refusal, refuse_for
from tasks.serving.protocol.tensors import MAX_ROWS, Values

ROWS_A_BATCH = 64
"""What a call of the graph takes from the queue; a larger request is answered in pieces."""
ROWS_WAITING = 2 * MAX_ROWS
"""More than this in the queue, and a request is told to come back."""
LARGE_ROWS_WAITING = 8 * MAX_ROWS
"""The same for requests that are answered in pieces: they leave the others their own."""
FADING = 0.9
"""What a call of the graph counts less than the one after it."""
FIRST, USUAL, LAST = 1, 2, 3
"""Priorities of requests.

Those of a smaller number are taken from the queue first, equal ones in their order.
"""


@dataclass(frozen=True)
class Signature:
    """What a bundle takes and gives."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    classes: tuple[str, ...] | None
    """Texts of the first output's integers; None where it is a number."""
    date_formats: dict[str, str] = field(default_factory=dict)
    """How the training rows' source wrote its dates, by input: a client with texts reads them alike, the
    graph takes seconds."""
    trained: Mapping[str, TrainingValues] = field(default_factory=dict)
    """What training rows had, by input."""
    intake: Mapping[str, Any] | None = None
    """The YAML's `intake` as it was when the version was made, for rows as people have them; None where the
    bundle does not say."""

    def texts(self, answers: Values) -> list[str]:
        """The first output in words."""
        return (
            [self.classes[index] for index in answers] if self.classes else [str(value) for value in answers]
        )

    def refuses(self, label: str) -> str | None:
        """What a label must be, where this one is not."""
        if self.classes is not None:
            return None if label in self.classes else f"one of {', '.join(self.classes)}"
        try:
            return None if math.isfinite(float(label)) else "a finite number"
        except ValueError:
            return "a number, such as 12.5"


@dataclass
class Pace:
    """How fast a graph answers rows, by its latest calls."""

    rows: float = 0.0
    busy_s: float = 0.0

    def add(self, rows: int, seconds: float) -> None:
        """One more call; those before it count less and less."""
        self.rows = FADING * self.rows + rows
        self.busy_s = FADING * self.busy_s + seconds

    def seconds(self, rows: int) -> float:
        """What so many rows take; 0 while nothing is known."""
        return rows * self.busy_s / self.rows if self.rows else 0.0


@dataclass(eq=False)
class Model:
    """A version that can answer."""

    served: Served
    signature: Signature
    loaded: Session | None
    """None while its graph is not in memory."""
    executor: Executor
    """Its threads run all graphs; this one's calls come one after the other."""
    memory: ModelMemory
    graph: str = probe.GRAPH
    """The bundle's file that answers."""
    target: str = CPU
    """The provider that the bundle is meant for."""
    portable: str = ""
    """Why its portable graph answers instead of the one that was chosen; empty where that one does."""
    counts: ModelCounts = field(default_factory=ModelCounts)
    queue: FairQueue = field(default_factory=lambda: FairQueue(ROWS_A_BATCH))
    pace: Pace = field(default_factory=Pace)
    last_used: float = 0.0
    """time.monotonic's of the last request."""
    _crowded: bool = False
    """Whether the last call of the graph answered several requests."""
    _draining: "asyncio.Task[None] | None" = None
    _reading: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_loaded(self) -> bool:
        """Whether its graph is in memory."""
        return self.loaded is not None

    @property
    def session(self) -> Session:
        """Its graph, read again where it had left memory; for a thread that may wait.

        Raises Refusal (503) where its bundle is not what it was.
        """
        found = self.loaded
        return self._read_again() if found is None else found

    @property
    def provider(self) -> str:
        """What runs its graph."""
        found = self.loaded
        return found.provider if found else self.target

    @property
    def fell_back(self) -> str:
        """Why the CPU answers in place of its target; empty where it does not."""
        found = self.loaded
        return found.fell_back if found else ""

    def unload(self) -> None:
        """Lets go of its graph; a call that is under way keeps it until it ends."""
        self.loaded = None

    def _read_again(self) -> Session:
        with self._reading:
            if (found := self.loaded) is None:
                found = self.loaded = self._read()
                self.counts.read_again += 1
        self.memory.add(self)
        return found

    def _read(self) -> Session:
        try:
            folder = verify(self.served.uri, self.served.digest)
            session = open_session(folder / self.graph, self.target, partial(differs, folder, self.graph))
            session.run(feed(blank(self.signature.inputs, 1)))
        except Exception as error:
            reason = f"version {self.served.version} had left memory, and cannot be read again"
            raise Refusal(503, f"{reason}: {error}") from error
        return session

    async def answer(
        self, rows: Rows, priority: int = USUAL, client: str = "", limit_s: float = math.inf
    ) -> Outputs:
        """The graph's outputs for raw rows, computed together with whoever else waits.

        client: who asks; clients have their turn one after the other
        limit_s: when the answer is of no use any more

        Raises Refusal (503) when too many wait, or when the answer would come after the limit.
        """
        loop = asyncio.get_running_loop()
        length = longest_text(rows, self.signature.inputs)
        until = time.perf_counter_ns() + limit_s * 1e9
        request = Waiting(rows, loop.create_future(), priority, client, length, until)
        self.last_used = time.monotonic()
        self._admit(request, limit_s)
        self.queue.add(request)
        if self._draining is None:
            self._draining = loop.create_task(self._drain())
        try:
            outputs = await request.future
        except Exception:
            # A request that is cancelled is neither: its client left, or gave it too little time.
            self.counts.statistics.fail.add(time.perf_counter_ns() - request.since)
            raise
        self.counts.statistics.success.add(time.perf_counter_ns() - request.since)
        return outputs

    def _admit(self, request: Waiting, limit_s: float) -> None:
        """Refuses a request that would wait too long, now rather than after its time."""
        count, queue = len(request.rows), self.queue
        waiting, others = queue.rows, queue.rows_in_pieces
        most, what = ROWS_WAITING, "rows wait already"
        if queue.is_large(request):
            waiting, others = others, waiting
            most, what = LARGE_ROWS_WAITING, f"rows of requests of more than {queue.most} rows wait already"
        # Small requests and pieces of large ones take turns.
        expected_s = self.pace.seconds(waiting + min(others, waiting + count) + count)
        if waiting and waiting + count > most:
            refuse_for(expected_s, f"{waiting} {what}")
        if waiting and expected_s > limit_s:
            refuse_for(
                expected_s,
                f"the answer would come in {expected_s:.3g} s, after its time limit of {limit_s:.3g} s",
            )

    async def _drain(self) -> None:
        """Answers batch after batch until nobody waits."""
        while True:
            if self._crowded:
                await self._gather()
            if not (batch := self.queue.take()):
                break
            self._crowded = len(batch) > 1
            now = time.perf_counter_ns()
            for piece in batch:
                if piece.is_first:
                    self.counts.statistics.queue.add(now - piece.request.since)
            try:
                parts = await self._run([piece.rows for piece in batch])
            except Exception as error:
                if len(batch) == 1:
                    fail(batch[0].request, error)
                # One request that the graph cannot bear must not fail those it was batched with.
                for piece in batch if len(batch) > 1 else ():
                    try:
                        give(piece.request, (await self._run([piece.rows]))[0])
                    except Exception as own:
                        fail(piece.request, own)
            else:
                for piece, part in zip(batch, parts, strict=True):
                    give(piece.request, part)
        self._draining = None

    async def _gather(self) -> None:
        """Lets more requests join the next call, as long as each turn of the event loop brings some.

        Only where the last call had several: who asks alone waits for nobody. A turn that brings none, a full
        call, or a request whose time would pass ends it.
        """
        queue, before = self.queue, -1
        while before < queue.rows < queue.most:
            before = queue.rows
            if time.perf_counter_ns() + self.pace.seconds(before) * 1e9 > queue.until:
                return
            await asyncio.sleep(0)

    async def _run(self, requests: list[Rows]) -> list[Outputs]:
        """The outputs of each request, from one call of the graph."""
        loop = asyncio.get_running_loop()
        if not self.is_loaded:
            # Before the clock runs: what reading takes says nothing of the graph's pace.
            await loop.run_in_executor(self.executor, self._read_again)
        began = time.perf_counter_ns()
        rows = requests[0] if len(requests) == 1 else np.concatenate(requests)
        fed = feed(rows)
        joined = time.perf_counter_ns()
        values = await loop.run_in_executor(self.executor, self._compute, fed)
        computed = time.perf_counter_ns()
        self.pace.add(len(rows), (computed - joined) / 1e9)
        outputs = dict(zip((output.name for output in self.signature.outputs), values, strict=True))
        parts = [outputs]
        if len(requests) > 1:
            ends = np.cumsum([len(request) for request in requests])
            parts = [
                {name: values[end - len(request) : end] for name, values in outputs.items()}
                for request, end in zip(requests, ends, strict=True)
            ]
        split = time.perf_counter_ns()
        self.counts.statistics.add_call(len(rows), len(requests), began, joined, computed, split)
        return parts

    def _compute(self, fed: dict[str, Values]) -> list[Values]:
        """What a thread does; the graph may have left memory since the call was queued."""
        return self.session.run(fed)


def longest_text(rows: Rows, inputs: tuple[TensorSpec, ...]) -> int:
    """Characters of the longest text among rows; 0 where no input is a text."""
    names = [spec.name for spec in inputs if spec.dtype == "str"]
    return max((len(str(value)) for name in names for value in rows[name].flat), default=0)


def give(request: Waiting, outputs: Outputs) -> None:
    """Answers a request, or keeps a piece of its answer until the others are there."""
    request.answered.append(outputs)
    if request.future.done() or request.left:
        return
    parts = request.answered
    whole = (
        outputs
        if len(parts) == 1
        else {name: np.concatenate([part[name] for part in parts]) for name in outputs}
    )
    request.future.set_result(whole)


def fail(request: Waiting, error: Exception) -> None:
    """Answers a request with an error."""
    if not request.future.done():
        request.future.set_exception(error)


def load(project: str, served: Served, executor: Executor, memory: ModelMemory | None = None) -> Model:
    """A version from its bundle, warmed.

    Raises DigestError for a changed bundle, ValueError where it is not what its signature says.
    """
    folder = verify(served.uri, served.digest)
    facts = read_json(folder / "signature.json")
    if facts["project"] != project or facts["graph_digest"] != digest(folder / probe.GRAPH):
        raise ValueError(
            f"{folder}: signature.json is of another graph (project {facts['project']!r}); have the bundle made again"
        )
    lineage = folder / "lineage.json"
    config = read_json(lineage).get("config", {}) if lineage.is_file() else {}
    target = config.get("target", {}).get("provider", CPU)
    session, graph, portable = session_for_this_machine(folder, target)
    signature = signature_of(folder / probe.GRAPH, facts, session, config.get("intake"))
    for rows in (1, ROWS_A_BATCH):
        fed = feed(blank(signature.inputs, rows))
        check_answers(session.run(fed), signature, rows, folder / probe.GRAPH)
        if session.provider != CPU:
            # Warmed too: it answers where the provider fails.
            session.on_cpu.run(None, fed)
    model = Model(
        served, signature, session, executor, memory or ModelMemory(math.inf), graph, target, portable
    )
    model.last_used = time.monotonic()
    model.memory.add(model)
    return model


def signature_of(graph: Path, facts: Mapping[str, Any], session: Session, intake: Any) -> Signature:
    """What a bundle takes and gives. Raises ValueError where its graph says otherwise than signature.json."""
    taken = tuple(TensorSpec(each["name"], each["dtype"], tuple(each["shape"])) for each in facts["inputs"])
    found = tuple(tensor(value) for value in session.on_cpu.get_inputs())
    if found != taken:
        raise ValueError(f"{graph}: takes {found}; signature.json says {taken}")
    given = tuple(tensor(value) for value in session.on_cpu.get_outputs())
    names = [output.name for output in given]
    if names != facts["outputs"]:
        raise ValueError(f"{graph}: gives {names}; signature.json says {facts['outputs']}")
    classes = tuple(facts["classes"]) if facts["classes"] else None
    trained = training_values(facts.get("training_values", {}))
    return Signature(taken, given, classes, facts.get("date_formats", {}), trained, intake)


def check_answers(values: list[Values], signature: Signature, rows: int, graph: Path) -> None:
    """Raises ValueError where a graph's answers to so many rows cannot be sent as its signature says.

    Without this a bundle would be ready, and fail each request.
    """
    for output, found in zip(signature.outputs, values, strict=True):
        where = f"{graph}: output {output.name!r}"
        if found.dtype.name not in DATATYPES:
            raise ValueError(
                f"{where} is a text; the server answers numbers, which `classes` turn into words"
            )
        if found.shape[:1] != (rows,):
            raise ValueError(f"{where} has shape {list(found.shape)} for {rows} rows; want an answer a row")
    if signature.classes is None:
        return
    answers, name = values[0], signature.outputs[0].name
    whole = answers.ndim == 1 and answers.dtype.kind in "iu"
    if not whole or not ((answers >= 0) & (answers < len(signature.classes))).all():
        raise ValueError(
            f"{graph}: output {name!r} answers {answers[0]}; "
            f"want a whole number below {len(signature.classes)}, a class of signature.json"
        )


def session_for_this_machine(folder: Path, target: str = CPU) -> tuple[Session, str, str]:
    """A session of the bundle's graph, or of its portable one, its file, and for the portable one why.

    Raises ValueError where neither answers as it did where it was measured.
    """
    moved: dict[str, float] = {}
    for name in (probe.GRAPH, probe.PORTABLE):
        if not (folder / name).is_file():
            continue
        session = open_session(folder / name, target, partial(differs, folder, name))
        moved[name] = probe.difference(folder, name, session.on_cpu)
        if moved[name] <= probe.TOLERANCE:
            reason = f"its graph's answers differ by {moved[probe.GRAPH]:.2g} on this machine from those that it was judged by"
            return session, name, "" if name == probe.GRAPH else reason
    told = ", ".join(f"{name} by {difference:.2g}" for name, difference in moved.items())
    raise ValueError(
        f"{folder}: on this machine its answers differ from those that it was judged by ({told}); compile it here"
    )


def differs(folder: Path, name: str, session: Any) -> str:
    """Why a session's answers are not those that a bundle's graph was judged by; empty where they are."""
    difference = probe.difference(folder, name, session)
    if difference <= probe.TOLERANCE:
        return ""
    return f"its answers differ by {difference:.2g} from those that it was judged by"


def tensor(value: Any) -> TensorSpec:
    """An input or output as ONNX Runtime describes it.

    Raises ValueError for a type that JSON rows cannot have.
    """
    dtype = value.type.removeprefix("tensor(").removesuffix(")")
    dtype = {"float": "float32", "double": "float64", "string": "str"}.get(dtype, dtype)
    if dtype not in DATATYPES:
        raise ValueError(f"{value.name!r} is {value.type}; the server speaks {', '.join(DATATYPES)}")
    return TensorSpec(
        value.name, dtype, tuple(size if isinstance(size, int) else -1 for size in value.shape[1:])
    )
