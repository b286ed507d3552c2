"""What a graph takes and gives, as JSON: all that a server needs to know."""

from typing import Any

from tasks.intake import Intake
from tasks.result import Result


def signature(intake: Intake, result: Result) -> dict[str, Any]:
    """The inputs' names, numpy dtypes (`str` for text) and shapes of one row.

    Outputs in order, and the classes of the first, or None.
    """
    return {
        "inputs": [
            {"name": taken.name, "dtype": taken.dtype, "shape": list(taken.shape)} for taken in intake.inputs
        ],
        "outputs": list(result.names),
        "classes": result.classes,
    }
