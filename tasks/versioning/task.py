"""The versioning stage's Prefect task."""

from pathlib import Path

from configs.data import Versioning
from configs.project import Intake, Result
from infra.settings import Settings
from tasks.intake import build
from tasks.records import DatasetVersion, LabelReport
from tasks.stage import show, stage, table
from tasks.versioning.repository import Repository


@stage()
def version(project: str, labels: LabelReport, intake: Intake, result: Result, versioning: Versioning) -> DatasetVersion:
    """The labelled rows as a version that `git` and `dvc pull` can fetch."""
    from tasks.versioning.difference import difference
    from tasks.versioning.version import make_version

    settings = Settings()
    repository = repository_of(versioning, settings)
    made = make_version(project, labels, build(intake).columns, versioning, repository, settings.home / "datasets")
    before = settings.home / "datasets" / project / f"v{made.version - 1}"
    against = difference(before, Path(made.uri), result.label).summary if before.is_dir() else "the first version"
    facts = {"version": made.tag, "commit": made.commit[:12], "rows": made.rows, **made.splits, "against the one before": against}
    fetch = f"git clone {repository.root} rows && cd rows\ngit checkout {made.tag}\ndvc pull {project}"
    show(project, "data set", f"{table([facts])}\n\nWithout Gyre:\n\n```\n{fetch}\n```")
    return made


def repository_of(versioning: Versioning, settings: Settings) -> Repository:
    """The installation's data repo, with the project's remote."""
    return Repository(settings.home / "data", versioning.remote or str(settings.folder("remote")), versioning.remote_options)
