"""The stage as a flow runs it: real ranks, a real Prefect server, a real MLflow store."""

import re

import pytest
from mlflow.tracking import MlflowClient
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.testing.utilities import prefect_test_harness

from configs.cluster import ClusterConfig
from infra.files import verify
from infra.settings import Settings
from tasks.training.task import train


@pytest.fixture
def prefect(with_mlflow):
    with prefect_test_harness(server_startup_timeout=120):
        yield


def artifacts():
    with get_client(sync_client=True) as client:
        return {artifact.type: artifact for artifact in client.read_artifacts()}


def test_training_gives_a_checked_checkpoint_a_report_and_an_mlflow_run_and_is_not_repeated(prefect, plan):
    asked = plan("task", epochs=3)

    @flow
    def training():
        return train(asked.dataset, asked.intake, asked.result, asked.training, None, ClusterConfig())

    model, settings = training(), Settings()
    folder = verify(model.uri, model.digest)
    pictures = settings.home / "reports" / "digits" / "training" / folder.parent.name
    shown = artifacts()
    assert folder.is_relative_to(settings.home / "outcomes")
    assert next(iter(model.metrics)) == "accuracy"
    assert shown["progress"].data == 100
    assert re.fullmatch(
        r"epoch 3/3, loss \d\S+, accuracy \d\S+, [\d,]+ samples/s", shown["progress"].description
    )
    for name in ("curves.png", "errors.png"):
        assert (pictures / name).is_file()
        assert settings.report_url(pictures / name) in shown["markdown"].data
    assert f"{settings.mlflow_url}/#/experiments/" in shown["markdown"].data
    assert MlflowClient(settings.tracking_uri).get_run(model.run_id).info.status == "FINISHED"
    assert {path.suffix for path in settings.home.make(settings.home.mlflow_artifacts).rglob("*.*")} == {
        ".png",
        ".json",
        ".safetensors",
    }
    assert training() == model
