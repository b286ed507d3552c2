"""The training's run in MLflow: parameters, curves, metrics, pictures and the checkpoint."""

import json
import logging
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from tasks.records import DatasetVersion
from tasks.training.messages import EpochEnded, SystemMetrics
from tasks.training.plan import Plan

log = logging.getLogger("gyre.training")
OUTCOME = "gyre.outcome"
"""Tag with the outcome's key: runs with the same value trained the same thing."""


class Tracker:
    """One MLflow run. MLflow takes seconds to import, so a thread of its own writes while the ranks train.

    Leaving the block ends the run as FINISHED or FAILED. What could not be written is an error then.
    """

    def __init__(self, uri: str, artifacts: Path, plan: Plan, outcome: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mlflow")
        self._written: list[Future[Any]] = []
        self._started = self._thread.submit(start, uri, artifacts, plan, outcome)

    @property
    def run_id(self) -> str:
        """MLflow's id of the run."""
        return str(self._started.result()[1].info.run_id)

    @property
    def page(self) -> str:
        """Path of the run's page in MLflow."""
        return f"#/experiments/{self._started.result()[1].info.experiment_id}/runs/{self.run_id}"

    def epoch(self, ended: EpochEnded) -> None:
        """A point on each curve."""
        values = {"loss": ended.loss, "samples_per_s": ended.samples_per_s, **ended.metrics}
        self._write(log_metrics, values, ended.epoch)

    def system_metrics(self, told: SystemMetrics) -> None:
        """What a rank and its host used, where MLflow's pages show system metrics."""
        values = {f"system/rank_{told.rank}/{name}": value for name, value in told.metrics.items()}
        self._write(log_metrics, values, told.step)

    def metrics(self, values: dict[str, float]) -> None:
        """The final metrics, as test_<name>."""
        self._write(log_metrics, {f"test_{name}": value for name, value in values.items()}, 0)

    def keep(self, path: Path) -> None:
        """A copy of a file or folder among the run's artifacts."""
        self._write(keep, path)

    def _write(self, function: Any, *arguments: Any) -> None:
        self._written.append(self._thread.submit(lambda: function(*self._started.result(), *arguments)))

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write(end, "FAILED" if kind else "FINISHED")
        self._thread.shutdown()
        problems = [problem for future in self._written if (problem := future.exception())]
        if problems and not kind:
            raise problems[0]
        for problem in problems:
            log.warning("MLflow: %s", problem)


def start(uri: str, artifacts: Path, plan: Plan, outcome: str) -> tuple[Any, Any]:
    """A client and a new run in the project's experiment.

    A run of the same outcome that a killed process left behind is ended first.
    """
    from mlflow.entities import Param, RunTag
    from mlflow.tracking import MlflowClient

    Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(uri)
    experiment = beside_others(experiment_of, client, plan.dataset.project, artifacts)
    for stale in client.search_runs(
        [experiment], f"tags.`{OUTCOME}` = '{outcome}' and attributes.status = 'RUNNING'"
    ):
        client.set_terminated(stale.info.run_id, "KILLED")
    run = client.create_run(
        experiment,
        tags={OUTCOME: outcome, "mlflow.source.name": "gyre"},
        run_name=f"{plan.dataset.tag} {f'student {plan.student}' if plan.student else 'training'}",
    )
    tags = [RunTag("mlflow.source.git.commit", commit)] if (commit := code_version()) else []
    client.log_batch(
        run.info.run_id,
        params=[Param(name, str(value)) for name, value in parameters(plan).items()],
        tags=tags,
    )
    beside_others(client.log_inputs, run.info.run_id, [read_by(plan.dataset)])
    return client, run


def experiment_of(client: Any, project: str, artifacts: Path) -> str:
    """The id of a project's experiment, which the first run makes."""
    found = client.get_experiment_by_name(project)
    return str(found.experiment_id if found else client.create_experiment(project, artifacts.as_uri()))


def beside_others(write: Callable[..., Any], *arguments: Any) -> Any:
    """Writes a row that runs share, once more where another run inserted it first.

    MLflow looks for such a row and inserts it in two steps, so runs that start together collide.
    """
    from mlflow.exceptions import MlflowException

    try:
        return write(*arguments)
    except MlflowException:
        return write(*arguments)


def read_by(dataset: DatasetVersion) -> Any:
    """The version of the rows as MLflow lists it among what a run read."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"uri": dataset.uri, "commit": dataset.commit, "digest": dataset.digest})
    profile = json.dumps({"num_rows": dataset.rows, **dataset.splits})
    # MLflow keeps 36 characters of a digest.
    named = Dataset(dataset.tag, dataset.digest[:36], "dvc", source, profile=profile)
    return DatasetInput(named, [InputTag("mlflow.data.context", "training")])


def parameters(plan: Plan) -> dict[str, Any]:
    """What the run was made from."""
    facts = {
        "tag": plan.dataset.tag,
        "commit": plan.dataset.commit,
        "digest": plan.dataset.digest,
        "rows": plan.dataset.rows,
    }
    return plan.training.model_dump() | {f"dataset_{name}": value for name, value in facts.items()}


def code_version() -> str | None:
    """The git commit of Gyre's own checkout; None where it is installed without one."""
    checkout = Path(__file__).parents[2]
    if not (checkout / ".git").exists():
        return None
    asked = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or None


def log_metrics(client: Any, run: Any, values: dict[str, float], step: int) -> None:
    """All values in one transaction."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    client.log_batch(
        run.info.run_id, metrics=[Metric(name, value, now, step) for name, value in values.items()]
    )


def keep(client: Any, run: Any, path: Path) -> None:
    """Copies a file to the run's artifacts, or a folder under its own name."""
    if path.is_dir():
        client.log_artifacts(run.info.run_id, str(path), path.name)
    else:
        client.log_artifact(run.info.run_id, str(path))


def end(client: Any, run: Any, status: str) -> None:
    """Ends the run."""
    client.set_terminated(run.info.run_id, status)
