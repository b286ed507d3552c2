"""A source's rows and production's feedback as Parquet parts.

Partitions are read by Dask workers, each once, and linked into the run's folder.

The bytes depend on the snapshot alone, not on the number of workers; the last row of a repeated key stays.
Feedback comes after the source, the newest last. Workers write under the home, so it must be on storage they
share.
"""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from configs.intake import IntakeConfig
from configs.result import ResultConfig
from configs.source import SourceConfig
from infra.disk_guard import guard_disk
from infra.files import whole_folder
from tasks.ingestion import late_labels
from tasks.ingestion.lines import number_lines
from tasks.ingestion.parsing import dates
from tasks.ingestion.parsing.conversions import Conversions
from tasks.ingestion.parsing.layout import content_columns, intake_columns, table_of_frame, to_layout
from tasks.ingestion.parsing.unit_changes import check_units
from tasks.ingestion.partitions import store
from tasks.ingestion.partitions.deduplication import drop_repeated
from tasks.ingestion.partitions.read import partition_jobs, read_partitions
from tasks.ingestion.partitions.store import KeptPartition
from tasks.ingestion.readers.location import name_of
from tasks.ingestion.source_findings import (
    identical_files,
    judged_profiles,
    note_unwanted,
    repeated_keys,
    split_anew,
)
from tasks.intake import build_intake
from tasks.production.prediction_log import PredictionLog
from tasks.records import RawRows, SourceSnapshot, Stored
from tasks.result import build_result
from tasks.rows.parts import part_name, part_paths, record_of, schema_of, tables, write_tables

LOGGER = logging.getLogger("gyre.ingestion")


@dataclass(frozen=True)
class Ingested:
    """The rows and how they came about."""

    rows: RawRows
    partitions: int
    """Partitions that have rows."""
    read: int
    """Partitions that were not kept from an earlier run."""
    columns: list[str]
    """Of the parts."""
    duplicates: int
    """Rows left out because a later one has the same key."""


def take_snapshot(
    project: str,
    source: SourceConfig,
    intake: IntakeConfig,
    result: ResultConfig,
    log: PredictionLog,
    outcomes: Path,
    kept: Path,
    content: tuple[str, ...] = (),
) -> SourceSnapshot:
    """What the source and the prediction log hold now; the feedback is frozen under `outcomes`.

    Raises ValueError naming the source.

    kept: folder of the partitions that were read, and of what is known about the source
    content: columns by which rows were split so far
    """
    frozen, rows, unusable = late_labels.freeze(log, build_intake(intake), build_result(result), outcomes)
    found, told = partition_jobs(source, intake, result.label, kept, content)
    keys = tuple(job.key for job in found)
    return SourceSnapshot(
        project=project,
        fingerprint=hashlib.sha256("".join(keys).encode()).hexdigest(),
        partitions=keys,
        feedback=frozen,
        feedback_rows=rows,
        date_formats=dates.known_formats(found[0].intake, source),
        content=content,
        findings=(*told, *unusable),
    )


def ingest(
    snapshot: SourceSnapshot,
    source: SourceConfig,
    intake: IntakeConfig,
    result: ResultConfig,
    client: Any,
    output: Path,
    kept: Path,
) -> Ingested:
    """The snapshot's rows in the folder `output`, whole or not at all, by the workers of a distributed.Client; None: in this process.

    Raises ValueError where the source changed since the snapshot, has no rows, or misses a column, OSError
    where a disk is full.
    """
    with guard_disk(lambda: f"the rows of {name_of(source)} do not fit", output, kept):
        return ingest_rows(snapshot, source, intake, result, client, output, kept)


