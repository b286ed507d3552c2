"""Live rows that one version answered, asked of another version too, while nobody waits for it.

A canary's rows are asked of the champion, a shadow's of the challenger, whose answers nobody gets. The thread
that does it has the lowest priority and a bounded queue: where it does not keep up, rows are dropped and
counted, and clients notice nothing.
"""

import asyncio
import logging
import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from tasks.production.agreement import agree
from tasks.rows.raw import Rows, feed, weight
from tasks.serving.models.model import Model
from tasks.serving.models.routing import Route
from tasks.serving.protocol.tensors import Values

log = logging.getLogger("gyre.serving")

BYTES_WAITING = 16 * 2**20
ROWS_WAITING = 512
"""Of rows in the queue, over all models; what does not fit is dropped."""
KEPT = 16
"""Comparisons that are remembered, the newest."""
LOWEST_PRIORITY = 19


@dataclass
class Comparison:
    """What a challenger and the champion answered to the same live rows."""

    champion: int = field(metadata={"merge": min})
    challenger: int = field(metadata={"merge": min})
    """Versions: equal ones in comparisons of several processes that become one."""
    rows: int = 0
    same: int = 0
    failed: int = 0
    """Rows to which the second version that was asked gave no answer."""
    dropped: int = 0
    """Rows that were not asked, because the queue was full."""
    champion_answers: dict[str, int] = field(default_factory=dict)
    challenger_answers: dict[str, int] = field(default_factory=dict)
    """Where the two differ: how often each class came; nothing where the answers are numbers."""
    higher: int = 0
    """Of numbers that differ, how often the challenger's was the higher one."""
    problem: str = ""
    """The last failure."""

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class Asked(NamedTuple):
    """Rows in the queue."""

    comparison: Comparison
    model: Model
    """That is asked now."""
    is_challenger: bool
    """Whether it is the challenger."""
    rows: Rows
    answers: Values
    """What the other one answered."""
    spread: float
    bytes: int


class Mirror:
    """Belongs to the event loop; `close` ends its thread."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "mirror", initializer=take_lowest_priority)
        self._comparisons: dict[tuple[str, int], Comparison] = {}
        self._waiting: deque[Asked] = deque()
        self._bytes = self._rows = 0
        self._draining: asyncio.Task[None] | None = None

    def add(
        self, project: str, route: Route, role: str, model: Model, key: str, rows: Rows, answers: Values
    ) -> None:
        """Rows that a version in a role answered just now.

        Asked of the other one too, where there is a trial.

        answers: its first output
        """
        other = route.beside(role, key)
        if other is None or other.signature.inputs != model.signature.inputs:
            return
        is_challenger = other is route.canary
        champion, challenger = (model, other) if is_challenger else (other, model)
        comparison = self._comparison(project, champion, challenger)
        size = weight(rows)
        if self._rows + len(rows) > ROWS_WAITING or self._bytes + size > BYTES_WAITING:
            comparison.dropped += len(rows)
            return
        self._waiting.append(Asked(comparison, other, is_challenger, rows, answers, route.spread, size))
        self._rows, self._bytes = self._rows + len(rows), self._bytes + size
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain())

    @property
    def comparisons(self) -> dict[tuple[str, int], Comparison]:
        """What was seen, by project and challenger's version."""
        return self._comparisons

    def comparison(self, project: str, version: int) -> dict[str, Any]:
        """What was seen of a challenger; empty where it was not compared."""
        found = self._comparisons.get((project, version))
        return found.told() if found else {}

    def go_on(self, project: str, comparison: Comparison) -> None:
        """Goes on counting where another process was killed."""
        self._comparisons[project, comparison.challenger] = comparison

    async def close(self) -> None:
        """Ends with what is being asked; the queue is left."""
        self._waiting.clear()
        if self._draining:
            await self._draining
        self._executor.shutdown()

    def _comparison(self, project: str, champion: Model, challenger: Model) -> Comparison:
        key = project, challenger.served.version
        found = self._comparisons.get(key)
        if found is None or found.champion != champion.served.version:
            found = Comparison(champion.served.version, challenger.served.version)
            self._comparisons[key] = found
            while len(self._comparisons) > KEPT:
                del self._comparisons[next(iter(self._comparisons))]
        return found

    async def _drain(self) -> None:
        """Asks one request's rows after another."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            asked = self._waiting.popleft()
            try:
                await loop.run_in_executor(self._executor, compare, asked)
            except Exception as error:
                asked.comparison.failed += len(asked.rows)
                asked.comparison.problem = f"{type(error).__name__}: {error}"
            finally:
                self._rows, self._bytes = self._rows - len(asked.rows), self._bytes - asked.bytes
        self._draining = None


def compare(asked: Asked) -> None:
    """Asks the rows, and adds what came of it to the comparison."""
    found = asked.model.session.run(feed(asked.rows))[0]
    champion, challenger = (asked.answers, found) if asked.is_challenger else (found, asked.answers)
    same = agree(champion, challenger, asked.spread)
    comparison, differ = asked.comparison, ~same
    if asked.spread:
        comparison.higher += int((challenger[differ] > champion[differ]).sum())
    else:
        for counts, answers in (
            (comparison.champion_answers, champion),
            (comparison.challenger_answers, challenger),
        ):
            for answer in answers[differ].tolist():
                counts[str(answer)] = counts.get(str(answer), 0) + 1
    comparison.same += int(same.sum())
    comparison.rows += len(same)


def take_lowest_priority() -> None:
    """Of this thread alone: Linux gives each its own."""
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
    except OSError as error:
        log.warning("the mirror's thread keeps the usual priority: %s", error)
