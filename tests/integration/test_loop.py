"""The whole loop on real servers: what `gyre demo` promises, asked of the systems that know it."""

import json
import re
import sys
import time
from pathlib import Path
from uuid import uuid4

import httpx

from infra.files import digest
from infra.settings import Settings
from tests.integration.conftest import run_while_it_moves

ROOT = Path(__file__).parents[2]
RETRAINED = "digits-on-drift"
WINDOW_S = 35
"""Longer than the trigger takes events of one kind together (flows/deployments.py)."""


def flow_runs(installation, deployment):
    body = {
        "deployments": {"name": {"any_": [deployment]}},
        "flow_runs": {"state": {"type": {"not_any_": ["SCHEDULED"]}}},
        "sort": "START_TIME_ASC",
    }
    return installation.prefect("/flow_runs/filter", body)


def stages(installation, flow_run_id):
    runs = installation.prefect("/task_runs/filter", {"flow_runs": {"id": {"any_": [flow_run_id]}}})
    return {run["name"].rpartition("-")[0]: run["state"]["name"] for run in runs}


def test_the_model_recovers_from_a_replaced_scanner(installation):
    accuracy = installation.report["accuracy"]
    assert accuracy["before"] >= 0.93
    assert accuracy["drifted"] < accuracy["before"] - 0.1
    assert accuracy["after"] >= accuracy["before"] - 0.03


def test_no_request_is_lost_while_models_are_swapped(installation):
    assert installation.report["requests"]["failed"] == 0
    assert installation.report["requests"]["sent"] >= 797


def test_the_event_and_no_call_started_the_retraining(installation):
    run = installation.prefect(f"/flow_runs/{installation.report['retrain_flow_run_id']}")
    assert run["created_by"]["type"] == "AUTOMATION"
    assert run["state_type"] == "COMPLETED"


def test_the_report_is_on_disk_and_names_versions_candidates_and_ranks(installation):
    report = json.loads((installation.home / "report.json").read_text())
    assert report == installation.report
    assert report["versions"] == [1, 2]
    assert report["dataset_versions"] == ["digits/v1", "digits/v2"]
    assert report["ranks"] == 2
    assert {candidate["name"] for candidate in report["candidates"]} == {
        "fp32",
        "int8",
        "int8-dynamic",
        "int8-weights",
    }


def test_every_stage_shows_an_artifact_on_the_flow_runs_page(installation):
    flow_run_id = flow_runs(installation, "on-demand")[0]["id"]
    artifacts = installation.prefect(
        "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [flow_run_id]}}, "limit": 200}
    )
    with_artifact = {artifact["task_run_id"] for artifact in artifacts}
    runs = installation.prefect("/task_runs/filter", {"flow_runs": {"id": {"any_": [flow_run_id]}}})
    silent = {run["name"].rpartition("-")[0] for run in runs if run["id"] not in with_artifact}
    assert silent <= {"locate", "registered-checkpoint", "serving-champion"}


def test_every_link_and_picture_of_the_artifacts_can_be_opened(installation):
    artifacts = installation.prefect(
        "/artifacts/filter", {"artifacts": {"type": {"any_": ["markdown"]}}, "limit": 200}
    )
    reports = f"http://127.0.0.1:{installation.environment['GYRE_REPORTS_PORT']}/"
    urls = {part.split(")")[0] for artifact in artifacts for part in artifact["data"].split("](")[1:]}
    pages = [url for url in urls if url.startswith(reports)]
    assert len(pages) >= 5
    known = Settings(home=installation.home).credential.headers
    assert [url for url in pages if httpx.get(url, timeout=30, headers=known).status_code != 200] == []


def test_the_same_drift_event_a_hundred_times_starts_one_retraining(installation):
    models = installation.gyre("models", "--json").stdout
    found = installation.prefect("/events/filter", {"filter": {"event": {"name": ["gyre.drift.detected"]}}})
    # The newest come first; the demo's own is the oldest, made-up ones of other tests came later.
    event = {key: found["events"][-1][key] for key in ("event", "resource", "related", "payload")}

    def send():
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        installation.prefect("/events", [event | {"id": str(uuid4()), "occurred": now} for _ in range(100)])
        return time.monotonic()

    before = len(flow_runs(installation, RETRAINED))
    sent = send()
    patience = installation.patience()
    while not (runs := flow_runs(installation, RETRAINED)[before:]) or any(
        run["state_type"] in ("PENDING", "RUNNING") for run in runs
    ):
        assert not patience.has_run_out(), "no run answered the repeated event"
        if (
            not runs and time.monotonic() - sent > WINDOW_S
        ):  # the trigger took them together with an event of the test before
            sent = send()
        time.sleep(1)

    assert all("train" not in stages(installation, run["id"]) for run in runs)
    assert installation.gyre("models", "--json").stdout == models


