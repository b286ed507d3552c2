"""The registry: every deployment of an installation, with its schedule or trigger. `gyre up` serves it.

python -m flows.deployments
"""

from datetime import timedelta
from typing import Any

from prefect import Flow
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger
from prefect.types.entrypoint import EntrypointType

from configs.load import load, project_names
from configs.project import Project
from flows.backtest import backtest
from flows.cycle import cycle
from flows.drift import drift
from flows.runner import serve
from flows.score import score
from flows.tune import tune
from infra.credentials import Credential
from infra.services.table import READY_DEPLOYMENT
from infra.settings import Settings
from tasks.records.events import DRIFT_DETECTED, labels

ON_DEMAND = READY_DEPLOYMENT.partition("/")[2]
"""The deployment that `gyre run`, `drift`, `tune`, `backtest` and `score` use: it takes any project, also one outside the
projects folder."""
RUNS_AT_ONCE = 4
"""Flow runs of one runner; more wait in Prefect's queue."""


def deployments(settings: Settings) -> list[RunnerDeployment]:
    """What is served: the deployments of every project in the projects folder, and those that take any project."""
    projects = [load(name, folder=settings.projects) for name in project_names(settings.projects)]
    on_demand = [deployment(flow, ON_DEMAND) for flow in (cycle, drift, tune, backtest, score)]
    return [*on_demand, *(each for project in projects for each in of_project(project, settings.credential))]


def of_project(project: Project, credential: Credential) -> list[RunnerDeployment]:
    """`cycle/<project>-nightly` by cron, `cycle/<project>-on-drift` by event, `drift/<project>` by interval."""
    common = {"parameters": {"project": project.name}, "tags": [project.name]}
    on_drift = DeploymentEventTrigger(
        name=f"retrain {project.name} on drift",
        expect={DRIFT_DETECTED},
        match=labels(project.name, credential),
        # A storm of events is one run a window; what still comes twice is refused by the claim on the
        # episode.
        for_each={"prefect.resource.id"},
        threshold=1,
        within=timedelta(seconds=30),
        parameters={"project": project.name, "episode": "{{ event.payload.episode }}"},
    )
    return [
        deployment(cycle, f"{project.name}-nightly", cron=project.schedule.nightly, **common),
        deployment(cycle, f"{project.name}-on-drift", triggers=[on_drift], **common),
        deployment(drift, project.name, interval=project.schedule.drift_seconds, **common),
    ]


def deployment(flow: Flow[..., Any], name: str, **options: Any) -> RunnerDeployment:
    """A deployment whose flow is found by module, so that the runner may stand in any folder."""
    return RunnerDeployment.from_flow(flow, name, entrypoint_type=EntrypointType.MODULE_PATH, **options)


def main() -> None:
    """Serves until it is stopped.

    Schedules stay active when it stops: a restart of the runner must not pause a team's nightly runs.
    """
    settings = Settings()
    serve(deployments(settings), RUNS_AT_ONCE, settings)


if __name__ == "__main__":
    main()
