"""Prefect's runner, which starts a process for each flow run that is due, but spares looks at production that would tell nothing.

A scheduled look would take seconds of imports, every few seconds, day and night. One that could find nothing
new ends at once as `Unchanged`, and says since when. One beside another at the same project, or of a time
that passed while nothing ran, ends as `Superseded`: after an hour of downtime one look is taken, not a
hundred. And looks never take all the places that runs have, so that a person's run need not wait for them.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from anyio.to_thread import run_sync
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound, TerminationSignal
from prefect.runner import Runner
from prefect.runner._state_proposer import StateProposer
from prefect.states import Completed
from pydantic import BaseModel

from configs.load import load
from flows.drift import drift
from infra.settings import Settings
from tasks.deployment.release_health import damage
from tasks.monitoring.skip_unchanged import last_look

LOGGER = logging.getLogger("gyre.runner")
UNCHANGED, SUPERSEDED = "Unchanged", "Superseded"
"""Names of the completed states in which such looks end."""
LOOKS_AT_ONCE = 2
"""Scheduled looks of all projects that run at once; more wait."""
LONGEST_LOOK = timedelta(hours=1)
"""A look under way for longer may be one whose end was lost: it keeps no other from being taken."""


def serve(deployments: Sequence[RunnerDeployment], limit: int, settings: Settings) -> None:
    """Serves deployments until it is stopped.

    Schedules stay active then: a restart of the runner must not pause a team's nightly runs.
    """
    runner = SparingRunner(settings, limit)
    for deployment in deployments:
        runner.serve_deployment(deployment)
    try:
        asyncio.run(runner.start())
    except (KeyboardInterrupt, TerminationSignal):
        return


class SparingRunner(Runner):
    """Prefect's, with the one change that the module tells."""

    def __init__(self, settings: Settings, limit: int) -> None:
        # A run is taken when it is due, not ten seconds before: until then there may be something new to look
        # at.
        super().__init__(pause_on_shutdown=False, limit=limit, prefetch_seconds=0)
        self.settings = settings
        self.looks: set[UUID] = set()
        """Deployments of the drift flow."""

    def serve_deployment(self, deployment: RunnerDeployment) -> None:
        """Registers a deployment with Prefect; what somebody paused there stays paused."""
        keep_pauses(deployment)
        deployed: Any = self.add_deployment(deployment)
        if deployment.flow_name == drift.name:
            self.looks.add(deployed)

    async def __aenter__(self) -> "SparingRunner":
        """Starts it, with a claim on due runs that asks first whether there is something new."""
        await super().__aenter__()
        self._scheduled_run_poller._state_proposer = Claims(self)
        return self


def keep_pauses(deployment: RunnerDeployment) -> None:
    """Takes over that a deployment, or one of its schedules, is paused.

    Registering it would start it again.
    """
    with get_client(sync_client=True) as client:
        try:
            known = client.read_deployment_by_name(f"{deployment.flow_name}/{deployment.name}")
        except ObjectNotFound:
            return
    deployment.paused = known.paused
    paused = [rhythm(each.schedule) for each in known.schedules if not each.active]
    for each in deployment.schedules or []:
        each.active = rhythm(each.schedule) not in paused


def rhythm(schedule: BaseModel | None) -> dict[str, Any]:
    """What makes a schedule the same one: not when it was registered, from which intervals count."""
    return schedule.model_dump(exclude={"anchor_date"}) if schedule else {}


class Claims(StateProposer):
    """Prefect's claims on runs that are due; its `propose_pending` says whether a process is to start."""

    def __init__(self, runner: SparingRunner) -> None:
        super().__init__(client=runner._client)
        self.runner = runner
        # One look is decided about after the other: two that are due at once would not see each other.
        self.deciding = asyncio.Lock()

    async def propose_pending(self, flow_run: FlowRun) -> bool:
        """Whether the run is claimed.

        A look that the schedule wants, and that would tell nothing, is completed instead.
        """
        # What a person or a trigger asked for is always done.
        if not (flow_run.auto_scheduled and flow_run.deployment_id in self.runner.looks):
            return await super().propose_pending(flow_run)
        async with self.deciding:
            if spared := await self.spared(flow_run):
                await self.runner._client.set_flow_run_state(flow_run.id, spared)
                return False
            under_way = await self.under_way(list(self.runner.looks))
            # It stays due, and is asked about again.
            return len(under_way) < LOOKS_AT_ONCE and await super().propose_pending(flow_run)

    async def spared(self, flow_run: FlowRun) -> State[Any] | None:
        """The state in which a look ends that need not be taken; None where it must."""
        mine = [flow_run.deployment_id] if flow_run.deployment_id else []
        if others := await self.under_way(mine):
            return Completed(name=SUPERSEDED, message=f"The look {others[0].name} is under way.")
        if any(run_time(each) > run_time(flow_run) for each in await self.due(mine)):
            return Completed(name=SUPERSEDED, message="A later look is due as well: one is enough.")
        told = await run_sync(nothing_new, str(flow_run.parameters["project"]), self.runner.settings)
        return Completed(name=UNCHANGED, message=told) if told else None

    async def under_way(self, deployments: list[UUID]) -> list[FlowRun]:
        """Looks of some deployments that a process was started for."""
        started = FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING])
        found = await self.looks(deployments, FlowRunFilter(state=FlowRunFilterState(type=started)))
        oldest = datetime.now(UTC) - LONGEST_LOOK
        return [each for each in found if each.state and each.state.timestamp > oldest]

    async def due(self, deployments: list[UUID]) -> list[FlowRun]:
        """Looks of some deployments whose time has come, and which nothing has taken."""
        waiting = FlowRunFilterStateType(any_=[StateType.SCHEDULED])
        until_now = FlowRunFilterNextScheduledStartTime(before_=datetime.now(UTC))
        chosen = FlowRunFilter(state=FlowRunFilterState(type=waiting), next_scheduled_start_time=until_now)
        return await self.looks(deployments, chosen)

    async def looks(self, deployments: list[UUID], chosen: FlowRunFilter) -> list[FlowRun]:
        """The newest runs of some deployments."""
        return await self.runner._client.read_flow_runs(
            flow_run_filter=chosen,
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=deployments)),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        )


def run_time(flow_run: FlowRun) -> datetime:
    """When a run is to begin."""
    return flow_run.next_scheduled_start_time or flow_run.expected_start_time or datetime.now(UTC)


def nothing_new(project: str, settings: Settings) -> str | None:
    """Why a look at production would end as the last one did, in a sentence.

    None where it must be taken, or that cannot be told.
    """
    try:
        config = load(project, folder=settings.projects)
        told = last_look(config.name, config.intake, config.result, config.monitoring, settings.home)
        return told if told and not damage(config.name, settings) else None
    except Exception:
        # The look itself will fail where a person sees it, with the reason.
        LOGGER.exception("cannot tell whether there is something new to look at")
        return None
