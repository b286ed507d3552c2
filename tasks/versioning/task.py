"""The versioning stage's Prefect task."""

from configs.data import Versioning
from infra.settings import Settings
from tasks.dataset import stored
from tasks.records import DatasetVersion, LabelReport
from tasks.stage import show, stage, table


@stage()
def version(project: str, labels: LabelReport, versioning: Versioning) -> DatasetVersion:
    """The labelled rows as a version that `git` and `dvc pull` can fetch."""
    from tasks.versioning.repository import Repository
    from tasks.versioning.version import changes, make_version

    settings = Settings()
    repository = Repository(settings.home / "data", versioning.remote or str(settings.folder("remote")))
    made = make_version(project, labels, versioning, repository, settings.home / "datasets")
    before = settings.home / "datasets" / project / f"v{made.version - 1}"
    difference = changes(made, stored(before) if before.is_dir() else None)
    against = (
        f"{difference.added} rows added, {difference.removed} removed, {difference.changed} changed" if difference else "the first version"
    )
    facts = {"version": made.tag, "commit": made.commit[:12], "rows": made.rows, **made.splits, "against the one before": against}
    fetch = f"git clone {repository.root} rows && cd rows\ngit checkout {made.tag}\ndvc pull {project}"
    show(project, "data set", f"{table([facts])}\n\nWithout Gyre:\n\n```\n{fetch}\n```")
    return made
