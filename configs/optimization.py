"""Smaller and faster variants of a trained model: the optimization section of a project's YAML."""

from typing import Literal

from pydantic import Field

from configs.section import Section


class OptimizationConfig(Section):
    """Smaller and faster variants of the trained model."""

    quantize: tuple[Literal["int8"], ...] = ("int8",)
    """Static quantization, calibrated on real rows."""
    calibration_rows: int = Field(default=256, ge=1)
    """Training rows shown to the calibrator."""
