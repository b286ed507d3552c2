"""Where models serve: the target section of a project's YAML."""

from typing import Literal

from pydantic import Field

from configs.section import Section


class TargetConfig(Section):
    """The machine that answers.

    What is reported was measured on one thread of a CPU like the one that compiles.
    """

    provider: Literal["cpu", "openvino", "cuda", "tensorrt"] = "cpu"
    """What runs the graph in the model server, where its onnxruntime has that provider and it answers as the CPU
    does; else the CPU answers, and metadata, readiness detail and metrics say why."""
    price_per_hour: float | None = Field(default=None, gt=0)
    """Of one serving instance, in your currency: the report then says what a million requests cost.

    None: it does not.
    """
