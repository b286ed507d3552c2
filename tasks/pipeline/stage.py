"""What every stage's Prefect task shares.

Its cache key, the folder of its outcome, and how it shows what it did.

A stage's outcome is keyed by its inputs (records and sections of the YAML) and by the code that makes it.
After a kill at any point the same run finds the outcomes that were finished and makes the rest again, into
the same folders.
"""

import hashlib
import logging
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from prefect import State, Task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.context import TaskRunContext
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.transactions import get_transaction
from pydantic_core import to_json

from infra.settings import Settings
from tasks.pipeline.code import code_digest
from tasks.records.events import labels

# What the cores log is shown on the flow run's page (infra/settings.py names the logger to Prefect).
logging.getLogger("gyre").setLevel(logging.INFO)

P = ParamSpec("P")
R = TypeVar("R")


REFUSED = "Refused"
"""Name of the final state of a stage and of a flow run that a rule of the project's YAML ended. Its type is
CANCELLED: what waits for a run to complete does not go on, and what raises the alarm for failed runs stays
quiet; Prefect's event is `prefect.flow-run.Refused`."""


class StoppedError(RuntimeError):
    """Rows, labels or a model do not pass a rule of the project's YAML: no fault, but a result.

    The run ends as refused.
    """

    def __init__(self, refused: str, reasons: Sequence[str] = (), takes: str = "") -> None:
        """`refused`: what, and by what; `reasons`: each rule with its value and limit.

        `takes`: what it would take to pass.
        """
        head = f"{refused}:" if reasons else refused
        tail = [f"It would take: {takes}."] if takes else []
        super().__init__("\n".join([head, *(f"- {reason}" for reason in reasons), *tail]))


class Refusal(State[None]):
    """The state that a refused stage or flow run ends in."""

    def result(self, *_: Any, **__: Any) -> None:
        """Nothing: other states of its type raise here, and Prefect would log that as an unexpected error of the run."""


def refusal(stopped: StoppedError) -> Refusal:
    """The state for what was refused."""
    return Refusal(type=StateType.CANCELLED, name=REFUSED, message=str(stopped))


class Stage(Task[P, R]):
    """A task that ends as refused where its function raises StoppedError: no traceback is logged.

    The flow gets the error.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As every task; with `return_state=True` the state of a refused stage is returned."""
        ended = super().__call__(*args, **kwargs)
        if isinstance(ended, State) and ended.name == REFUSED and not kwargs.get("return_state"):
            raise StoppedError(ended.message or "")
        return ended


def refusing(function: Callable[P, R]) -> Callable[P, R | State[None]]:
    """The function of a stage.

    Where it raises StoppedError the stage ends as refused, and runs again when it is asked again.
    """

    @wraps(function)
    def ended(*args: P.args, **kwargs: P.kwargs) -> R | State[None]:
        try:
            return function(*args, **kwargs)
        except StoppedError as stopped:
            if transaction := get_transaction():
                transaction.write_on_commit = (
                    False  # a refusal is no outcome to be reused: times and decisions may be others next time
                )
            return refusal(stopped)

    return ended


def stage(
    *, name: str | None = None, volatile: tuple[str, ...] = (), cached: bool = True
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A Prefect task named as its function (or `name`), whose record is kept as JSON and reused while inputs and code are the same.

    `volatile` names parameters that do not change the outcome, such as the cluster it is computed on.
    `cached=False` is for steps that look at the world: they run every time.
    """

    def wrap(function: Callable[P, R]) -> Task[P, R]:
        options: dict[str, Any] = {"cache_policy": NO_CACHE}
        if cached:
            options = {
                "cache_key_fn": lambda context, inputs: mark_in_use(
                    outcome_key(context.task.fn, inputs, volatile)
                ),
                "persist_result": True,
            }
        ends: Any = refusing(function)
        return Stage(
            ends, name=name or function.__name__.replace("_", "-"), result_serializer="json", **options
        )

    return wrap


def outcome_key(function: Callable[..., Any], inputs: dict[str, Any], volatile: tuple[str, ...] = ()) -> str:
    """`<stage>-<digest>`: of the function's name, its inputs, all code that it may run and any user's code that the inputs name."""
    name = function.__module__.split(".")[1]
    body = to_json({key: value for key, value in sorted(inputs.items()) if key not in volatile})
    code = code_digest(function.__module__, body)
    return f"{name}-{hashlib.sha256(body + function.__qualname__.encode() + code.encode()).hexdigest()[:24]}"


def mark_in_use(key: str) -> str:
    """The key; where there is such an outcome it is in use, and tasks/garbage_collection/outcomes.py leaves it for a while."""
    with suppress(FileNotFoundError):
        os.utime(Settings().home.outcomes / key)
    return key


def outcome_folder(volatile: tuple[str, ...] = ()) -> Path:
    """Where the running task keeps its files: `<home>/outcomes/<stage>-<digest>`.

    Call it with the task's own `volatile`.
    """
    context = TaskRunContext.get()
    if context is None:
        raise RuntimeError(
            "outcome_folder() is for the inside of a Prefect task; a core is handed its folder"
        )
    return Settings().home.outcomes / outcome_key(context.task.fn, context.parameters, volatile)


def name_run(name: str) -> None:
    """Gives the flow run that this is part of another name: lists of runs say what came out.

    Outside of one there is nothing to name.
    """
    if flow_run.id:
        with get_client(sync_client=True) as client:
            client.update_flow_run(UUID(flow_run.id), name=name)


def announce(event: str, project: str, payload: dict[str, Any]) -> str:
    """Sends one of tasks/records/events.py about a project; returns its id.

    Raises RuntimeError where no Prefect server is known.
    """
    sent = emit_event(event, labels(project, Settings().credential), payload=payload)
    if sent is None:
        raise RuntimeError(
            f"{project}: {event} was not sent: no Prefect server is known; is PREFECT_API_URL set?"
        )
    return str(sent.id)


def show(project: str, title: str, body: str, **links: str) -> None:
    """A Markdown artifact on the flow run's page, keyed by project and title.

    `links` become a line of links below the body.
    """
    footer = (
        "\n\n" + " · ".join(f"[{text.replace('_', ' ')}]({url})" for text, url in links.items())
        if links
        else ""
    )
    markdown = f"### {title}\n\n{body}{footer}"
    create_markdown_artifact(
        key=artifact_key(project, title), markdown=markdown, description=f"{title} of {project}"
    )


def show_table(project: str, title: str, rows: list[dict[str, str]]) -> None:
    """A table artifact on the flow run's page, which programs can read back row by row (flows/runs.py does)."""
    create_table_artifact(key=artifact_key(project, title), table=rows, description=f"{title} of {project}")


def artifact_key(project: str, title: str) -> str:
    """An artifact's key in Prefect's alphabet: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", f"{project} {title}".lower()).strip("-")


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table with the first row's keys as its head; floats to four digits."""
    if not rows:
        return "_none_"
    cells = [
        [
            f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")
            for value in row.values()
        ]
        for row in rows
    ]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
