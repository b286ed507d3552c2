"""Prefect's runner, which starts a process for each flow run that is due, but spares looks at production that would tell nothing.

A scheduled look would take seconds of imports, every few seconds, day and night. One that could find nothing
new ends at once as `Unchanged`, and says since when. One beside another at the same project, or of a time
that passed while nothing ran, ends as `Superseded`: after an hour of downtime one look is taken, not a
hundred. And looks never take all the places that runs have, so that a person's run need not wait for them.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from anyio.to_thread import run_sync
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
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
        self.chosen: set[UUID] = set()
        """Scheduled looks that have, or are about to have, one of the runner's places."""

    def serve_deployment(self, deployment: RunnerDeployment) -> None:
        """Registers a deployment with Prefect; what somebody paused there stays paused."""
        keep_pauses(deployment)
        deployed: Any = self.add_deployment(deployment)
        if deployment.flow_name == drift.name:
            self.looks.add(deployed)

    async def __aenter__(self) -> "SparingRunner":
        """Starts it, with a claim on due runs that asks first whether there is something new."""
        await super().__aenter__()
        poller = self._scheduled_run_poller
        poller._state_proposer = Claims(self)
        due = poller._get_scheduled_flow_runs

        async def chosen() -> list[FlowRun]:
            return await self.choose(await due(), poller._submitting_flow_run_ids)

        poller._get_scheduled_flow_runs = chosen  # type: ignore[method-assign]
        return self

    def is_scheduled_look(self, flow_run: FlowRun) -> bool:
        """Whether the schedule alone wants this look: what a person or a trigger asked for is always done."""
        return flow_run.auto_scheduled and flow_run.deployment_id in self.looks

    async def choose(self, due: Sequence[FlowRun], placed: Collection[UUID]) -> list[FlowRun]:
        """Of the runs that are due, those that may have a place; of a project's looks the last one.

        placed: runs that have a place already, or get one. A look that waits takes none: it would stand before
        a person's run at each poll.
        """
        others, last = list[FlowRun](), dict[UUID | None, FlowRun]()
        for run in sorted(due, key=due_at):
            if not self.is_scheduled_look(run):
                others.append(run)
                continue
            if (sooner := last.get(run.deployment_id)) and sooner.id not in placed:
                await self.skip_look(sooner, SUPERSEDED, "A later look is due as well: one is enough.")
            last[run.deployment_id] = run
        self.chosen &= set(placed)
        waiting = [run for run in last.values() if run.id not in placed]
        taken = waiting[: max(0, LOOKS_AT_ONCE - len(self.chosen))]
        self.chosen |= {run.id for run in taken}
        return [*others, *taken]

    async def skip_look(self, look: FlowRun, name: str, why: str) -> None:
        """Completes a look that need not be taken."""
        await self._client.set_flow_run_state(look.id, Completed(name=name, message=why))


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

    async def propose_pending(self, flow_run: FlowRun) -> bool:
        """Whether the run is claimed; a look that the schedule wants, and that would tell nothing, is completed instead."""
        if self.runner.is_scheduled_look(flow_run):
            if others := await self.looks_under_way(flow_run):
                told = f"The look {others[0].name} is under way."
                await self.runner.skip_look(flow_run, SUPERSEDED, told)
                return False
            unchanged = await run_sync(nothing_new, str(flow_run.parameters["project"]), self.runner.settings)
            if unchanged:
                await self.runner.skip_look(flow_run, UNCHANGED, unchanged)
                return False
        return await super().propose_pending(flow_run)

    async def looks_under_way(self, flow_run: FlowRun) -> list[FlowRun]:
        """Looks of the same deployment that a process was started for."""
        assert flow_run.deployment_id  # noqa: S101 - it is one of the runner's looks
        started = FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING])
        found = await self.runner._client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=started)),
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[flow_run.deployment_id])),
        )
        oldest = datetime.now(UTC) - LONGEST_LOOK
        return [each for each in found if each.state and each.state.timestamp > oldest]


def due_at(flow_run: FlowRun) -> datetime:
    """When a run was to begin."""
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
