"""The training stage's Prefect task."""

import hashlib
import json
from typing import Any
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from configs.cluster import ClusterConfig
from configs.intake import IntakeConfig
from configs.result import ResultConfig
from configs.search import SearchConfig
from configs.training import TrainingConfig
from infra.cluster import open_cluster
from infra.files import whole_file
from infra.settings import Settings
from tasks.pipeline.stage import outcome_folder, show, stage, table
from tasks.records import DatasetVersion, SearchReport, Stored, TrainedModel
from tasks.training.plan import Plan, Teacher
from tasks.training.tracking import Tracker


@stage(volatile=("cluster",))
def train(
    dataset: DatasetVersion,
    intake: IntakeConfig,
    result: ResultConfig,
    training: TrainingConfig,
    start: Stored | None,
    cluster: ClusterConfig,
    student: str | None = None,
    teacher: Teacher | None = None,
) -> TrainedModel:
    """A network trained on Horovod ranks, one a Dask worker, and evaluated on the test split.

    `student`: the name of a smaller one than the project's own; `teacher`: whose answers it learns from.
    """
    from tasks.training.distributed import train_network

    settings, folder = Settings(), outcome_folder(("cluster",))
    home = settings.home
    plan = Plan(
        dataset=dataset,
        intake=intake,
        result=result,
        training=training,
        start=start,
        student=student,
        teacher=teacher,
        folder=folder,
    )
    pictures = home.make_report_folder(dataset.project, "training", folder.name)
    key = f"{dataset.project}-epochs".replace("_", "-")
    progress: Any = create_progress_artifact(
        0.0, key=key, description=f"{student or dataset.tag} on {training.ranks} ranks"
    )
    with Tracker(settings.tracking_uri, home.make(home.mlflow_artifacts), plan, folder.name) as tracker:
        model = train_network(plan, cluster, tracker, pictures, lambda *how: advance(progress, *how))
    urls = [settings.report_url(pictures / name) for name in ("curves.png", "errors.png")]
    body = f"{table([model.metrics])}\n\n![Loss and metric of each epoch]({urls[0]})\n\n![Where the answers are wrong]({urls[1]})"
    title = f"Training of {student}" if student else "Training"
    show(dataset.project, title, body, run_in_MLflow=f"{settings.mlflow_url}/{tracker.page}")
    return model


def advance(progress: UUID, share: float, words: str) -> None:
    """Moves the bar on the task run's page, and in the terminal of whoever follows the run."""
    update_progress_artifact(progress, progress=100 * share, description=words)


@stage(cached=False)
def tune(
    dataset: DatasetVersion,
    intake: IntakeConfig,
    result: ResultConfig,
    training: TrainingConfig,
    search: SearchConfig,
    cluster: ClusterConfig,
) -> SearchReport:
    """Better values of the keys that `search` names.

    Trials are kept as they end: the same search again goes on where it stood.
    """
    from tasks.training import hyperparameter_search as core
    from tasks.training.tune import Trials

    settings = Settings()
    home = settings.home
    study = study_name(dataset, intake, result, training, search)
    plan = Plan(
        dataset=dataset,
        intake=intake,
        result=result,
        training=training,
        folder=home.make(home.searches / study),
    )
    storage = f"sqlite:///{home.make(home.searches) / 'searches.db'}"

    def tracker(trial: Plan, number: int) -> Tracker:
        return Tracker(
            settings.tracking_uri, home.make(home.mlflow_artifacts), trial, f"{study} trial {number}"
        )

    with open_cluster(cluster) as client:
        trials = Trials(client, plan, search, tracker)
        found = core.search(study, storage, search, trials.evaluate, trials.slots)
    picture = home.make_report_folder(dataset.project, "searches") / f"{study}.png"
    with whole_file(picture) as temporary:
        temporary.write_bytes(core.picture(core.open_study(study, storage, search), search))
    report = SearchReport(
        project=dataset.project,
        study=study,
        dataset=dataset,
        best=found.best,
        figures=found.figures,
        trials=len(found.trials),
    )
    show(
        dataset.project,
        "Search",
        f"{search_report(report, found.trials)}\n\n![The search]({settings.report_url(picture)})",
    )
    return report


def study_name(
    dataset: DatasetVersion,
    intake: IntakeConfig,
    result: ResultConfig,
    training: TrainingConfig,
    search: SearchConfig,
) -> str:
    """The same for the same question: rows, network, keys and objectives; its budget is not part of it."""
    question = [dataset.digest, intake.model_dump(), result.model_dump(), training.model_dump()]
    question.append(search.model_dump(exclude={"trials", "minutes", "ranks"}))
    return f"{dataset.project}-{hashlib.sha256(json.dumps(question, sort_keys=True, default=str).encode()).hexdigest()[:12]}"


def search_report(report: SearchReport, trials: tuple[dict[str, Any], ...]) -> str:
    """The best values as they are used, and the trials, for people."""
    lines = [
        f"gyre run {report.project} " + " ".join(f"--set {key}={value}" for key, value in best.items())
        for best in report.best
    ]
    used = "\n".join(lines) or "no trial ended well"
    names = list(dict.fromkeys(name for trial in trials for name in trial))
    return f"```\n{used}\n```\n\n{table([{name: trial.get(name, '') for name in names} for trial in trials])}"
