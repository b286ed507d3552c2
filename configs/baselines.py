"""What a network must beat: the baselines section of a project's YAML."""

from typing import Literal

from pydantic import Field

from configs.section import Section


class BaselinesConfig(Section):
    """Models without a deep network, learned from the same rows.

    Kept on the model card, and what the gate compares with.
    """

    simple: tuple[Literal["linear", "trees"], ...] = ("linear", "trees")
    """Beside the constant answer: a linear model of what the network is shown, and gradient-boosted trees,
    which are for tables."""
    serve: bool | None = None
    """Whether a simple one may take the network's place where the gate finds it no worse; only a table's can.
    none: where no network is named."""
    rows: int = Field(default=50_000, ge=100)
    """Training rows that they learn from at most, drawn evenly, so that they take a minute however many there
    are."""
