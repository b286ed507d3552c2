"""What a graph takes and gives, as JSON: all that a server needs to know."""

from typing import Any

from tasks.intake import Intake
from tasks.result import Result


def signature(intake: Intake, result: Result) -> dict[str, Any]:
    """The input's name, numpy dtype and shape of one row; the outputs in order; what the integers of the first output mean, or None."""
    taken = intake.input
    return {
        "input": {"name": taken.name, "dtype": taken.dtype, "shape": list(taken.shape)},
        "outputs": list(result.names),
        "classes": result.classes,
    }
