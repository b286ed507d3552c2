"""What earlier runs took, for a person who is about to start another."""

from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client

from flows.runs import newest, project_of, seconds, stage_name, task_runs, was_reused

RUNS = 5
"""Newest runs that are looked at."""
TRAIN = "train"
FINISHED = ("Completed", "Refused")


def told_earlier(project: str) -> str:
    """How long the stages beside the training took in the newest finished runs of a project, or of any project where it has none.

    Empty where no Prefect server answers.
    """
    try:
        with get_client(sync_client=True) as client:
            flows = {flow.id for flow in client.read_flows() if flow.name == "cycle"}
            known = [run for run in newest(client) if run.flow_id in flows]
            ended = [run for run in known if run.state is not None and run.state.name in FINISHED]
            own = [run for run in ended if project_of(run) == project]
            totals = [total for run in (own or ended)[:RUNS] if (total := other_stages(client, run.id))]
    except httpx.TransportError:
        return ""
    if not totals:
        return "No run has finished here yet, which would tell how long the other stages take."
    span = (
        f"{min(totals):.0f} s"
        if round(min(totals)) == round(max(totals))
        else f"{min(totals):.0f} to {max(totals):.0f} s"
    )
    whose = f"the last runs of {project}" if own else "the last runs of other projects"
    return f"The other stages took {span} in {whose}; what is finished is reused."


def other_stages(client: SyncPrefectClient, flow_run_id: UUID) -> float:
    """Seconds of a run's stages beside the training.

    0 where some were reused, which says nothing of how long they take.
    """
    stages = task_runs(client, flow_run_id)
    if any(was_reused(stage) for stage in stages):
        return 0.0
    return sum(seconds(stage) for stage in stages if stage_name(stage) != TRAIN)
