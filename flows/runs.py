"""Starts flow runs and follows them in the terminal: one line a stage, live."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterType,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.client.schemas.sorting import TaskRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling
from rich.console import Console
from rich.live import Live
from rich.table import Table

T = TypeVar("T")
POLL_S = 0.5
MARKS = {"COMPLETED": "[green]✔[/]", "FAILED": "[red]✘[/]", "CRASHED": "[red]✘[/]", "CANCELLED": "[yellow]■[/]", "RUNNING": "[cyan]▶[/]"}


def start(deployment: str, parameters: dict[str, Any], url: str) -> UUID:
    """The id of a new flow run of a deployment, such as `cycle/on-demand`. Raises ConnectionError where no Prefect server answers."""
    try:
        with get_client(sync_client=True) as client:
            found = client.read_deployment_by_name(deployment)
            return client.create_flow_run_from_deployment(found.id, parameters=parameters).id
    except httpx.ConnectError:
        raise ConnectionError(f"no Prefect server answers at {url}; start it with `gyre up --detach`") from None
    except ObjectNotFound:
        raise ConnectionError(
            f"the Prefect server at {url} knows no deployment {deployment}; `gyre status` says how the runner is"
        ) from None


def report(run: FlowRun) -> dict[str, Any]:
    """How a flow run ended, for a program: its id, state, message and stages."""
    with get_client(sync_client=True) as client:
        stages, found = task_runs(client, run.id), findings(client, run.id)
    return {
        "flow_run_id": str(run.id),
        "state": run.state.name if run.state else None,
        "message": run.state.message if run.state else None,
        "stages": [
            {"stage": stage_name(s), "state": s.state.name if s.state else None, "reused": reused(s), "seconds": seconds(s)} for s in stages
        ],
        "findings": found,
    }


def follow(flow_run_id: UUID, console: Console, title: str, timeout_s: float = 3600) -> FlowRun:
    """Shows a flow run's stages until it ends, and returns it as it ended. Ctrl-C cancels the run. Raises TimeoutError."""
    live = Live(console=console, refresh_per_second=4)
    with get_client(sync_client=True) as client, cancelled_on_interrupt(client, flow_run_id), live:

        def ended() -> FlowRun | None:
            run = client.read_flow_run(flow_run_id)
            live.update(stages_table(title, run, task_runs(client, flow_run_id), progress(client, flow_run_id)))
            return run if run.state is not None and run.state.is_final() else None

        run = wait_for(ended, f"the end of flow run {flow_run_id}", timeout_s)
    if not console.is_terminal:
        console.line()  # a live table ends without one there
    return run


@contextmanager
def cancelled_on_interrupt(client: SyncPrefectClient, flow_run_id: UUID) -> Iterator[None]:
    """Whoever presses Ctrl-C means the run, not only the view of it."""
    try:
        yield
    except KeyboardInterrupt:
        client.set_flow_run_state(flow_run_id, Cancelling())
        raise


def wait_for(look: Callable[[], T | None], what: str, timeout_s: float) -> T:
    """What `look` finds, asked again until it finds something. Raises TimeoutError naming `what`."""
    deadline = time.monotonic() + timeout_s
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not seen within {timeout_s:.0f} s")
        time.sleep(POLL_S)
    return found


def task_runs(client: SyncPrefectClient, flow_run_id: UUID) -> list[TaskRun]:
    """The run's stages in the order they started."""
    runs = client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id])), sort=TaskRunSort.EXPECTED_START_TIME_ASC
    )
    return [run for run in runs if run.start_time or (run.state and run.state.is_final())]


def progress(client: SyncPrefectClient, flow_run_id: UUID) -> tuple[float, str]:
    """How far the training is, in percent and in words: the run's progress artifact."""
    artifacts = client.read_artifacts(
        artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]), type=ArtifactFilterType(any_=["progress"]))
    )
    return max(((float(each.data), each.description or "") for each in artifacts if isinstance(each.data, int | float)), default=(0.0, ""))


def findings(client: SyncPrefectClient, flow_run_id: UUID) -> list[dict[str, str]]:
    """What the run's stages found (tasks/findings/), the refused first."""
    filter_ = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]), type=ArtifactFilterType(any_=["table"]))
    tables = [each for each in client.read_artifacts(artifact_filter=filter_) if "-findings-" in (each.key or "")]
    rows = [row for each in tables for row in json.loads(str(each.data))]
    return sorted(rows, key=lambda row: ("refuse", "warn", "allow").index(row["action"]))


def stage_name(run: TaskRun) -> str:
    """The stage of a task run: its name without the run's suffix."""
    return run.name.rpartition("-")[0]


def seconds(run: TaskRun) -> float:
    """How long a stage took, or has taken so far; 0 for one whose outcome was reused."""
    return (run.total_run_time or run.estimated_run_time).total_seconds()


def reused(run: TaskRun) -> bool:
    """Whether a stage's outcome came from an earlier run."""
    return run.state is not None and run.state.name == "Cached"


def stages_table(title: str, run: FlowRun, stages: list[TaskRun], training: tuple[float, str]) -> Table:
    """One line a stage: how it stands and its seconds, and how far the training is."""
    state = run.state.name if run.state else "Unknown"
    table = Table("", "stage", "seconds", "", title=f"{title} · {run.name} · {state}", title_justify="left", box=None, header_style="dim")
    for stage in stages:
        kind = stage.state.type.name if stage.state else "PENDING"
        if reused(stage):
            note = "[dim]reused[/]"
        elif kind == "RUNNING" and stage_name(stage) == "train":
            percent, words = training
            note = f"{'━' * int(percent / 5)}[dim]{'━' * (20 - int(percent / 5))}[/] {percent:.0f} %\n[dim]{words}[/]"
        else:
            note = f"[red]{stage.state.message}[/]" if stage.state and kind in ("FAILED", "CRASHED") else ""
        table.add_row(MARKS.get(kind, "·"), stage_name(stage), f"{seconds(stage):5.1f}", note)
    return table
