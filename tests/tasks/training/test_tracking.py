"""Real runs in a real MLflow store."""

import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tasks.training.messages import EpochEnded, SystemMetrics
from tasks.training.tracking import OUTCOME, Tracker

MESSAGES = [
    EpochEnded(epoch=epoch, epochs=2, loss=1 / epoch, samples_per_s=100.0, metrics={"accuracy": epoch / 2})
    for epoch in (1, 2)
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """MLflow's URI and artifact folder; its tables are made once."""
    folder = tmp_path_factory.mktemp("mlflow")
    return f"sqlite:///{folder}/mlflow.db", folder / "artifacts"


@pytest.fixture
def track(store, plan):
    """Opens a tracker of an outcome."""
    return lambda outcome: Tracker(*store, plan("tracked"), outcome)


@pytest.fixture
def client(store):
    return MlflowClient(store[0])


def test_a_run_has_parameters_curves_metrics_and_artifacts(track, client, tmp_path, dataset):
    (tmp_path / "checkpoint").mkdir()
    for name in ("curves.png", "checkpoint/model.safetensors"):
        (tmp_path / name).write_bytes(b"bytes")
    with track("whole") as tracker:
        for message in MESSAGES:
            tracker.epoch(message)
        tracker.system_metrics(SystemMetrics(rank=1, step=30, metrics={"process_memory_megabytes": 512.0}))
        tracker.metrics({"accuracy": 0.98})
        tracker.keep(tmp_path / "curves.png")
        tracker.keep(tmp_path / "checkpoint")
    run = client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert {
        "ranks": "2",
        "seed": "7",
        "dataset_tag": "digits/v1",
        "dataset_digest": dataset.digest,
    }.items() <= run.data.params.items()
    assert [(point.step, point.value) for point in client.get_metric_history(tracker.run_id, "loss")] == [
        (1, 1.0),
        (2, 0.5),
    ]
    assert run.data.metrics["test_accuracy"] == 0.98
    (read,) = run.inputs.dataset_inputs
    assert (read.dataset.name, read.dataset.digest) == ("digits/v1", dataset.digest[:36])
    assert run.data.metrics["system/rank_1/process_memory_megabytes"] == 512.0
    kept = Path(run.info.artifact_uri.removeprefix("file://"))
    assert {path.relative_to(kept).as_posix() for path in kept.rglob("*.*")} == {
        "curves.png",
        "checkpoint/model.safetensors",
    }
    assert client.get_experiment(run.info.experiment_id).name == "digits"
    assert tracker.page == f"#/experiments/{run.info.experiment_id}/runs/{tracker.run_id}"


def test_the_commit_of_the_code_is_on_the_run(track, client):
    with track("commit") as tracker:
        pass
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    assert client.get_run(tracker.run_id).data.tags.get("mlflow.source.git.commit", "") == head.stdout.strip()


def test_an_error_ends_the_run_as_failed(track, client):
    with pytest.raises(ValueError, match="boom"), track("failing") as tracker:
        raise ValueError("boom")
    assert client.get_run(tracker.run_id).info.status == "FAILED"


def test_a_run_that_a_killed_process_left_behind_is_ended_when_the_same_training_starts_again(track, client):
    first, other = track("again"), track("elsewhere")
    left_behind = first.run_id
    with track("again") as tracker:
        assert tracker.run_id != left_behind
        assert client.get_run(left_behind).info.status == "KILLED"
        assert client.get_run(other.run_id).info.status == "RUNNING"
    assert client.get_run(tracker.run_id).data.tags[OUTCOME] == "again"
    other.__exit__(None, None, None)
    first.__exit__(None, None, None)


def test_what_could_not_be_written_is_an_error(track, tmp_path):
    with pytest.raises(OSError, match=r"missing\.png"), track("unwritten") as tracker:
        tracker.keep(tmp_path / "missing.png")


@pytest.mark.parametrize("module", ["tasks.training.task", "tasks.training.rank"])
def test_what_the_driver_refers_to_imports_no_heavy_library(module):
    heavy = "torch", "mlflow", "sklearn", "matplotlib", "horovod"
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "[]"


def test_runs_that_start_together_share_an_experiment_and_its_data_set(plan, tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    MlflowClient(uri).search_experiments()
    together = [Tracker(uri, tmp_path, plan("tracked"), f"trial {number}") for number in range(4)]
    for tracker in together:
        with tracker:
            tracker.metrics({"accuracy": 0.5})
    runs = [MlflowClient(uri).get_run(tracker.run_id) for tracker in together]
    assert [run.info.status for run in runs] == ["FINISHED"] * 4
    assert len({run.info.experiment_id for run in runs}) == 1
    assert {run.inputs.dataset_inputs[0].dataset.name for run in runs} == {"digits/v1"}
