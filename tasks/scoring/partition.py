"""One partition of a source, scored on a Dask worker into a folder of its own.

Scores, the refused rows, and what was counted.

A folder with its note is finished and never made again; memory is bounded by a table of rows, however many
there are.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from infra.files import read_json, whole_folder, write_json
from tasks.ingestion.lines import LINE
from tasks.ingestion.parsing.row_ids import as_text, join_escaped
from tasks.ingestion.partitions.join import Matches, Table, join_tables
from tasks.ingestion.partitions.sources import SourcePartition
from tasks.ingestion.readers.location import hide_values, location_of
from tasks.ingestion.readers.stream import read_ahead
from tasks.records import Stored
from tasks.rows.content_hash import COLUMN as CONTENT
from tasks.rows.parts import ROWS_A_GROUP, part_writer
from tasks.scoring.answers import answer_columns, answers, not_finite
from tasks.scoring.bundle import OpenBundle, open_bundle
from tasks.scoring.counts import Counts, note_answers, note_inputs, note_samples
from tasks.scoring.refused_rows import KeptRows, shown_columns, write_left_out, write_refused
from tasks.scoring.row_inputs import Refusals, RowReading, absent_columns, read_inputs

NOTE, SCORES, REFUSED = "note.json", "scores.parquet", "refused.jsonl"
HOW = ("columns", "key", "limits", "csv", "images")
"""What of a source's section changes how its rows are read."""


@dataclass(frozen=True)
class ScoringJob:
    """A partition and what answers its rows."""

    entry: SourcePartition
    again: int
    """How many partitions before it hold the very same.

    A file may lie there twice, and its rows count twice.
    """
    reading: RowReading
    joins: tuple[Table, ...]
    bundle: Stored
    project: str
    version: int | None
    allow_missing: bool

    @property
    def key(self) -> str:
        """Name of the partition: a digest of its rows, of how they are read, and of what answers."""
        facts = [
            self.entry.partition.id,
            self.again,
            self.entry.source.model_dump(include=set(HOW), mode="json"),
            self.reading.intake.model_dump(mode="json"),
            [join.key for join in self.joins],
            self.bundle.digest,
            self.version,
            self.allow_missing,
        ]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def score_partition(job: ScoringJob, folder: Path) -> str:
    """Scores a partition into `folder`/<key>, whole or not at all; returns the key.

    Raises ValueError naming what is wrong, and where.
    """
    if is_scored(folder / job.key):
        return job.key
    bundle, source, name = open_bundle(job.bundle), job.entry.source, job.entry.name
    counts, kept = Counts(), KeptRows()
    began = time.monotonic()
    with whole_folder(folder / job.key) as made:
        try:
            score_tables(job, bundle, counts, kept, made, folder / progress_name(job.key))
        except Exception as error:
            text = str(error)
            if hide_values(text, location_of(source)) == text:
                raise
            raise ValueError(hide_values(text, location_of(source))) from None
        note = {
            "key": job.key,
            "origin": job.entry.partition.origin,
            "name": name,
            "seconds": time.monotonic() - began,
            "counts": vars(counts),
            "conversions": kept.as_json(),
            "portable": bundle.portable,
        }
        pa.default_memory_pool().release_unused()  # or a worker keeps what its largest partition took
        write_json(made / NOTE, note)
    (folder / progress_name(job.key)).unlink(missing_ok=True)
    return job.key


def is_scored(folder: Path) -> bool:
    """Whether a partition's folder is finished: it is renamed into its place with all that is in it."""
    return (folder / NOTE).is_file()


def progress_name(key: str) -> str:
    """The file that says how many rows of a partition are scored while it is not finished."""
    return f"{key}.rows"


def score_tables(
    job: ScoringJob, bundle: OpenBundle, counts: Counts, kept: KeptRows, made: Path, progress: Path
) -> None:
    """The scores and refused rows of all tables of a partition, as files in `made`."""
    with ExitStack() as stack:
        side = stack.enter_context((made / REFUSED).open("w", encoding="utf-8"))
        add = None
        for table in tables_of(job, kept):
            scored = score_table(table, job, bundle, counts, side)
            write_left_out(kept, counts, side)
            if scored is None:
                continue
            add = add or stack.enter_context(part_writer(made / SCORES))
            add(scored)
            # Not worth a wait for the disk: who reads half a number takes it for none.
            progress.write_text(str(counts.rows + counts.refused))
        write_left_out(kept, counts, side)


