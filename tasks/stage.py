"""What every stage's Prefect task shares: its cache key, the folder of its outcome, and how it shows what it did.

A stage's outcome is keyed by its inputs (records and sections of the YAML) and by the code that makes it. After a kill at any point the
same run finds the outcomes that were finished and makes the rest again, into the same folders.
"""

import hashlib
import logging
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.context import TaskRunContext
from prefect.events import emit_event
from pydantic_core import to_json

from infra.settings import Settings
from tasks.code import code_digest
from tasks.events import resource

# What the cores log is shown on the flow run's page (infra/settings.py names the logger to Prefect).
logging.getLogger("gyre").setLevel(logging.INFO)

P = ParamSpec("P")
R = TypeVar("R")


class StoppedError(RuntimeError):
    """Rows, labels or a model do not pass a gate of the project's YAML; the message lists why. The run ends as failed."""


def stage(*, name: str | None = None, volatile: tuple[str, ...] = (), cached: bool = True) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A Prefect task named as its function (or `name`), whose record is kept as JSON and reused while inputs and code are the same.

    `volatile` names parameters that do not change the outcome, such as the cluster it is computed on.
    `cached=False` is for steps that look at the world: they run every time.
    """

    def wrap(function: Callable[P, R]) -> Task[P, R]:
        options: dict[str, Any] = {"cache_policy": NO_CACHE}
        if cached:
            options = {
                "cache_key_fn": lambda context, inputs: asked(outcome_key(context.task.fn, inputs, volatile)),
                "persist_result": True,
            }
        return task(name=name or function.__name__.replace("_", "-"), result_serializer="json", **options)(function)

    return wrap


def outcome_key(function: Callable[..., Any], inputs: dict[str, Any], volatile: tuple[str, ...] = ()) -> str:
    """`<stage>-<digest>`: of the function's name, its inputs, all code that it may run and any user's code that the inputs name."""
    name = function.__module__.split(".")[1]
    body = to_json({key: value for key, value in sorted(inputs.items()) if key not in volatile})
    code = code_digest(function.__module__, body)
    return f"{name}-{hashlib.sha256(body + function.__qualname__.encode() + code.encode()).hexdigest()[:24]}"


def asked(key: str) -> str:
    """The key; where there is such an outcome it is in use, and tasks/leftovers.py leaves it for a while."""
    with suppress(FileNotFoundError):
        os.utime(Settings().home / "outcomes" / key)
    return key


def outcome_folder(volatile: tuple[str, ...] = ()) -> Path:
    """Where the running task keeps its files: `<home>/outcomes/<stage>-<digest>`. Call it with the task's own `volatile`."""
    context = TaskRunContext.get()
    if context is None:
        raise RuntimeError("outcome_folder() is for the inside of a Prefect task; a core is handed its folder")
    return Settings().home / "outcomes" / outcome_key(context.task.fn, context.parameters, volatile)


def announce(event: str, project: str, payload: dict[str, Any]) -> str:
    """Sends one of tasks/events.py about a project; returns its id. Raises RuntimeError where no Prefect server is known."""
    sent = emit_event(event, {"prefect.resource.id": resource(project)}, payload=payload)
    if sent is None:
        raise RuntimeError(f"{project}: {event} was not sent: no Prefect server is known; is PREFECT_API_URL set?")
    return str(sent.id)


def show(project: str, title: str, body: str, **links: str) -> None:
    """A Markdown artifact on the flow run's page, keyed by project and title; `links` become a line of links below the body."""
    footer = "\n\n" + " · ".join(f"[{text.replace('_', ' ')}]({url})" for text, url in links.items()) if links else ""
    markdown = f"### {title}\n\n{body}{footer}"
    create_markdown_artifact(key=artifact_key(project, title), markdown=markdown, description=f"{title} of {project}")


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
    cells = [[f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|") for value in row.values()] for row in rows]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
