"""What flow runs are called, and how they end where a rule of the project's YAML stops them.

As refused, with reasons, not as failed.
"""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

from prefect import State
from prefect.runtime import flow_run

from tasks.pipeline.stage import StoppedError, name_run, refusal

P = ParamSpec("P")


def project_name() -> str:
    """The running flow's project, also where it is given as the path of a YAML file."""
    return Path(str(flow_run.parameters["project"])).stem


def refusable(function: Callable[P, State[Any]]) -> Callable[P, State[Any]]:
    """The function of a flow, which ends in the state Refused where one of its stages stops the run.

    Stands below `@flow`.
    """

    @wraps(function)
    def ended(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
        try:
            return function(*args, **kwargs)
        except StoppedError as stopped:
            first = str(stopped).splitlines()[0].removesuffix(":")
            name_run(f"{project_name()}: {first}")
            return refusal(stopped)

    return ended
