"""The Prefect task of a batch scoring."""

import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any, Literal

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from configs.cluster import ClusterConfig
from configs.intake import IntakeConfig
from configs.source import SourceConfig
from infra.cluster import open_cluster
from infra.settings import Settings
from tasks.pipeline.code import code_digest
from tasks.pipeline.stage import show, stage, table
from tasks.records import ScoreReport, Stored

if TYPE_CHECKING:
    from tasks.scoring.run import Question

Existing = Literal["refuse", "replace", "append"]
LOGGER = logging.getLogger("gyre.scoring")


@stage(cached=False)
def score(
    project: str,
    source: str,
    target: str,
    source_table: str | None,
    target_table: str | None,
    version: int | None,
    existing: Existing,
    allow_missing: bool,
    training: SourceConfig,
    intake: IntakeConfig,
    label: str,
    cluster: ClusterConfig,
) -> ScoreReport:
    """All rows of a source, answered by a released version, in the target.

    Partitions that a killed run finished are not scored again.
    """
    from tasks.production.releases import Releases, find_version
    from tasks.scoring import run as core
    from tasks.scoring.report import report_of
    from tasks.scoring.source import reading_notices, source_at
    from tasks.scoring.targets import target_at, without_password

    settings = Settings()
    served = find_version(Releases(settings.home.releases).read(project), version, "to score with")
    rows = source_at(source, training, intake, source_table, label)
    bundle = Stored(uri=served.uri, digest=served.digest)
    told = reading_notices(rows, training)
    question = core.Question(project, served.version, bundle, rows, intake, allow_missing, told)
    goes_to = target_at(target, target_table)
    bar: Any = create_progress_artifact(progress=0.0, description="looking at the source")

    def tell(progress: core.Progress) -> None:
        share = progress.done / max(1, progress.partitions)
        update_progress_artifact(bar, progress=100 * share, description=progress.words)

    staging = settings.home.make(settings.home.outcomes) / staging_name(question, target, target_table)
    with open_cluster(cluster) as client:
        scored = core.score(question, goes_to, existing, staging, settings.home.partitions, client, tell)
    place = f"{without_password(target)}, table {target_table}" if target_table else target
    report = report_of(question, goes_to, place, scored)
    show(project, "Scores", page(report))
    for sentence in report.differences:
        LOGGER.warning("%s", sentence)
    return report


def staging_name(question: "Question", target: str, target_table: str | None) -> str:
    """The folder of partitions on their way.

    The same for the same question and target as long as the code is the same.
    """
    asked = [
        question.project,
        question.version,
        question.bundle.digest,
        question.source.model_dump(mode="json"),
        question.intake.model_dump(mode="json"),
        question.allow_missing,
        target,
        target_table,
    ]
    body = json.dumps(asked, sort_keys=True).encode()
    code = code_digest(__name__, body)
    return f"score-{hashlib.sha256(body + code.encode()).hexdigest()[:24]}"


def page(report: ScoreReport) -> str:
    """What a person reads on the run's page.

    Rows and rate, answers, refused rows with their reasons, and how inputs differ from training.
    """
    from tasks.scoring.report import tables

    parts = [report.summary]
    parts += [f"**{title}**\n\n{table(rows)}" for title, rows in tables(report).items()]
    if report.differences:
        parts.append("**Beside training rows**\n\n" + "\n".join(f"- {each}" for each in report.differences))
    return "\n\n".join(parts)
