"""Prefect's runner, which starts a process for each flow run that is due, but none for a look at production that could find nothing new.

Such a look would take seconds of imports, every few seconds, day and night. It ends at once as `Unchanged`,
and says since when.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from anyio.to_thread import run_sync
from prefect.client.schemas.objects import FlowRun
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import TerminationSignal
from prefect.runner import Runner
from prefect.runner._state_proposer import StateProposer
from prefect.states import Completed

from configs.load import load
from flows.drift import drift
from infra.settings import Settings
from tasks.deployment.release_health import damage
from tasks.monitoring.skip_unchanged import last_look

LOGGER = logging.getLogger("gyre.runner")
UNCHANGED = "Unchanged"
"""Name of the completed state in which such a look ends."""


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
        """Registers a deployment with Prefect."""
        deployed: Any = self.add_deployment(deployment)
        if deployment.flow_name == drift.name:
            self.looks.add(deployed)

    async def __aenter__(self) -> "SparingRunner":
        """Starts it, with a claim on due runs that asks first whether there is something new."""
        await super().__aenter__()
        self._scheduled_run_poller._state_proposer = Claims(self)
        return self


class Claims(StateProposer):
    """Prefect's claims on runs that are due; its `propose_pending` says whether a process is to start."""

    def __init__(self, runner: SparingRunner) -> None:
        super().__init__(client=runner._client)
        self.runner = runner

    async def propose_pending(self, flow_run: FlowRun) -> bool:
        """Whether the run is claimed; a look that the schedule wants, and that would find nothing new, is completed instead."""
        # What a person or a trigger asked for is always done.
        if flow_run.auto_scheduled and flow_run.deployment_id in self.runner.looks:
            told = await run_sync(nothing_new, str(flow_run.parameters["project"]), self.runner.settings)
            if told:
                await self.runner._client.set_flow_run_state(
                    flow_run.id, Completed(name=UNCHANGED, message=told)
                )
                return False
        return await super().propose_pending(flow_run)


def nothing_new(project: str, settings: Settings) -> str | None:
    """Why a look at production would end as the last one did, in a sentence; None where it must be taken, or that cannot be told."""
    try:
        config = load(project, folder=settings.projects)
        told = last_look(config.name, config.intake, config.result, config.monitoring, settings.home)
        return told if told and not damage(config.name, settings) else None
    except Exception:
        # The look itself will fail where a person sees it, with the reason.
        LOGGER.exception("cannot tell whether there is something new to look at")
        return None
