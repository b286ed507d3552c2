"""When ranks start, end and start again: decisions alone, events in and instructions out.

What they lead to is in ranks.py.

A run is a series of generations. Each is one set of ranks on workers that were there when it began; one that
loses a rank is ended, and the next begins on the workers that are there then. What was committed in between
lasts; the rest is computed again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from infra.ranks.messages import Committed
from infra.ranks.slots import spread


@dataclass(frozen=True)
class Policy:
    """What a run asks for."""

    min_ranks: int
    max_ranks: int
    restarts: int
    """How often in a row ranks may be lost without a commit in between; 0 where a run is not elastic."""
    wait_s: float
    """How long to wait for workers."""
    patient: bool = True
    """Whether workers that are not there yet are waited for, or only those that another run holds."""


@dataclass(frozen=True)
class WorkersSeen:
    """The workers at a moment (monotonic seconds): how many live, and which of them no other run holds."""

    at: float
    live: int
    free: Sequence[str]


@dataclass(frozen=True)
class Lost:
    """A rank, its worker or its host has gone; the ranks that were left have ended."""

    reason: str


@dataclass(frozen=True)
class Ended:
    """The ranks have ended, as Stop asked."""


Event = WorkersSeen | Committed | Lost | Ended


@dataclass(frozen=True)
class Look:
    """Count the workers: WorkersSeen is the next event."""


@dataclass(frozen=True)
class Wait:
    """Nothing can be done now; count the workers again soon."""


@dataclass(frozen=True)
class Start:
    """Begin a generation, a rank on each of these workers."""

    generation: int
    workers: tuple[str, ...]


@dataclass(frozen=True)
class Continue:
    """The ranks go on."""


@dataclass(frozen=True)
class Stop:
    """End the ranks, for the next generation can have more."""


@dataclass(frozen=True)
class Fail:
    """End the run; the reason is the error."""

    reason: str


Instruction = Look | Wait | Start | Continue | Stop | Fail


@dataclass
class Elastic:
    """The state of one run; on() is its only way in."""

    policy: Policy
    generation: int = 0
    running: int = 0
    """Ranks of the generation that runs; 0 between two."""
    fruitless: int = 0
    """Generations lost in a row without a commit."""
    committed: bool = False
    waiting_since: float | None = None

    def on(self, event: Event) -> Instruction:
        """What to do now."""
        match event:
            case WorkersSeen():
                return self.grow(event) if self.running else self.begin(event)
            case Committed():
                self.committed, self.fruitless = True, 0
                return Look() if self.running < self.policy.max_ranks else Continue()
            case Lost():
                self.running = 0
                return self.again(event.reason)
            case Ended():
                self.running = 0
                return Look()

    def grow(self, seen: WorkersSeen) -> Instruction:
        """Whether a generation ends for a larger one.

        Only right after a commit, so each has moved on before it ends.
        """
        return Stop() if min(self.policy.max_ranks, len(seen.free)) > self.running else Continue()

    def begin(self, seen: WorkersSeen) -> Instruction:
        """Starts as many ranks as there may be, or waits, or gives up."""
        if len(seen.free) >= self.policy.min_ranks:
            workers = spread(seen.free, self.policy.max_ranks)
            self.generation, self.running, self.waiting_since = self.generation + 1, len(workers), None
            return Start(self.generation, workers)
        self.waiting_since = seen.at if self.waiting_since is None else self.waiting_since
        hopeless = not self.policy.patient and seen.live < self.policy.min_ranks
        if hopeless or seen.at - self.waiting_since >= self.policy.wait_s:
            return Fail(self.too_few(seen, hopeless))
        return Wait()

    def again(self, reason: str) -> Instruction:
        """After a loss: another generation, unless they are lost one after the other."""
        self.fruitless += 1
        if self.fruitless <= self.policy.restarts:
            return Look()
        if not self.policy.restarts:
            return Fail(reason)
        return Fail(
            f"{reason}\nRanks were lost {self.fruitless} times in a row with no commit in between.{self.resumable()}"
        )

    def too_few(self, seen: WorkersSeen, hopeless: bool) -> str:
        """The error where workers are missing."""
        low, high = self.policy.min_ranks, self.policy.max_ranks
        asked = f"{low} ranks need {low}" if low == high else f"{low} to {high} ranks need at least {low}"
        held = seen.live - len(seen.free)
        others = f", and other runs hold {held} of them" if held else ""
        waited = "" if hopeless else f" after {self.policy.wait_s:g} s of waiting"
        fix = f"Raise cluster.workers or lower training.ranks.{self.resumable()}"
        return f"{asked} Dask workers; the cluster has {seen.live}{others}{waited}. {fix}"

    def resumable(self) -> str:
        """What is not lost."""
        return " The last commit is whole: run again to go on from it." if self.committed else ""