def test_bad_values_are_named_before_anything_starts(installation):
    before = len(flow_runs(installation, "on-demand"))
    done = installation.gyre("run", "digits", "--set", "training.epochs=many", check=False)
    assert done.returncode == 1
    assert (
        "digits.yaml: training.epochs: 'many' is not allowed; Input should be a valid integer" in done.stderr
    )
    assert len(flow_runs(installation, "on-demand")) == before


def test_rollback_is_one_command_and_can_be_taken_back(installation):
    url = f"http://127.0.0.1:{installation.environment['GYRE_SERVER_PORT']}/v2/models/digits/infer"
    body = {
        "inputs": [{"name": "image", "shape": [1, 8, 8, 1], "datatype": "UINT8", "data": [0] * 64}],
        "parameters": {"log": False},
    }

    def serving(version):
        patience = installation.patience()
        while (answered := httpx.post(url, json=body, timeout=60).json()["model_version"]) != version:
            assert not patience.has_run_out(), f"version {answered} answers instead of {version}"
            time.sleep(0.2)

    manifest = json.loads((installation.home / "releases" / "digits.json").read_text())
    now, before = (str(manifest[role]["version"]) for role in ("champion", "previous"))
    serving(now)
    installation.gyre("rollback", "digits")
    serving(before)
    installation.gyre("rollback", "digits")
    serving(now)


def test_the_readmes_own_data_and_network_go_through_the_loop(installation, tmp_path):
    text = (ROOT / "README.md").read_text()
    section = text.split("## Bring your own data and network")[1].split("\n## ")[0]
    for name, body in re.findall(r"`(wine/[\w.]+)`.*?```\w+\n(.*?)```", section, flags=re.S):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(body)
    commands = re.findall(r"^\.venv/bin/(.+)$", section, flags=re.M)
    assert [command.split()[0] for command in commands] == ["python", "gyre", "gyre", "gyre"]

    for command in commands:
        program, *arguments = command.split()
        line = [str(Path(sys.executable).with_name(program)), *arguments]
        done = run_while_it_moves(line, installation.environment, tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    head, *rows = [line.split() for line in done.stdout.splitlines()[:4]]
    assert head == ["row", "answer", "probability", "id"]
    assert [row[:2] for row in rows] == [["0", "0"], ["1", "0"], ["2", "0"]]


def test_a_scheduled_look_that_can_find_nothing_new_ends_without_a_process_and_says_so(installation):
    installation.gyre("drift", "digits")
    deployment = installation.prefect("/deployments/name/drift/digits")["id"]
    asked = {
        "deployments": {"id": {"any_": [deployment]}},
        "flow_runs": {"state": {"name": {"any_": ["Unchanged"]}}},
    }
    installation.prefect(f"/deployments/{deployment}/resume_deployment", {})
    try:
        patience = installation.patience()
        while not (spared := installation.prefect("/flow_runs/filter", asked)):
            assert not patience.has_run_out(), "no look was spared"
            time.sleep(1)
    finally:
        installation.prefect(f"/deployments/{deployment}/pause_deployment", {})
    assert spared[0]["state"]["message"].startswith("No new prediction, label or release since the look at ")
    assert stages(installation, spared[0]["id"]) == {}


def test_a_damaged_champion_is_mended_by_the_next_run_whose_page_says_so(installation):
    manifest = installation.home / "releases" / "digits.json"
    champion = json.loads(manifest.read_text())["champion"]
    graph = Path(champion["uri"]) / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"!")
    # Other tests may have had another champion promoted: it is mended by the run that made it, asked for again.
    runs = flow_runs(installation, "on-demand") + flow_runs(installation, RETRAINED)
    promoted = f"version {champion['version']} is promoted"
    (made_by,) = [run for run in runs if promoted in (run["state"]["message"] or "")]
    changes = (made_by["parameters"].get("overrides") or {}).items()
    installation.gyre(
        "run", "digits", *(part for key, value in changes for part in ("--set", f"{key}={value}"))
    )
    run = flow_runs(installation, "on-demand")[-1]
    artifacts = {"flow_run_id": {"any_": [run["id"]]}, "key": {"any_": ["digits-findings-compile"]}}
    (page,) = installation.prefect("/artifacts/filter", {"artifacts": artifacts})
    assert "damaged_champion" in [row["check"] for row in json.loads(page["data"])]
    champion = json.loads(manifest.read_text())["champion"]
    assert digest(Path(champion["uri"])) == champion["digest"]