def tables_of(job: ScoringJob, kept: KeptRows) -> Iterator[pa.Table]:
    """A partition's rows as the source has them, beside joined ones, read ahead by a thread.

    Tables are not put together: of a column without a contract one may have numbers and another texts.
    """
    read = read_ahead(lambda: job.entry.partition.read(kept), job.entry.source.limits.seconds, job.entry.name)
    for table in read:
        for start in range(0, len(table), ROWS_A_GROUP):
            piece = table.slice(start, ROWS_A_GROUP)
            yield from joined(piece, job, kept) if job.joins else [piece]


def joined(table: pa.Table, job: ScoringJob, kept: KeptRows) -> Iterator[pa.Table]:
    """A table with the joined columns.

    A row without a match is refused where training rows without one were left out.
    """
    found = list(join_tables([table], job.joins, job.entry.name, kept, Matches()))
    there = pa.chunked_array([chunk for each in found for chunk in each[LINE].chunks], pa.int64())
    alone = table.filter(pc.invert(pc.is_in(table[LINE], there.combine_chunks())))
    names = shown_columns(alone)
    for line, row in zip(alone[LINE].to_pylist(), alone.select(names).to_pylist(), strict=True):
        kept.leave_out(
            "unmatched_dropped",
            job.entry.partition.origin,
            line,
            "no row of the joined source belongs to it",
            json.dumps(row, ensure_ascii=False, default=str),
        )
    yield from (each for each in found if len(each))


def score_table(
    table: pa.Table, job: ScoringJob, bundle: OpenBundle, counts: Counts, side: IO[str]
) -> pa.Table | None:
    """The scores of a table's rows; None where none could be read."""
    names = [name for name in table.column_names if name not in (LINE, CONTENT)]
    absent = absent_columns(names, job.reading, job.entry.name, job.allow_missing)
    reading = RowReading(job.reading.intake, job.reading.contract, job.reading.inputs, absent)
    counts.absent = absent
    refusals = Refusals()
    inputs = read_inputs(table, reading, job.entry.name, refusals)
    note_samples(inputs, reading, counts)
    refused = refusals.mask(len(table))
    ids, unnamed = row_names(table, job)
    first = counts.rows + counts.refused
    places = np.flatnonzero(~refused)
    scored = None
    if len(places):
        outputs = answers(bundle, inputs, len(places))
        unanswered = not_finite(outputs, bundle)
        if unanswered.any():
            for place in places[unanswered]:
                refusals.reasons[int(place)] = ["the model's answer is no finite number"]
            places = places[~unanswered]
            outputs = {name: values[~unanswered] for name, values in outputs.items()}
        note_inputs(inputs, bundle, counts)
        note_answers(outputs, bundle, counts)
        where = pa.array(places)
        scored = pa.table(
            {
                "id": ids.take(where),
                **answer_columns(outputs, bundle),
                "model": repeated(job.project, len(places)),
                "version": pa.array(np.full(len(places), job.version or 0, np.int64)),
                "request_id": request_ids(job.key, first, places),
                "origin": repeated(job.entry.partition.origin, len(places)),
                LINE: table[LINE].combine_chunks().take(where),
            }
        )
    counts.rows += len(places)
    counts.refused += len(refusals.reasons)
    counts.unnamed += unnamed
    write_refused(table, ids, refusals, job.entry.partition.origin, counts, side)
    return scored if len(places) else None


def repeated(text: str, rows: int) -> pa.Array:
    """The same text for every row."""
    return pa.repeat(pa.scalar(text, pa.string()), rows)


def request_ids(key: str, first: int, places: npt.NDArray[np.intp]) -> pa.Array:
    """A name of each row that no other row in any target has.

    The partition's key, and the row's number in it.
    """
    numbers = pc.cast(pa.array(places + first), pa.string())
    return pc.binary_join_element_wise(pa.scalar(key), numbers, "#")


def row_names(table: pa.Table, job: ScoringJob) -> tuple[pa.Array, int]:
    """The text of each row's key as in training, or its place where the source has no key or the row none.

    And how many have none.
    """
    key = job.entry.source.key
    columns = job.reading.contract
    names = (key,) if isinstance(key, str) else key
    sources = [(spec.source or name) if (spec := columns.get(name)) else name for name in names]
    lines = table[LINE].combine_chunks().cast(pa.string())
    places = pc.binary_join_element_wise(pa.scalar(job.entry.partition.origin), lines, ":")
    if not set(sources) <= set(table.column_names):
        return places, 0
    texts = [as_text(table[name]) for name in sources]
    found = texts[0] if len(texts) == 1 else join_escaped(texts)
    empty = pc.fill_null(pc.equal(found, ""), True)
    count = pc.sum(empty).as_py() or 0
    return (pc.if_else(empty, places, found) if count else found), count


def read_note(folder: Path) -> dict[str, Any]:
    """What is known of a scored partition."""
    note: dict[str, Any] = read_json(folder / NOTE)
    return note
