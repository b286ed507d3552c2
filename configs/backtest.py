"""How a project's history is replayed: the backtest section of a project's YAML."""

from typing import Literal

from pydantic import Field

from configs.section import Section, Share


class RowsConfig(Section):
    """Which rows a retraining learns from, of those that are labelled by then in the order of their time."""

    use: Literal["all", "recent", "weighted"] = "all"
    """`recent`: the newest `share`; `weighted`: all, the newer the more."""
    share: Share = 0.33
    """Of all rows, for `recent`."""
    least: int = Field(default=1000, ge=1)
    """Rows that `recent` takes at least, as long as there are so many."""
    half_life: float = Field(default=0.15, gt=0)
    """For `weighted`: share of all rows after which an older row counts half."""


class BacktestConfig(Section):
    """How `gyre backtest` replays a project's history, and what its policy does that production leaves to a person."""

    time: str | None = None
    """Column of dates by which rows are ordered; none: as the source has them."""
    first: float = Field(default=0.1, gt=0, lt=1)
    """Share of the rows that the first model learns from."""
    looks: int = Field(default=45, ge=2)
    """Blocks that the other rows are cut into.

    Each is one look at production, its labels come one look late.
    """
    rows: tuple[RowsConfig, ...] = (RowsConfig(), RowsConfig(use="weighted"), RowsConfig(use="recent"))
    """Choices of rows: a challenger is trained by each, and they are compared on the newest labelled block, which none
    of them saw. The first is taken unless another is better by a standard error. Production learns from all
    rows.
    """
    margin: Share = 0.02
    """How much lower than the champion's a challenger's score may be on that block.

    In production the gate decides.
    """
    rollback: bool = True
    """Whether any older version takes over where late labels show it to be better than the one that serves. In
    production only the version before does, once."""
    keep: int = Field(default=10, ge=1)
    """Newest versions that are compared so."""
    minutes: float | None = Field(default=None, gt=0)
    """Budget of time for trainings; the blocks that it does not reach are left out, which the report says. A
    backtest that was stopped goes on where it stood."""
