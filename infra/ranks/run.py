"""Runs a function on N ranks over a Dask cluster: no mpirun, no ssh.

The driver pins one submission to each of N Dask workers, and each has its rank forked beside it. A rank that
raises or hangs ends the run with the reason and leaves the workers ready for the next. A rank that is killed,
and a worker or a host that is lost, end it too, or, in an elastic run, begin a new generation on the workers
that are there then.

Horovod's own ElasticDriver is not used: its workers and its driver unpickle what reaches their ports, without
authentication. Here a generation ends and another begins with new processes, and all that passes from one to
the next is what rank 0 wrote to storage. From a rank's death to the first line of the next generation's entry
it took 0.1 to 0.2 s on two busy cores, and 1.0 to 1.6 s when each process imported torch by itself
(forkserver.py); a worker that is new must still do so once.

Security: Horovod's rendezvous server has no authentication, so it listens only on the address that the
cluster's own traffic takes (loopback for a local cluster), on a random port, while a generation lasts;
torch's store likewise. Both keep and return bytes and unpickle nothing. Ranks exchange tensors alone (no
`broadcast_object`), and report to the driver in JSON. Dask itself pickles the submissions: protect a cluster
that others can reach with Dask's TLS.
"""

import json
import logging
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from configs.training import PROCESS_GROUPS, Strategy
from infra.ranks.elastic import (
    Elastic,
    Ended,
    Fail,
    Instruction,
    Look,
    Lost,
    Policy,
    Start,
    Stop,
    Wait,
    WorkersSeen,
)
from infra.ranks.entry import ArgumentsT, Entry, Function, MessageT, ResultT, entry_of
from infra.ranks.generation import (
    END_S,
    POLL_S,
    Generation,
    RankError,
    RankLostError,
    RegrowError,
    end_on_error,
    subscribe,
)
from infra.ranks.joining import JOIN_S, STALL_S
from infra.ranks.messages import Committed, Job, encode
from infra.ranks.slots import Slot, slots
from infra.ranks.strategies import Address, environment, meeting_point
from infra.ranks.supervision import Place, Supervised, supervise, worker_place
from infra.ranks.worker_claims import Claims

__all__ = ["RankError", "RankLostError", "run_on_ranks"]
log = logging.getLogger("gyre.ranks")
RESTARTS = 3
"""How often in a row an elastic run loses ranks without a commit in between before it fails: what kills them
is then no accident."""


def run_on_ranks(
    client: Any,
    function: Function[ArgumentsT, MessageT, ResultT],
    arguments: ArgumentsT,
    ranks: int,
    timeout_s: float,
    on_message: Callable[[MessageT], None],
    *,
    strategy: Strategy = "horovod",
    min_ranks: int | None = None,
    max_ranks: int | None = None,
    wait_s: float = JOIN_S,
    stall_s: float = STALL_S,
) -> list[ResultT]:
    """What `function` returned on each rank, in the order of the ranks.

    It is called on every rank as function(arguments, send), once the strategy has joined the ranks
    (joining.py); arguments, messages and result travel as JSON, by its annotations (entry.py). own_slot()
    tells it its place. Each send(message) arrives as on_message(message), in the calling thread, in the
    rank's order; lines that a rank prints or logs go to the logger `gyre.ranks`. Modules are found as the
    driver finds them (its sys.path).

    With `min_ranks` or `max_ranks` the run is elastic: from so many to so many ranks, both `ranks` where not
    given. When ranks are lost it begins again on the workers that are there, and when there are more of them
    than ranks it does so after rank 0's next message `Committed`: the function sends it once its state is
    stored, whole, where all workers can read it (after the last step it would only cost a restart). It looks
    for that state itself when it starts, and may have to say again what it said after it; what it said before
    may be lost with its worker, so what must last belongs into the state. Because a rank on a host that was
    cut off can still write, a state's name holds own_slot().generation, and the highest counts. A rank's own
    exception is never retried.

    A rank that hangs is noticed when the others have waited `stall_s` for it in a collective, and counts as
    lost. Other runs' workers, and in an elastic run workers that are missing, are waited for, `wait_s` at
    most. Raises RankError, or TimeoutError after `timeout_s`; the ranks have ended by then.
    """
    policy = policy_of(strategy, ranks, min_ranks, max_ranks, wait_s)
    entry = entry_of(function)
    name = f"gyre-ranks-{uuid.uuid4().hex}"
    claims = Claims(client, name)
    run = Run(
        client,
        claims,
        name,
        entry,
        Job(entry.path, encode(arguments), strategy, stall_s),
        Elastic(policy),
        timeout_s,
        time.monotonic() + timeout_s,
        on_message,
    )
    try:
        return [entry.result.validate_python(result) for result in run.results()]
    finally:
        claims.release()


