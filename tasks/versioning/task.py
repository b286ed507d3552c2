"""The versioning stage's Prefect task."""

from pathlib import Path

from configs.intake import IntakeConfig
from configs.labeling import LabelingConfig
from configs.result import ResultConfig
from configs.source import SourceConfig
from configs.validation import ValidationConfig
from configs.versioning import VersioningConfig
from infra.settings import Settings
from tasks.pipeline.stage import show, stage, table
from tasks.records import DatasetVersion, LabelReport, RawRows, SourceSnapshot, ValidationReport
from tasks.versioning.repository import Repository


@stage()
def version(
    snapshot: SourceSnapshot,
    rows: RawRows,
    report: ValidationReport,
    labels: LabelReport,
    source: SourceConfig,
    validation: ValidationConfig,
    labeling: LabelingConfig,
    intake: IntakeConfig,
    result: ResultConfig,
    versioning: VersioningConfig,
) -> DatasetVersion:
    """The labelled rows as a version that `git` and `dvc pull` can fetch, and what is known of them."""
    from tasks.intake import build_intake
    from tasks.versioning.data_card import write_card
    from tasks.versioning.diff import difference
    from tasks.versioning.provenance import origin
    from tasks.versioning.version import make_version

    settings, project, taken = Settings(), snapshot.project, build_intake(intake)
    sections = {
        "source": source,
        "validation": validation,
        "labeling": labeling,
        "intake": intake,
        "result": result,
        "versioning": versioning,
    }
    known = origin(snapshot, rows, report, labels, sections, settings.home, settings.projects)
    repository = repository_of(versioning, settings)
    made = make_version(
        project,
        labels,
        taken.columns,
        versioning,
        repository,
        settings.home.datasets,
        result.label,
        known,
    )
    made = made.model_copy(update={"date_formats": rows.date_formats})
    before = settings.home.dataset(project, made.version - 1)
    against = (
        difference(before, Path(made.uri), result.label).summary if before.is_dir() else "the first version"
    )
    facts = {
        "version": made.tag,
        "commit": made.commit[:12],
        "rows": made.rows,
        **made.splits,
        "against the one before": against,
    }
    fetch = f"git clone {repository.root} rows && cd rows\ngit checkout {made.tag}\ndvc pull {project}"
    card = write_card(
        made, repository, taken, result.label, settings.home.make_report_folder(project, "data")
    )
    body = f"{table([facts])}\n\nWithout Gyre:\n\n```\n{fetch}\n```"
    show(project, "data set", body, data_card=settings.report_url(card))
    return made


def repository_of(versioning: VersioningConfig, settings: Settings) -> Repository:
    """The installation's data repo, with the project's remote."""
    return Repository(
        settings.home.data_repository,
        versioning.remote or str(settings.home.make(settings.home.remote)),
        versioning.remote_options,
    )
