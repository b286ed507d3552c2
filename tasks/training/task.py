"""The training stage's Prefect task."""

from typing import Any
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from configs.project import Cluster, Intake, Result, Training
from infra.settings import Settings
from tasks.records import DatasetVersion, TrainedModel
from tasks.stage import outcome_folder, show, stage, table
from tasks.training.plan import Plan
from tasks.training.tracking import Tracker
from tasks.training.train import train_network


@stage(volatile=("cluster",))
def train(dataset: DatasetVersion, intake: Intake, result: Result, training: Training, cluster: Cluster) -> TrainedModel:
    """A network trained on Horovod ranks, one a Dask worker, and evaluated on the test split."""
    settings, folder = Settings(), outcome_folder(("cluster",))
    plan = Plan(dataset=dataset, intake=intake, result=result, training=training, folder=folder)
    pictures = settings.folder("reports", dataset.project, "training", folder.name)
    key = f"{dataset.project}-epochs".replace("_", "-")
    progress: Any = create_progress_artifact(0.0, key=key, description=f"Epochs of {dataset.tag} on {training.ranks} ranks")
    with Tracker(settings.tracking_uri, settings.folder("mlflow", "artifacts"), plan, folder.name) as tracker:
        model = train_network(plan, cluster, tracker, pictures, lambda share: advance(progress, share))
    urls = [settings.report_url(pictures / name) for name in ("curves.png", "errors.png")]
    body = f"{table([model.metrics])}\n\n![Loss and metric of each epoch]({urls[0]})\n\n![Where the answers are wrong]({urls[1]})"
    show(dataset.project, "Training", body, run_in_MLflow=f"{settings.mlflow_url}/{tracker.page}")
    return model


def advance(progress: UUID, share: float) -> None:
    """Moves the bar on the task run's page."""
    update_progress_artifact(progress, progress=100 * share)