def policy_of(
    strategy: Strategy, ranks: int, min_ranks: int | None, max_ranks: int | None, wait_s: float
) -> Policy:
    """Raises ValueError where the numbers contradict each other."""
    low, high = min_ranks or ranks, max_ranks or ranks
    if not 1 <= low <= ranks <= high:
        raise ValueError(
            f"min_ranks {low}, ranks {ranks}, max_ranks {high}: each must be at least the one before, and the first 1 or more"
        )
    if strategy == "single" and high > 1:
        raise ValueError(
            f"strategy single is one rank; {high} were asked for. Set training.ranks to 1 or take another strategy"
        )
    elastic = min_ranks is not None or max_ranks is not None
    return Policy(low, high, RESTARTS if elastic else 0, wait_s, patient=elastic)


@dataclass
class Run:
    """Does what the decisions in elastic.py say."""

    client: Any
    claims: Claims
    name: str
    entry: Entry[Any, Any, Any]
    job: Job
    elastic: Elastic
    timeout_s: float
    deadline: float
    on_message: Callable[[Any], None]

    def results(self) -> list[Any]:
        """What the ranks of the last generation returned, as JSON values."""
        instruction: Instruction = Look()
        while True:
            match instruction:
                case Start():
                    outcome = self.attempt(instruction)
                    if isinstance(outcome, list):
                        return outcome
                    instruction = self.elastic.on(outcome)
                case Wait():
                    self.wait()
                    instruction = Look()
                case Fail(reason):
                    raise RankError(reason)
                case _:
                    instruction = self.look()

    def look(self) -> Instruction:
        """Tells the decisions which workers there are."""
        workers = self.claims.look()
        return self.elastic.on(WorkersSeen(time.monotonic(), len(workers.live), tuple(workers.free)))

    def wait(self) -> None:
        """A moment. Nothing is held meanwhile, so two runs that wait never wait for each other."""
        self.claims.release()
        if time.monotonic() >= self.deadline:
            raise TimeoutError(
                f"no ranks could start within {self.timeout_s:g} s: other runs hold the workers, or there are too few"
            )
        time.sleep(POLL_S)

    def attempt(self, start: Start) -> list[Any] | Lost | Ended:
        """One generation: its results, or why there are none."""
        if not self.claims.take(start.workers):
            return Ended()
        try:
            return self.generation(start)
        except RegrowError:
            log.info("generation %d ends after a commit: there are more workers now", start.generation)
            return Ended()
        except RankLostError as lost:
            log.warning("generation %d: %s", start.generation, lost)
            return Lost(str(lost))

    def generation(self, start: Start) -> list[Any]:
        """Starts the ranks and follows them to their end."""
        topic = f"{self.name}-{start.generation}"
        places = self.places(start.workers)
        there = slots(start.workers, start.generation, [places[worker].visible for worker in start.workers])
        ranks = Generation(
            self.claims,
            lambda rank, message: self.message(ranks, rank, message),
            self.deadline,
            self.timeout_s,
        )
        with ExitStack() as stack:
            server = stack.enter_context(meeting_point(self.job.strategy, self.client, there))
            stack.enter_context(subscribe(self.client, topic, ranks))
            stack.enter_context(end_on_error(self.client, ranks))
            for worker, slot in zip(start.workers, there, strict=True):
                self.submit(ranks, topic, worker, slot, places[worker], server)
                if self.serves_store(slot):
                    # Only rank 0's worker can say which port is free there.
                    ranks.until(lambda: ranks.store is not None)
                    server = ranks.store
            return ranks.follow()

    def submit(
        self, ranks: Generation, topic: str, worker: str, slot: Slot, at: Place, server: Address | None
    ) -> None:
        """Has a worker start its rank."""
        asked = Supervised(
            rank=slot.rank,
            worker=at.pid,
            input=json.dumps(asdict(self.job)),
            environment=environment(self.job.strategy, self.job.stall_s, slot, at.interface, server),
            serves_store=self.serves_store(slot),
            # The worker's own limit, should the driver be gone by then.
            timeout_s=max(0.0, self.deadline - time.monotonic()) + END_S,
        )
        options = {"workers": [worker], "allow_other_workers": False, "pure": False, "retries": 0}
        ranks.add(
            slot.rank,
            worker,
            self.client.submit(supervise, asked, topic, key=f"{topic}-{slot.rank}", **options),
        )

    def serves_store(self, slot: Slot) -> bool:
        """Whether torch's store is beside this rank."""
        return PROCESS_GROUPS[self.job.strategy] == "torch" and slot.rank == 0

    def places(self, workers: tuple[str, ...]) -> dict[str, Place]:
        """Each worker's process and network. Raises RankLostError where one has gone."""
        places = self.client.run(worker_place, workers=list(workers), on_error="return")
        for worker in workers:
            match places.get(worker):
                case Place():
                    pass
                case OSError() | None as error:
                    raise RankLostError(f"worker {worker} was lost before its rank started: {error!r}")
                case error:
                    raise error
        return dict(places)

    def message(self, ranks: Generation, rank: int, value: Any) -> None:
        """Passes a message on, and ends the generation after a commit if the next can have more ranks."""
        message = self.entry.messages.validate_python(value)
        self.on_message(message)
        if rank or not isinstance(message, Committed):
            return
        may_grow = isinstance(self.elastic.on(message), Look) and not ranks.ending
        if may_grow and isinstance(self.look(), Stop):
            raise RegrowError
