"""What the ranks of a training say while it goes on, and what each returns; `kind` tells the messages apart.

Imports no torch.
"""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from infra.ranks.messages import Committed
from tasks.records import Record


class EpochEnded(Record):
    """Rank 0 tells how an epoch went; one that goes on from a commit tells the epochs before it again."""

    kind: Literal["epoch_ended"] = "epoch_ended"
    epoch: int
    """From 1 on."""
    epochs: int
    loss: float
    """Mean of the epoch, or of what was left of it when the training went on."""
    samples_per_s: float
    """Of all ranks."""
    metrics: dict[str, float]
    """The result's metric on the validation split; empty where there is none."""


class Progress(Record):
    """Rank 0 tells how far it is, every few seconds within an epoch."""

    kind: Literal["progress"] = "progress"
    share: float
    """Of the training."""
    loss: float
    """Rank 0's, of the epoch so far."""
    samples_per_s: float
    seconds_left: float


class SystemMetrics(Record):
    """Every rank tells what it and its host use."""

    kind: Literal["system_metrics"] = "system_metrics"
    rank: int
    step: int
    metrics: dict[str, float]
    """By the names that MLflow gives them."""


Message = Annotated[EpochEnded | Progress | SystemMetrics | Committed, Field(discriminator="kind")]
Send = Callable[[Message], None]


class RankResult(Record):
    """What a rank of a training returns."""

    weights: str
    """Digest of the weights that it ended with."""
    parameters: int
    """Of the network."""
