"""What the demo reports is read back from the systems that know it: Prefect, MLflow, the data repo."""

import json
import subprocess
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.filters import EventFilter, EventNameFilter

from flows.runs import seconds, stage_name, task_runs, was_reused
from infra.settings import Settings
from tasks.records.events import DRIFT_DETECTED


def runs_of(deployment: str) -> list[FlowRun]:
    """A deployment's flow runs that were not scheduled ahead, oldest first."""
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[deployment])),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        )


def looks(project: str) -> int:
    """How many looks at production were taken so far."""
    return sum(run.state is not None and run.state.is_final() for run in runs_of(project))


def drift_event() -> str | None:
    """The id of the newest drift event that the server received."""
    with get_client(sync_client=True) as client:
        page = client.read_events(filter=EventFilter(event=EventNameFilter(name=[DRIFT_DETECTED])), limit=1)
    return str(page.events[0].id) if page.events else None


def started_by_event(run: FlowRun) -> bool:
    """Whether an automation created the run, and no call."""
    return run.created_by is not None and run.created_by.type == "AUTOMATION"


def stage_seconds(flow_run_id: UUID) -> dict[str, float]:
    """Seconds of every stage that ran, by Prefect's clock."""
    with get_client(sync_client=True) as client:
        return {
            stage_name(run): round(seconds(run), 2)
            for run in task_runs(client, flow_run_id)
            if not was_reused(run)
        }


def registered_versions(settings: Settings, project: str) -> list[Any]:
    """The project's model versions in MLflow's registry, oldest first."""
    from mlflow import MlflowClient

    found = MlflowClient(settings.tracking_uri, settings.tracking_uri).search_model_versions(
        f"name='{project}'"
    )
    return sorted(found, key=lambda version: int(version.version))


def ranks(settings: Settings, run_id: str) -> int:
    """The number of Horovod ranks that a training run logged."""
    from mlflow import MlflowClient

    return int(MlflowClient(settings.tracking_uri).get_run(run_id).data.params["ranks"])


def candidates(version: Any) -> list[dict[str, Any]]:
    """The candidates that were measured for a model version."""
    found: list[dict[str, Any]] = json.loads(version.tags["gyre.candidates"])
    return found


def dataset_versions(settings: Settings, project: str) -> list[str]:
    """The project's tags in the data repo, oldest first."""
    command = [
        "git",
        "-C",
        str(settings.home.data_repository),
        "tag",
        "--list",
        f"{project}/v*",
        "--sort=v:refname",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.split()
