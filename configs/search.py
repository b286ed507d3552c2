"""What `gyre tune` tries: the search section of a project's YAML."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from configs.section import Section, matches

Key = Annotated[
    str, matches(r"(training|intake)\.[a-z_.]+", "a key of training or intake such as training.epochs")
]


class ParameterConfig(Section):
    """One key of the YAML and the values it may take: `choices`, or from `low` to `high`."""

    choices: tuple[Any, ...] = ()
    """Values to choose from, of any kind."""
    low: float | None = None
    high: float | None = None
    log: bool = False
    """Whether a factor counts, not a difference; for rates."""
    step: Annotated[float, Field(gt=0)] | None = None
    """Distance between values; needed by `grid`. A whole number makes all of them whole numbers."""

    @model_validator(mode="after")
    def has_values(self) -> "ParameterConfig":
        """Choices or a range, one of them."""
        ranged = self.low is not None and self.high is not None and self.low < self.high
        if bool(self.choices) == ranged or (self.choices and (self.low is not None or self.high is not None)):
            raise ValueError("give `choices`, or `low` and a larger `high`")
        if self.log and (self.step or (self.low is not None and self.low <= 0)):
            raise ValueError(
                f"log: true needs a positive `low` and no `step`; low is {self.low}, step {self.step}"
            )
        return self


class SearchConfig(Section):
    """A search for better values of some keys, over the Dask cluster.

    What was tried is kept: the same command goes on.
    """

    parameters: dict[Key, ParameterConfig] = {}
    """Dotted keys of the YAML, such as training.learning_rate."""
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    """How values are drawn: from what did well so far, evenly, or all combinations."""
    objectives: tuple[Literal["score", "seconds", "parameters"], ...] = ("score",)
    """What counts: the result's first metric on the validation split (more is better), the training's seconds
    and the network's number of parameters (less is better). With more than one, every best compromise is
    found."""
    trials: int = Field(default=20, ge=1)
    minutes: Annotated[float, Field(gt=0)] | None = None
    """No trial starts later than this after the search began."""
    pruning: bool = True
    """Whether a trial ends early that does worse than half of the others did at the same epoch."""
    ranks: int = Field(default=1, ge=1)
    """Ranks of one trial; as many trials run side by side as the cluster's workers allow."""
    seed: int = 7

    @model_validator(mode="after")
    def a_grid_has_an_end(self) -> "SearchConfig":
        """A range without steps has no grid."""
        for key, parameter in self.parameters.items():
            if self.sampler == "grid" and not parameter.choices and parameter.step is None:
                raise ValueError(f"sampler grid: {key} needs `choices` or a `step`")
        return self
