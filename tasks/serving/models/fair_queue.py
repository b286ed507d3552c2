"""The queue in front of a graph.

By priority, and within one by client in turn, so that who sends much holds up nobody who sends little.

A request of more rows than a call of the graph takes is answered in pieces, between which others have their
turn.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tasks.rows.raw import Rows
from tasks.serving.protocol.tensors import Values

PADDING_ALLOWED = 8_192
"""Characters of padding in a call of the graph: they take about as long as another call, 0.1 ms with an
embedding of 64 numbers."""
Outputs = dict[str, Values]
"""A graph's outputs by name, [rows, ...], the answer first."""


@dataclass(eq=False)
class Waiting:
    """A request in the queue."""

    rows: Rows
    future: "asyncio.Future[Outputs]"
    priority: int
    client: str
    length: int = 0
    """Characters of its longest text; 0 where rows have none."""
    until: float = math.inf
    """When its answer is of no use any more; perf_counter_ns's."""
    since: int = field(default_factory=time.perf_counter_ns)
    """perf_counter_ns of its arrival."""
    taken: int = 0
    """Rows that the graph was given."""
    answered: list[Outputs] = field(default_factory=list)
    """Of its pieces, so far."""

    @property
    def left(self) -> int:
        """Rows that wait."""
        return len(self.rows) - self.taken


class Piece(NamedTuple):
    """What one call of the graph answers of a request."""

    request: Waiting
    rows: Rows
    is_first: bool


@dataclass
class Level:
    """The requests of one priority."""

    turns: deque[str] = field(default_factory=deque)
    """Clients, in the order in which they are served."""
    requests: dict[str, deque[Waiting]] = field(default_factory=dict)
    """By client, in their order; none is empty."""


@dataclass
class Padding:
    """Of the texts in one call of the graph, which makes each as long as the longest."""

    rows: int = 0
    longest: int = 0
    characters: int = 0
    """Of texts, if all of a request are as long as its longest."""

    def add(self, request: Waiting, rows: int) -> None:
        """Rows join the call."""
        self.rows += rows
        self.longest = max(self.longest, request.length)
        self.characters += rows * request.length

    def is_wasteful(self, request: Waiting) -> bool:
        """Whether the call with this request would have more padding than another call costs."""
        rows, longest = self.rows + request.left, max(self.longest, request.length)
        characters = self.characters + request.left * request.length
        return rows * longest - characters > PADDING_ALLOWED


@dataclass
class FairQueue:
    """Requests that wait for a graph that takes `most` rows a call."""

    most: int
    until: float = math.inf
    """Of the requests that came since the last call of the graph, the earliest."""
    rows: int = 0
    """That wait, of requests that fit one call."""
    rows_in_pieces: int = 0
    """That wait, of larger ones."""
    _levels: dict[int, Level] = field(default_factory=dict)

    def is_large(self, request: Waiting) -> bool:
        """Whether it is answered in pieces."""
        return len(request.rows) > self.most

    def add(self, request: Waiting) -> None:
        """Behind all of its client's of the same priority."""
        level = self._levels.setdefault(request.priority, Level())
        if request.client not in level.requests:
            level.requests[request.client] = deque()
            level.turns.append(request.client)
        level.requests[request.client].append(request)
        self.until = min(self.until, request.until)
        self._count(request, len(request.rows))

    def take(self) -> list[Piece]:
        """What the next call of the graph answers: requests as a whole, or a piece of a single one.

        None where none wait.
        """
        self.until = math.inf
        for priority in sorted(self._levels):
            if pieces := list(self._of_level(self._levels[priority])):
                return pieces
        return []

    def _of_level(self, level: Level) -> Iterator[Piece]:
        """The next pieces of a priority; who was passed over has the first turn at the next call."""
        size, passed, padding = 0, list[str](), Padding()
        while level.turns and size < self.most:
            client = level.turns.popleft()
            requests = level.requests[client]
            while requests and requests[0].future.done():
                # Nobody awaits it any more.
                gone = requests.popleft()
                self._count(gone, -gone.left)
            if not requests:
                del level.requests[client]
                continue
            request, large = requests[0], self.is_large(requests[0])
            too_many = large or size + request.left > self.most
            if size and (too_many or padding.is_wasteful(request)):
                passed.append(client)
                continue
            piece = self._piece(request)
            padding.add(request, len(piece.rows))
            size += self.most if large else len(piece.rows)
            if not request.left:
                requests.popleft()
            if requests:
                level.turns.append(client)
            else:
                del level.requests[client]
            yield piece
        level.turns.extendleft(reversed(passed))

    def _piece(self, request: Waiting) -> Piece:
        """The next rows of a request, taken from it."""
        begin = request.taken
        request.taken = min(begin + self.most, len(request.rows))
        self._count(request, begin - request.taken)
        return Piece(request, request.rows[begin : request.taken], begin == 0)

    def _count(self, request: Waiting, rows: int) -> None:
        if self.is_large(request):
            self.rows_in_pieces += rows
        else:
            self.rows += rows
