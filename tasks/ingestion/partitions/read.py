"""The partitions of a source as jobs, and their reading by Dask workers.

Each once, those that are kept not again.
"""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

from configs.intake import IntakeConfig
from configs.source import SourceConfig
from infra.cluster import run_bounded
from tasks.ingestion.parsing import dates
from tasks.ingestion.parsing.conversions import Conversions
from tasks.ingestion.partitions import join, store
from tasks.ingestion.partitions.sources import list_partitions
from tasks.ingestion.partitions.store import PartitionJob
from tasks.ingestion.readers.location import name_of
from tasks.records import Finding, SourceSnapshot


def partition_jobs(
    source: SourceConfig, intake: IntakeConfig, label: str, kept: Path, content: tuple[str, ...] = ()
) -> tuple[list[PartitionJob], tuple[Finding, ...]]:
    """The source's partitions as they are now, each to be read by an intake that knows its dates' formats.

    And what was found of these.
    """
    kept.mkdir(parents=True, exist_ok=True)
    joins = join.tables(source.join, intake, label, kept)
    code = store.code(intake)
    noted = Conversions(count for each in joins for count in each.counts)
    found = list_partitions(source, intake, label, kept, noted)
    intake, told = dates.with_formats(found, intake, kept, code, name_of(source))
    return [PartitionJob(entry, intake, label, joins, code, content) for entry in found], (
        *noted.findings(),
        *told,
    )


def read_partitions(
    snapshot: SourceSnapshot, source: SourceConfig, intake: IntakeConfig, label: str, client: Any, kept: Path
) -> int:
    """Has the workers, or where there is no client this process, read the partitions that are not kept.

    Returns how many.

    Raises ValueError where one is no longer what it was.
    """
    missing = {key for key in snapshot.partitions if not store.is_sound(kept / key)}
    if not missing:
        return 0
    wanted = {
        job.key: job
        for job in partition_jobs(source, intake, label, kept, snapshot.content)[0]
        if job.key in missing
    }
    if missing - set(wanted):
        raise ValueError(f"{name_of(source)}: changed while it was read; run the cycle again")
    if client is None:
        for job in wanted.values():
            store.keep_partition(job, kept)
    else:
        for _ in run_bounded(client, partial(store.keep_partition, folder=kept), list(wanted.values())):
            pass
    for key in wanted:
        for leftover in kept.glob(f".{key}.*"):  # of a worker that died while it wrote
            shutil.rmtree(leftover, ignore_errors=True)
    return len(wanted)
