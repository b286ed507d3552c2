"""The services: what each runs, where it answers, and when it counts as ready."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from infra.services.http import answers, polls
from infra.services.mlflow_store import make_store
from infra.services.stale_runs import close_abandoned
from infra.settings import Settings

READY_DEPLOYMENT = "cycle/on-demand"
"""The deployment whose polls tell that the runner serves; its name is known to Prefect's API as
<flow>/<deployment>."""


@dataclass(frozen=True)
class Service:
    """One process that supervisord keeps alive."""

    name: str
    """Also its log's name."""
    title: str
    """What it is called in messages."""
    command: tuple[str, ...]
    ready: Callable[[datetime], bool]
    """Whether the process that started at that time does its work by now."""
    url: str | None = None
    port: int | None = None
    variable: str | None = None
    """The environment variable that sets the port."""
    more_ports: tuple[tuple[int, str], ...] = ()
    """Others that it listens on, each with its variable."""
    awaited: bool = True
    """Whether `up` waits until it is ready."""
    prepare: Callable[[], None] = lambda: None
    """Makes what this service and others need, while Prefect starts."""
    settle: Callable[[datetime], None] = lambda _: None
    """Called with the time of the start, once everything is ready."""
    stop_s: int = 10
    """Seconds to end by itself after SIGTERM; then it is killed."""

    @property
    def ports(self) -> tuple[tuple[int, str], ...]:
        """All that it listens on, each with its variable."""
        own = ((self.port, self.variable or ""),) if self.port is not None else ()
        return (*own, *self.more_ports)


def services(settings: Settings) -> tuple[Service, ...]:
    """Every service of an installation.

    They start in this order and stop in the opposite one, the runner before its Prefect.
    """
    return (prefect(settings), server(settings), reports(settings), mlflow(settings), runner(settings))


def prefect(settings: Settings) -> Service:
    """Prefect's server: API, scheduler, automations and UI."""
    ready = partial(answers, f"{settings.prefect_url}/api/health")
    where = (settings.prefect_url, settings.prefect_port, "GYRE_PREFECT_PORT")
    command = launch_command("infra.services.web:prefect")
    return Service(
        "prefect", "Prefect server", command, ready, *where, settle=partial(close_abandoned, settings)
    )


def server(settings: Settings) -> Service:
    """The model server."""
    ready = partial(answers, f"{settings.server_url}/v2/health/live", certificate=settings.server_certificate)
    command = python("-m", "tasks.serving")
    return Service(
        "server",
        "model server",
        command,
        ready,
        settings.server_url,
        settings.server_port,
        "GYRE_SERVER_PORT",
        more_ports=((settings.grpc_port, "GYRE_GRPC_PORT"),),
    )


def reports(settings: Settings) -> Service:
    """The home's `reports` folder, read-only."""
    ready = partial(answers, f"{settings.reports_url}/health")
    where = (settings.reports_url, settings.reports_port, "GYRE_REPORTS_PORT")
    return Service("reports", "report pages", launch_command("infra.services.web:reports"), ready, *where)


def mlflow(settings: Settings) -> Service:
    """MLflow's pages.

    They come last and at low priority: they take long to start, and writers go straight to the store.
    """
    command = launch_command("--nice", "10", *after(settings), "infra.services.web:mlflow")
    ready = partial(answers, f"{settings.mlflow_url}/health")
    where = (settings.mlflow_url, settings.mlflow_port, "GYRE_MLFLOW_PORT")
    return Service(
        "mlflow", "MLflow", command, ready, *where, awaited=False, prepare=partial(make_store, settings)
    )


def runner(settings: Settings) -> Service:
    """The process that serves the deployments and starts their flow runs."""
    command = launch_command(*after(settings), "flows.deployments:main")
    return Service("runner", "flow runner", command, partial(polls, settings, READY_DEPLOYMENT))


def after(settings: Settings) -> tuple[str, ...]:
    """Launcher options that hold a service back until Prefect answers and MLflow's store is there."""
    return "--after", f"{settings.prefect_url}/api/health", "--after", str(settings.home.mlflow_database)


def launch_command(*arguments: str) -> tuple[str, ...]:
    """The command that runs an entry point through the launcher."""
    return python("-m", "infra.services.launch", *arguments)


def python(*arguments: str) -> tuple[str, ...]:
    """The command that runs this very interpreter."""
    return sys.executable, *arguments
