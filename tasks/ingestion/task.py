"""The ingestion stage's Prefect tasks: look at the source, then read it."""

import time
from typing import TYPE_CHECKING

from configs.cluster import ClusterConfig
from configs.intake import IntakeConfig
from configs.result import ResultConfig
from configs.source import SourceConfig
from configs.versioning import VersioningConfig
from infra.cluster import open_cluster
from infra.settings import Settings
from tasks.pipeline.stage import outcome_folder, show, stage, table
from tasks.records import RawRows, SourceSnapshot
from tasks.rows.versions import Versions

if TYPE_CHECKING:
    from tasks.ingestion.raw_rows import Ingested


@stage(cached=False)
def locate(
    project: str,
    source: SourceConfig,
    intake: IntakeConfig,
    result: ResultConfig,
    versioning: VersioningConfig,
) -> SourceSnapshot:
    """What the source and production's feedback hold now.

    An unchanged world gives an equal snapshot, and every stage is reused.
    """
    from tasks.ingestion import raw_rows as core
    from tasks.production.prediction_log import PredictionLog

    settings = Settings()
    log = PredictionLog(settings.home.prediction_log(project))
    content = versioning.split.columns or Versions(settings.home.data_repository).content(project)
    snapshot = core.take_snapshot(
        project,
        source,
        intake,
        result,
        log,
        settings.home.make(settings.home.outcomes),
        settings.home.partitions,
        content,
    )
    show(
        project,
        "source",
        f"`{source.path or source.reader}`, fingerprint `{snapshot.fingerprint[:12]}`, {snapshot.feedback_rows} late labels.",
    )
    return snapshot


@stage(volatile=("cluster",))
def ingest(
    snapshot: SourceSnapshot,
    source: SourceConfig,
    intake: IntakeConfig,
    result: ResultConfig,
    cluster: ClusterConfig,
) -> RawRows:
    """The snapshot's rows as Parquet parts, read by Dask workers."""
    from tasks.ingestion import raw_rows as core
    from tasks.ingestion.plot import write_picture

    settings, folder = Settings(), outcome_folder(("cluster",))
    with open_cluster(cluster) as client:
        started = time.monotonic()
        found = core.ingest(snapshot, source, intake, result, client, folder, settings.home.partitions)
        speed = found.rows.rows / (time.monotonic() - started)
    picture = settings.home.make_report_folder(snapshot.project, "ingestion") / f"{folder.name}.png"
    write_picture(found.rows, intake, result.label, picture)
    show(
        snapshot.project,
        "ingestion",
        f"{table([summary(found, speed)])}\n\n![Some of the rows]({settings.report_url(picture)})",
    )
    return found.rows


def summary(found: "Ingested", speed: float) -> dict[str, object]:
    """A line of a table for people."""
    return {
        "rows": found.rows.rows,
        "late labels among them": found.rows.feedback_rows,
        "repeated keys left out": found.duplicates,
        "partitions": found.partitions,
        "read now": found.read,
        "columns": ", ".join(found.columns),
        "rows/s": round(speed),
    }
