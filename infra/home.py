"""Every place of an installation: which folder and which file below its home holds what.

The names are those of what lies there. The layout on the disk is older than this module and stays as it is,
or an installation would no longer find what it has written.
"""

from dataclasses import dataclass
from pathlib import Path

PRIVATE = 0o700
"""Mode of the home: its owner's alone, and with it everything below."""


@dataclass(frozen=True)
class Home:
    """The folder of one installation, and the places in it. Nothing is made by asking where it is."""

    root: Path

    def __fspath__(self) -> str:
        return str(self.root)

    def __str__(self) -> str:
        return str(self.root)

    def __truediv__(self, name: str) -> Path:
        """A place by its name on the disk, such as one that a record holds relative to the home."""
        return self.root / name

    def make(self, place: Path) -> Path:
        """A folder of the home, made if missing; a home that is made with it is private."""
        self.root.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        place.mkdir(parents=True, exist_ok=True)
        return place

    @property
    def credentials(self) -> Path:
        """The netrc file of the installation's user and password."""
        return self.root / "credentials"

    @property
    def tokens(self) -> Path:
        """What programs may ask the model server, by the digests of their tokens."""
        return self.root / "tokens.json"

    @property
    def settings(self) -> Path:
        """The YAML file of what the environment does not set."""
        return self.root / "settings.yaml"

    @property
    def project_schema(self) -> Path:
        """The JSON schema of a project's YAML, which editors read."""
        return self.root / "project.schema.json"

    @property
    def database(self) -> Path:
        """SQLite: drift episodes and the claims on them."""
        return self.root / "gyre.db"

    @property
    def outcomes(self) -> Path:
        """What stages made: a folder an outcome, by its key."""
        return self.root / "outcomes"

    @property
    def partitions(self) -> Path:
        """What ingestion read: a folder a partition, by what it read and how."""
        return self.root / "slices"

    @property
    def data_repository(self) -> Path:
        """The git and DVC repository of data set versions."""
        return self.root / "data"

    @property
    def remote(self) -> Path:
        """DVC's storage where the YAML names none."""
        return self.root / "remote"

    @property
    def datasets(self) -> Path:
        """The Parquet parts of data set versions, by project and version."""
        return self.root / "datasets"

    def dataset(self, project: str, version: int) -> Path:
        """The Parquet parts of one version."""
        return self.datasets / project / f"v{version}"

    @property
    def quarantines(self) -> Path:
        """Rows that broke a rule, and what people decided on them, by project."""
        return self.root / "quarantine"

    def quarantine(self, project: str) -> Path:
        """A project's quarantine."""
        return self.quarantines / project

    @property
    def checkpoints(self) -> Path:
        """Checkpoints of registered models that a training began with."""
        return self.root / "checkpoints"

    @property
    def searches(self) -> Path:
        """Searches for hyperparameters: a folder a study, and Optuna's database."""
        return self.root / "searches"

    @property
    def backtests(self) -> Path:
        """Models that backtests trained, by project."""
        return self.root / "backtests"

    @property
    def mlflow(self) -> Path:
        """MLflow's database and artifacts."""
        return self.root / "mlflow"

    @property
    def mlflow_database(self) -> Path:
        """SQLite: MLflow's runs and registered models."""
        return self.mlflow / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        """Files of MLflow's runs."""
        return self.mlflow / "artifacts"

    @property
    def runtimes(self) -> Path:
        """What `gyre export` puts beside a graph: runtimes from npm, a folder a version."""
        return self.root / "runtimes"

    @property
    def bundles(self) -> Path:
        """Bundles that were released, by project and digest."""
        return self.root / "bundles"

    def bundle(self, project: str, digest: str) -> Path:
        """Where a released bundle is kept; 16 digits of its digest name it."""
        return self.bundles / project / digest[:16]

    @property
    def releases(self) -> Path:
        """What serves: a manifest a project."""
        return self.root / "releases"

    @property
    def predictions(self) -> Path:
        """The prediction logs and late labels, by project and day."""
        return self.root / "predictions"

    def prediction_log(self, project: str) -> Path:
        """A project's predictions and late labels."""
        return self.predictions / project

    @property
    def jobs(self) -> Path:
        """Async requests of the model server, and the secret that signs its webhooks."""
        return self.root / "jobs"

    def last_look(self, project: str) -> Path:
        """What the last look at production saw, where nothing was pending after it."""
        return self.root / "monitoring" / f"{project}.json"

    @property
    def reports(self) -> Path:
        """Pages and pictures for people, by project and stage; the report pages show this folder."""
        return self.root / "reports"

    def report_folder(self, project: str, stage: str, *names: str) -> Path:
        """Pages and pictures of a stage, or of one outcome of it."""
        return self.reports.joinpath(project, stage, *names)

    def make_report_folder(self, project: str, stage: str, *names: str) -> Path:
        """The same, made if missing."""
        return self.make(self.report_folder(project, stage, *names))

    @property
    def prefect(self) -> Path:
        """Prefect's own home."""
        return self.root / "prefect"

    @property
    def prefect_database(self) -> Path:
        """SQLite: flow runs, schedules and events."""
        return self.prefect / "prefect.db"

    @property
    def prefect_results(self) -> Path:
        """Records that stages returned, by the keys of their outcomes."""
        return self.prefect / "results"

    @property
    def services(self) -> Path:
        """The supervisor's own files."""
        return self.root / "services"

    @property
    def logs(self) -> Path:
        """What services wrote: a file a service."""
        return self.root / "logs"

    @property
    def demo(self) -> "Home":
        """The home of what `make demo` plays: an installation inside this one."""
        return Home(self.root / "demo")

    @property
    def demo_report(self) -> Path:
        """What happened in the demo, in its own home."""
        return self.root / "report.json"
