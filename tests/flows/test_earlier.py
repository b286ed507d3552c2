"""What the stages beside the training took in earlier runs is told before a run, by a real Prefect server."""

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.testing.utilities import prefect_test_harness

from flows.earlier import told_earlier
from flows.runs import find, report


@task(task_run_name="{name}-ab12")
def stage(name):
    """Stands for a stage."""


@flow
def cycle(project: str):
    """Stands for a project's cycle."""
    for name in ("ingest", "train", "compile"):
        stage(name)


@pytest.fixture(scope="module", autouse=True)
def server():
    with prefect_test_harness(server_startup_timeout=120):
        yield


def test_earlier_runs_of_the_project_count_before_those_of_others():
    assert (
        told_earlier("boxes")
        == "No run has finished here yet, which would tell how long the other stages take."
    )
    cycle("tins")
    assert "in the last runs of other projects; what is finished is reused." in told_earlier("boxes")
    cycle("boxes")
    stages = report(find("boxes"))["stages"]
    assert {each["stage"] for each in stages} == {"ingest", "train", "compile"}
    others = sum(each["seconds"] for each in stages if each["stage"] != "train")
    assert told_earlier("boxes") == (
        f"The other stages took {others:.0f} s in the last runs of boxes; what is finished is reused."
    )


def test_a_run_that_has_not_ended_tells_nothing():
    with get_client(sync_client=True) as client:
        client.create_flow_run(cycle, parameters={"project": "jars"})
    assert "of other projects" in told_earlier("jars")