def ingest_rows(
    snapshot: SourceSnapshot,
    source: SourceConfig,
    intake: IntakeConfig,
    result: ResultConfig,
    client: Any,
    output: Path,
    kept: Path,
) -> Ingested:
    """As `ingest`, where the disks have room."""
    read = read_partitions(snapshot, source, intake, result.label, client, kept)
    found = [store.open_kept(kept / key) for key in snapshot.partitions]
    filled = [partition for partition in found if partition.rows]
    conversions = Conversions(count for partition in found for count in partition.conversions)
    note_unwanted(found, conversions)
    if not filled:
        raise ValueError(f"{name_of(source)}: holds no rows{conversions.told()}")
    check_alike(filled, source)
    with whole_folder(output) as folder:
        link_parts(filled, folder, source)
        schema = check_source(folder, source)
        content = content_of(filled[0], snapshot, source, intake)
        late = write_feedback(snapshot.feedback, intake, result, folder, content) if snapshot.feedback else 0
        with TemporaryDirectory(dir=kept, prefix=".ids-") as spare:
            repeats = drop_repeated(
                folder, hashes_of(filled, late, source, folder, Path(spare)), result.label
            )
        rows = sum(pq.read_metadata(path).num_rows for path in part_paths(folder))
    LOGGER.info(
        "%d rows of %d partitions, %d of them read now, %d repeated keys left out",
        rows,
        len(filled),
        read,
        repeats.count,
    )
    findings = snapshot.findings + conversions.findings() + judged_profiles(filled, source)
    findings += repeated_keys(source, repeats, rows + repeats.count) if repeats.count else ()
    findings += identical_files(filled) if source.reader in ("csv", "jsonl", "parquet") else ()
    findings += split_anew(snapshot, content, rows)
    facts = {
        "feedback_rows": late,
        "date_formats": snapshot.date_formats,
        "content": content,
        "findings": findings,
    }
    raw = RawRows(**record_of(output).model_dump(), rows=rows, **facts)
    return Ingested(raw, len(filled), read, schema.names, repeats.count)


def content_of(
    partition: KeptPartition, snapshot: SourceSnapshot, source: SourceConfig, intake: IntakeConfig
) -> tuple[str, ...]:
    """The columns that the rows' content was taken from."""
    keys = (source.key,) if isinstance(source.key, str) else source.key
    return content_columns([*partition.columns, *keys], snapshot.content, intake_columns(intake))


def check_alike(found: list[KeptPartition], source: SourceConfig) -> None:
    """Raises ValueError where partitions differ in their columns."""
    for each in found:
        if set(each.columns) != set(found[0].columns):
            differ = ", ".join(sorted(set(each.columns) ^ set(found[0].columns)))
            raise ValueError(
                f"{name_of(source)}: {found[0].origin} and {each.origin} differ in columns: {differ}"
            )


def link_parts(found: list[KeptPartition], folder: Path, source: SourceConfig) -> None:
    """The partitions' parts in the run's folder, in order.

    The first `source.rows` rows alone where that is set.
    """
    left = source.rows if source.reader != "synthetic" else None
    for number, path in enumerate(path for each in found for path in each.parts):
        if left is None:
            store.link(path, folder / part_name(number))
        elif left > 0:
            table = pq.read_table(path).slice(0, left)
            left -= write_tables([table], folder / part_name(number))


def check_source(folder: Path, source: SourceConfig) -> pa.Schema:
    """The parts' schema. Raises ValueError where types differ, or numbers came in another unit."""
    schema = schema_of(folder)
    usual = {name: column for name, column in source.columns.items() if column.usual and name in schema.names}
    if usual:
        check_units(part_paths(folder), usual, name_of(source))
    return schema


def hashes_of(
    found: list[KeptPartition], late: int, source: SourceConfig, folder: Path, spare: Path
) -> list[Path]:
    """Files with the hashes of all ids.

    The partitions' own, and one below `spare` of what is not a partition.
    """
    if source.rows and source.reader != "synthetic":
        return [written_hashes(part_paths(folder), spare / store.HASHES)]
    return [each.folder / store.HASHES for each in found] + (
        [written_hashes(part_paths(folder)[-1:], spare / store.HASHES)] if late else []
    )


def written_hashes(paths: list[Path], target: Path) -> Path:
    """A file with the hashes of the ids of some parts."""
    for _ in store.write_hashes((table for path in paths for table in tables(path, ["id"])), target):
        pass
    return target


def write_feedback(
    frozen: Stored, intake: IntakeConfig, result: ResultConfig, folder: Path, content: tuple[str, ...]
) -> int:
    """The frozen feedback as the last part, with the source's columns (empty where production knows nothing) and its type of label.

    A served row's content is what was served, in the same columns where the model takes them: it stays on its
    side as long as the source's.
    """
    schema = schema_of(folder)
    rows = number_lines(table_of_frame(late_labels.rows(frozen, build_intake(intake), result.label)), 1)
    table = to_layout(rows, "id", intake, result.label, "feedback", "feedback", content)
    columns = {}
    for field in schema:
        kind = field.type
        if field.name == result.label and pa.types.is_integer(kind) and build_result(result).classes is None:
            kind = pa.float64()  # the truth of a whole number may have a fraction
        columns[field.name] = (
            table[field.name].cast(kind) if field.name in table.column_names else pa.nulls(len(table), kind)
        )
    return write_tables([pa.table(columns)], folder / part_name(len(part_paths(folder))))
