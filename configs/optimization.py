"""Smaller and faster forms of a trained model: the optimization section of a project's YAML."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from configs.section import ImportPath, Section

NAME = r"^[a-z][a-z0-9_]{0,31}$"


class StudentConfig(Section):
    """A smaller network, trained on the same rows as the main one."""

    width: float | None = Field(default=None, gt=0, le=1)
    """Of the intake's default network: its layers' width as a share of the usual one."""
    network: ImportPath | None = None
    """Another network, as training.network names one; none: the main network's."""
    network_options: dict[str, Any] = {}
    """Keyword arguments of the network, such as {dim: 32}, which replace those of the same name in
    training.network_options."""
    taught: bool = True
    """Whether it learns from the main network's answers as well as from labels."""
    epochs: int | None = Field(default=None, ge=1)
    """none: as training.epochs."""

    @model_validator(mode="after")
    def differs_from_the_main_network(self) -> "StudentConfig":
        """A student of the same network is no student."""
        if self.width is None and self.network is None and not self.network_options:
            raise ValueError("name a width, a network or network_options: the same network is no student")
        return self


class OptimizationConfig(Section):
    """Smaller and faster forms of the trained model: all of them are measured, and the gate chooses one."""

    quantize: tuple[Literal["int8", "int8-dynamic", "int8-weights"], ...] = (
        "int8",
        "int8-dynamic",
        "int8-weights",
    )
    """Formats that every network is tried in: int8, calibrated on real rows; int8-dynamic, whose scales are taken
    from each batch; int8-weights, a quarter of the size at the speed of floats."""
    calibration_rows: int = Field(default=256, ge=1)
    """Training rows shown to the calibrator."""
    students: dict[Annotated[str, Field(pattern=NAME)], StudentConfig] = {}
    """Smaller networks to train beside the main one, by a name of one's own, such as {half: {width: 0.5}}."""
    minutes: float | None = Field(default=None, gt=0)
    """Budget of training time for a search of smaller networks: half the width alone and taught by the main
    network, then a quarter where half loses no more than gate.max_loss, else three quarters. Declared
    students come first and count. none: no search.
    """
    distillation_weight: float = Field(default=0.5, ge=0, le=1)
    """How much of a taught student's loss is its distance from the main network's answers; the rest is the
    labels'."""
    temperature: float = Field(default=2.0, ge=1)
    """Of those answers' softmax: the higher, the more the improbable classes tell."""
