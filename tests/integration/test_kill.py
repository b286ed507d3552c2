"""kill -9 of the flow's process in the middle of a stage, then the same run again.

Nothing is lost, nothing is doubled.
"""

import json
import os
import shutil
import time

import psutil
import pytest

# The wide gate lets a quickly trained model of another seed replace the champion, whatever its luck.
SAME_RUN = (
    "run",
    "digits",
    "--set",
    "training.seed=8",
    "--set",
    "training.epochs=8",
    "--set",
    "gate.min_score=0.5",
    "--set",
    "gate.max_drop=0.5",
    "--set",
    "gate.max_behind=null",
    # By size: on a noisy machine graphs that are about as fast may be told apart one time and not the next.
    "--set",
    "gate.prefer=size",
    # A student too, whose training must be found again as the main network's is.
    "--set",
    "optimization.students={half: {width: 0.5, epochs: 2}}",
    "--json",
)


def running_stage(installation, known):
    """(flow run id, stage) of a cycle that started after the `known` ones, as Prefect has it now."""
    runs = installation.prefect(
        "/flow_runs/filter",
        {"deployments": {"name": {"any_": ["on-demand"]}}, "sort": "EXPECTED_START_TIME_DESC"},
    )
    new = [run["id"] for run in runs if run["id"] not in known]
    if not new:
        return None, None
    body = {"flow_runs": {"id": {"any_": new[:1]}}, "task_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
    names = [run["name"].rpartition("-")[0] for run in installation.prefect("/task_runs/filter", body)]
    return new[0], names[0] if names else None


def flow_process(installation, flow_run_id):
    return next(
        p
        for p in installation.processes()
        if p.environ().get("PREFECT__FLOW_RUN_ID", "").replace("-", "") == flow_run_id.replace("-", "")
    )


def kill_in(installation, stage):
    """Starts the run, kills its flow's process with SIGKILL once `stage` runs, and waits until everything of it is gone."""
    known = {run["id"] for run in installation.prefect("/flow_runs/filter", {"limit": 200})}
    following = installation.start_gyre(*SAME_RUN)
    patience = installation.patience()
    flow_run_id, at = running_stage(installation, known)
    while at != stage:
        assert not patience.has_run_out() and following.poll() is None, (
            f"the run did not reach {stage}: it is at {at}"
        )
        time.sleep(0.1)
        flow_run_id, at = running_stage(installation, known)
    process = flow_process(installation, flow_run_id)
    family = [process, *process.children(recursive=True)]
    os.kill(process.pid, 9)
    following.communicate(timeout=300)
    assert following.returncode == 1, "a killed run must not look well"
    _, alive = psutil.wait_procs(family, timeout=120)
    assert not alive, f"outlived the killed flow: {alive}"


def finish(installation):
    """The run to its end; what each stage did and what serves now."""
    ended = json.loads(installation.gyre(*SAME_RUN).stdout)
    release = json.loads((installation.home / "releases" / "digits.json").read_text())
    return {stage["stage"]: stage["reused"] for stage in ended["stages"]}, release["champion"]


@pytest.mark.timeout(3600)  # eight cycles
def test_killed_in_train_compile_and_deploy_the_same_run_ends_in_the_same_digests_with_one_deployment(
    installation,
):
    versions = len(json.loads(installation.gyre("models", "--json").stdout))
    kill_in(installation, "train")
    kill_in(installation, "compile")
    kill_in(installation, "deploy")
    reused, champion = finish(installation)
    assert [
        stage
        for stage in ("ingest", "validate", "label", "version", "train", "export", "optimize", "compile")
        if not reused[stage]
    ] == []
    assert len(json.loads(installation.gyre("models", "--json").stdout)) == versions + 1

    # Undisturbed, with nothing to reuse: every outcome is computed again.
    shutil.rmtree(installation.home / "outcomes")
    shutil.rmtree(installation.home / "prefect" / "results")
    undisturbed, again = finish(installation)
    assert not any(undisturbed.values())
    assert again == champion
    assert len(json.loads(installation.gyre("models", "--json").stdout)) == versions + 1
