"""The driver's view of one generation of ranks: what each has said, and what ends them all."""

import json
import logging
import queue
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from infra.ranks.messages import REPORTS, Exited, Failed, Logged, Report, Returned, Sent, StoreServed
from infra.ranks.worker_claims import Claims

log = logging.getLogger("gyre.ranks")
POLL_S = 0.5
"""How often the workers are counted: a lost one is noticed this long after the scheduler did."""
LOOK_S = 15.0
"""How often the scheduler is asked which workers have fallen silent; each time is a line in its log."""
GRACE_S = 2.0
"""How long a rank that failed because of another waits for the other's own reason."""
END_S = 10.0
"""How long the ranks of a run that failed may take to end."""


class RankError(RuntimeError):
    """A rank failed; the message names the rank and gives its own error whole."""


class RankLostError(RankError):
    """A rank ended through no exception of its own: its process, its worker or its host has gone."""


class RegrowError(Exception):
    """Not an error: leaves a generation that ends for a larger one."""


@dataclass
class Generation:
    """What the ranks have said so far."""

    claims: Claims
    on_message: Callable[[int, Any], None]
    """Takes the rank's number and its message, a JSON value."""
    deadline: float
    timeout_s: float
    inbox: "queue.SimpleQueue[Report]" = field(default_factory=queue.SimpleQueue)
    futures: list[Any] = field(default_factory=list)
    running: dict[int, str] = field(default_factory=dict)
    """Worker address of each rank that has not ended."""
    results: dict[int, Any] = field(default_factory=dict)
    store: tuple[str, int] | None = None
    """Where rank 0 serves torch's store."""
    consequences: dict[int, str] = field(default_factory=dict)
    """Errors of ranks that failed because another one did."""
    patience: float = float("inf")
    """When to stop waiting for the other one's own error."""
    ending: bool = False
    """Messages still come, but nothing is decided any more."""
    next_count: float = 0.0
    next_look: float = 0.0

    def add(self, rank: int, worker: str, future: Any) -> None:
        """A rank that was submitted."""
        self.running[rank] = worker
        self.futures.append(future)
        future.add_done_callback(lambda done: self.submitted(rank, done))

    def submitted(self, rank: int, future: Any) -> None:
        """Passes on what went wrong around the rank, such as a worker that cannot import this package."""
        if future.status == "error":
            error = future.exception()
            failed = Failed(repr(error), lost=type(error).__name__ == "KilledWorker")
            self.inbox.put(Report(rank, failed))
            self.inbox.put(Report(rank, Exited(1)))

    def until(self, done: Callable[[], bool]) -> None:
        """Follows the ranks until then.

        Raises what ended them: RankError, RankLostError, TimeoutError, or what on_message raised.
        """
        while not done() and (now := time.monotonic()) < min(self.deadline, self.patience):
            if now >= self.next_count:
                self.next_count = now + POLL_S
                self.count()
            self.take(POLL_S)
        for rank, error in sorted(self.consequences.items()):
            raise RankLostError(f"rank {rank} failed:\n{error}")
        if not done():
            raise TimeoutError(f"{self.named()} did not end within {self.timeout_s:g} s")

    def follow(self) -> list[Any]:
        """What the ranks returned, in their order, once all have ended."""
        self.until(lambda: not self.running)
        return [self.results[rank] for rank in sorted(self.results)]

    def take(self, timeout_s: float) -> None:
        """Handles the next event, if one comes in time."""
        try:
            report = self.inbox.get(timeout=timeout_s)
        except queue.Empty:
            return
        rank = report.rank
        match report.event:
            case Logged(line):
                log.info("[rank %d] %s", rank, line)
            case StoreServed(host, port):
                self.store = host, port
            case Sent(message):
                self.on_message(rank, message)
            case Returned(result):
                self.results[rank] = result
            case Failed(error, consequence=True):
                self.consequences[rank] = error
                self.patience = min(self.patience, time.monotonic() + GRACE_S)
            case Failed(error, lost=lost):
                raise (RankLostError if lost else RankError)(f"rank {rank} failed:\n{error}")
            case Exited(code):
                self.exited(rank, code)

    def exited(self, rank: int, code: int) -> None:
        """A rank's process has gone."""
        worker = self.running.pop(rank)
        if rank not in self.results and rank not in self.consequences:
            raise RankLostError(f"rank {rank} on {worker} {describe_exit(code)} before it had a result")

    def count(self) -> None:
        """Raises RankLostError where a worker whose rank still runs has gone."""
        live = set(self.claims.client.ncores())
        if (now := time.monotonic()) >= self.next_look:
            self.next_look = now + LOOK_S
            live &= self.claims.look().live
        for rank, worker in sorted(self.running.items()):
            if worker not in live:
                del self.running[rank]
                raise RankLostError(f"rank {rank}: its worker {worker} was lost")

    def named(self) -> str:
        """The ranks that still run, for people."""
        return f"rank{'s' * (len(self.running) > 1)} {', '.join(map(str, sorted(self.running)))}"


def describe_exit(code: int) -> str:
    """How a process ended, by its exit code."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


@contextmanager
def subscribe(client: Any, topic: str, generation: Generation) -> Iterator[None]:
    """Puts the ranks' events into the generation's inbox until the block ends."""

    def receive(event: tuple[float, str]) -> None:
        generation.inbox.put(REPORTS.validate_python(json.loads(event[1])))

    client.subscribe_topic(topic, receive)
    try:
        yield
    finally:
        client.unsubscribe_topic(topic)


@contextmanager
def end_on_error(client: Any, generation: Generation) -> Iterator[None]:
    """Ends the ranks that still run when the block fails, and waits for them, so that nothing of them meets the next."""
    try:
        yield
    except BaseException as error:
        client.cancel(generation.futures, force=True)
        deadline = time.monotonic() + END_S
        generation.ending = True
        if not isinstance(error, (RankError, RegrowError, TimeoutError)):
            # The driver's own failure, perhaps in this very function.
            generation.on_message = lambda rank, message: None
        while generation.running and time.monotonic() < deadline:
            try:
                generation.take(POLL_S)
                generation.count()
            except RankError as also:
                log.info("%s", also)
        raise
    finally:
        # Dask would compute a finished rank again whose worker is lost, for as long as somebody holds its
        # future.
        for future in generation.futures:
            future.release()
