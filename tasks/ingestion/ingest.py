"""A source's rows and production's feedback as Parquet parts, read and written by Dask workers.

The bytes depend on the snapshot alone, not on the number of workers: a part is a partition, and the last row of a repeated key stays.
Feedback comes after the source, the newest last. Workers write into the outcome's folder, so it must be on storage they share.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from configs.data import Source
from configs.project import Intake as IntakeSection
from configs.project import Result as ResultSection
from infra.files import whole_folder
from tasks import intake as intakes
from tasks import result as results
from tasks.dataset import part_name, schema_of, stored, write_part
from tasks.ingestion import feedback, sources
from tasks.ingestion.normalize import check_label, normalized
from tasks.prediction_log import PredictionLog
from tasks.records import RawRows, SourceSnapshot, Stored

LOGGER = logging.getLogger("gyre.ingestion")


@dataclass(frozen=True)
class Part:
    """What a worker tells about the part that it wrote."""

    number: int
    ids: list[str]
    """In the part's order."""
    columns: list[str]
    """As the source has them."""


@dataclass(frozen=True)
class Ingested:
    """The rows and how they came about."""

    rows: RawRows
    partitions: int
    columns: list[str]
    """Of the parts."""
    duplicates: int
    """Rows left out because a later one has the same key."""


def snapshot(
    project: str, source: Source, intake: IntakeSection, result: ResultSection, log: PredictionLog, outcomes: Path
) -> SourceSnapshot:
    """What the source and the prediction log hold now; the feedback is frozen under `outcomes`. Raises ValueError naming the source."""
    frozen, rows = feedback.freeze(log, intakes.build(intake), results.build(result), outcomes)
    return SourceSnapshot(project=project, fingerprint=sources.fingerprint(source), feedback=frozen, feedback_rows=rows)


def ingest(snapshot: SourceSnapshot, source: Source, intake: IntakeSection, result: ResultSection, client: Any, output: Path) -> Ingested:
    """The snapshot's rows in the folder `output`, whole or not at all, by the workers of a distributed.Client.

    Raises ValueError where the source changed since the snapshot, has no rows, or misses a column.
    """
    if sources.fingerprint(source) != snapshot.fingerprint:
        raise ValueError(f"{sources.name_of(source)}: changed while it was read; run the cycle again")
    with whole_folder(output) as folder:
        parts = write_parts(source, intake, result.label, client, folder)
        check_label(parts[0].columns, str(source.key), intakes.build(intake), result.label, sources.name_of(source))
        if snapshot.feedback:
            parts.append(write_feedback(snapshot.feedback, intake, result, folder, parts[-1].number + 1))
        duplicates = drop_duplicates(parts, folder)
        columns = schema_of(folder).names
    rows = sum(len(part.ids) for part in parts) - duplicates
    counts = {"rows": rows, "feedback_rows": len(parts[-1].ids) if snapshot.feedback else 0}
    LOGGER.info("%d rows in %d parts, %d repeated keys left out", rows, len(parts), duplicates)
    return Ingested(RawRows(**stored(output).model_dump(), **counts), len(parts), columns, duplicates)


def write_parts(source: Source, intake: IntakeSection, label: str, client: Any, folder: Path) -> list[Part]:
    """The source's partitions as parts, by the workers. Raises ValueError where their columns differ or there are no rows."""
    pieces = sources.partitions(source)
    tasks = [
        client.submit(write_partition, piece, source, intake, label, folder, number, pure=False) for number, piece in enumerate(pieces)
    ]
    parts: list[Part] = [part for part in client.gather(tasks) if part.ids]
    for leftover in folder.glob(".part-*"):
        leftover.unlink()  # of a worker that died while it wrote; it would change the folder's digest
    if not parts:
        raise ValueError(f"{sources.name_of(source)}: holds no rows")
    for part in parts:
        if set(part.columns) != set(parts[0].columns):
            differ = ", ".join(sorted(set(part.columns) ^ set(parts[0].columns)))
            raise ValueError(f"{sources.name_of(source)}: partitions {parts[0].number} and {part.number} differ in columns: {differ}")
    return parts


def write_partition(piece: sources.Partition, source: Source, intake: IntakeSection, label: str, folder: Path, number: int) -> Part:
    """Reads a partition and writes its part; none for a partition without rows. Runs on a Dask worker.

    A source with annotators alone gets an empty label: parts of one folder have the same columns, and feedback knows the label.
    """
    frame = sources.read(piece)
    if frame.empty:
        return Part(number, [], list(frame.columns))
    rows = normalized(frame, str(source.key), intakes.build(intake), "source", sources.name_of(source))
    write_part(rows if label in rows else rows.assign(**{label: None}), folder, number)
    return Part(number, rows["id"].to_list(), list(frame.columns))


def write_feedback(frozen: Stored, intake: IntakeSection, result: ResultSection, folder: Path, number: int) -> Part:
    """The frozen feedback as the last part, with the source's columns (empty where production knows nothing) and its type of label."""
    built, schema = intakes.build(intake), schema_of(folder)
    frame = normalized(feedback.rows(frozen, built, result.label), "id", built, "feedback", "feedback")
    if not pa.types.is_null(kind := schema.field(result.label).type):
        if pa.types.is_integer(kind) and results.build(result).classes is None:
            kind = pa.float64()  # the truth of a whole number may have a fraction
        frame[result.label] = pa.array(frame[result.label], pa.string()).cast(kind).to_pandas()
    for column in set(schema.names) - set(frame.columns):
        frame[column] = None
    write_part(frame[schema.names], folder, number)
    return Part(number, frame["id"].to_list(), list(frame.columns))


def drop_duplicates(parts: list[Part], folder: Path) -> int:
    """Leaves only the last row of every key; returns how many went."""
    ids = pd.Series([key for part in parts for key in part.ids])
    stays = ~ids.duplicated(keep="last").to_numpy()
    start = 0
    for part in parts:
        mine = stays[start : start + len(part.ids)]
        start += len(part.ids)
        if not mine.all():
            path = folder / part_name(part.number)
            write_part(pq.read_table(path).filter(pa.array(mine)), folder, part.number)
    return int((~stays).sum())
