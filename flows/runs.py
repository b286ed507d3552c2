"""Starts flow runs, finds them again, cancels them, and says how they stand."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterType,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling

from flows.errors import RunError

T = TypeVar("T")
POLL_S = 0.5
LOOKED_AT = 200
"""Newest flow runs among which one is looked for: as many as Prefect gives at once."""
SHORT = 8
"""Characters of an id that are shown: enough to find it again."""


def start(deployment: str, parameters: dict[str, Any], url: str) -> UUID:
    """The id of a new flow run of a deployment, such as `cycle/on-demand`.

    Raises ConnectionError where no Prefect server answers.
    """
    try:
        with get_client(sync_client=True) as client:
            found = client.read_deployment_by_name(deployment)
            return client.create_flow_run_from_deployment(found.id, parameters=parameters).id
    except httpx.ConnectError:
        raise ConnectionError(
            f"no Prefect server answers at {url}; start it with `gyre up --detach`"
        ) from None
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
            {
                "stage": stage_name(s),
                "state": s.state.name if s.state else None,
                "reused": was_reused(s),
                "seconds": seconds(s),
            }
            for s in stages
        ],
        "findings": found,
    }


def recent(limit: int, project: str | None = None) -> list[dict[str, Any]]:
    """The newest flow runs that were to begin by now, of one project or of all."""
    with get_client(sync_client=True) as client:
        found = newest(client)
        names = {flow.id: flow.name for flow in client.read_flows()}
    lines = [summary(run, names.get(run.flow_id, "")) for run in found]
    return [line for line in lines if project in (None, line["project"])][:limit]


def summary(run: FlowRun, flow: str) -> dict[str, Any]:
    """A flow run as a line of a list."""
    begun = run.start_time or run.expected_start_time
    return {
        "id": str(run.id),
        "flow": flow,
        "project": project_of(run),
        "state": state_of(run),
        "since": begun.astimezone().isoformat(sep=" ", timespec="seconds") if begun else "",
        "took": round((run.total_run_time or run.estimated_run_time).total_seconds(), 1),
        "message": (run.state.message or "") if run.state else "",
    }


def newest(client: SyncPrefectClient) -> list[FlowRun]:
    """Flow runs, the newest first.

    Prefect knows what schedules will start in the days to come: those are left out.
    """
    by_now = FlowRunFilterExpectedStartTime(before_=datetime.now(UTC) + timedelta(seconds=5))
    return client.read_flow_runs(
        flow_run_filter=FlowRunFilter(expected_start_time=by_now),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=LOOKED_AT,
    )


def project_of(run: FlowRun) -> str:
    """The project's name, also where the run was started with the path of a YAML file."""
    return Path(str(run.parameters.get("project", ""))).stem


def find(wanted: str) -> FlowRun:
    """The flow run of an id, of the beginning of one, or the newest of a project.

    Raises RunError naming what there is.
    """
    with get_client(sync_client=True) as client:
        with suppress(ValueError, ObjectNotFound):
            return client.read_flow_run(UUID(wanted))
        known = newest(client)
    if of_project := [run for run in known if project_of(run) == wanted]:
        return of_project[0]
    found = [run for run in known if str(run.id).startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise RunError(
            f"{wanted!r} is the beginning of several runs: {', '.join(str(run.id)[:SHORT] for run in found)}; give more of it"
        )
    raise RunError(
        f"{wanted!r}: no such run among the newest {LOOKED_AT}, and no project that has one; `gyre runs` lists them"
    )


def cancel(flow_run_id: UUID) -> FlowRun:
    """Asks the runner to end a flow run; the run as it is then. One that is over stays as it ended."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run_id)
        if run.state is None or not run.state.is_final():
            client.set_flow_run_state(flow_run_id, Cancelling())
            run = client.read_flow_run(flow_run_id)
    return run


def task_runs(client: SyncPrefectClient, flow_run_id: UUID) -> list[TaskRun]:
    """The run's stages in the order they started."""
    runs = client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id])),
        sort=TaskRunSort.EXPECTED_START_TIME_ASC,
    )
    return [run for run in runs if run.start_time or (run.state and run.state.is_final())]


def progress(client: SyncPrefectClient, flow_run_id: UUID) -> tuple[float, str]:
    """How far the training is, in percent and in words: the run's progress artifact."""
    artifacts = client.read_artifacts(
        artifact_filter=ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]),
            type=ArtifactFilterType(any_=["progress"]),
        )
    )
    return max(
        (
            (float(each.data), each.description or "")
            for each in artifacts
            if isinstance(each.data, int | float)
        ),
        default=(0.0, ""),
    )


def findings(client: SyncPrefectClient, flow_run_id: UUID) -> list[dict[str, str]]:
    """What the run's stages found (tasks/pipeline/findings/), the refused first."""
    filter_ = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]), type=ArtifactFilterType(any_=["table"])
    )
    tables = [
        each for each in client.read_artifacts(artifact_filter=filter_) if "-findings-" in (each.key or "")
    ]
    rows = [row for each in tables for row in json.loads(str(each.data))]
    return sorted(rows, key=lambda row: ("refuse", "warn", "allow").index(row["action"]))


def state_of(run: FlowRun | TaskRun) -> str:
    """The name of a run's state."""
    return (run.state.name if run.state else None) or "Unknown"


def stage_name(run: TaskRun) -> str:
    """The stage of a task run: its name without the run's suffix."""
    return run.name.rpartition("-")[0]


def seconds(run: TaskRun) -> float:
    """How long a stage took, or has taken so far; 0 for one whose outcome was reused."""
    return (run.total_run_time or run.estimated_run_time).total_seconds()


def was_reused(run: TaskRun) -> bool:
    """Whether a stage's outcome came from an earlier run."""
    return run.state is not None and run.state.name == "Cached"
