"""What travels between a run's driver and its ranks, as JSON: the job, what happens to a rank, and what an entry says of itself.

`kind` tells the records of a union apart. A number that is not finite, such as a loss of NaN, arrives as it
is.
"""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter
from pydantic_core import to_jsonable_python

from configs.training import Strategy


@dataclass(frozen=True)
class Job:
    """What every rank does."""

    entry: str
    """Import path of the function to call (entry.py)."""
    arguments: Any
    strategy: Strategy
    stall_s: float


@dataclass(frozen=True)
class Committed:
    """Rank 0 has stored a state that a later generation can begin with; an elastic run's entry sends it."""

    step: int
    kind: Literal["committed"] = "committed"


@dataclass(frozen=True)
class Logged:
    """A rank printed or logged a line."""

    line: str
    kind: Literal["logged"] = "logged"


@dataclass(frozen=True)
class StoreServed:
    """Rank 0's worker has a socket for torch's store: the other ranks may start."""

    host: str
    port: int
    kind: Literal["store_served"] = "store_served"


@dataclass(frozen=True)
class Sent:
    """The entry sent a message."""

    message: Any
    kind: Literal["sent"] = "sent"


@dataclass(frozen=True)
class Returned:
    """The entry returned."""

    result: Any
    kind: Literal["returned"] = "returned"


@dataclass(frozen=True)
class Failed:
    """The entry raised, or no rank could start."""

    error: str
    consequence: bool = False
    """Whether another rank's end explains it."""
    lost: bool = False
    """Whether the worker went, rather than the entry raised."""
    kind: Literal["failed"] = "failed"


@dataclass(frozen=True)
class Exited:
    """The rank's process has gone: the last that is heard of it."""

    code: int
    kind: Literal["exited"] = "exited"


Event = Logged | StoreServed | Sent | Returned | Failed | Exited


@dataclass(frozen=True)
class Report:
    """What happened to which rank."""

    rank: int
    event: Annotated[Event, Field(discriminator="kind")]


EVENTS: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
REPORTS = TypeAdapter(Report)


def encode(record: Any) -> Any:
    """A record as a JSON value that `validate_python` of its adapter reads again."""
    return to_jsonable_python(record, inf_nan_mode="constants")


def write_line(record: Any) -> str:
    """A record as a line of JSON."""
    return json.dumps(encode(record))
