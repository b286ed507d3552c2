"""Where models serve: the target section of a project's YAML."""

from pydantic import Field

from configs.section import Section


class TargetConfig(Section):
    """The machine that answers. Today that is one thread of a CPU like the one that compiles: what is reported was measured there."""

    price_per_hour: float | None = Field(default=None, gt=0)
    """Of one serving instance, in your currency: the report then says what a million requests cost. none: it does not."""
