"""All rows of a source through a released graph into a target.

What is finished is not done again, whatever ended the run before.
"""

import fcntl
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from configs.intake import IntakeConfig
from configs.source import SourceConfig
from infra.cluster import run_bounded
from infra.disk_guard import guard_disk
from infra.files import verify
from tasks.ingestion.parsing.unit_changes import FEWEST, SHARES, check_unit, five
from tasks.ingestion.partitions import join
from tasks.ingestion.partitions.sources import SourcePartition, list_partitions
from tasks.ingestion.readers import csv, parquet
from tasks.ingestion.readers.location import name_of
from tasks.records import Stored
from tasks.scoring.bundle import bundle_facts
from tasks.scoring.partition import ScoringJob, is_scored, progress_name, read_note, score_partition
from tasks.scoring.row_inputs import RowReading
from tasks.scoring.source import check_apart, with_date_formats
from tasks.scoring.targets import Existing, Plan, Target

BLOCK_BYTES = 16 * 2**20
"""Of a large CSV file."""
ROWS_A_PARTITION = 250_000
"""Of a Parquet file with several row groups."""
LABEL = "label"
"""Readers of images want the name of a label's column; a folder's name becomes one, and nobody reads it."""


@dataclass(frozen=True)
class Question:
    """What is to be scored, and by what."""

    project: str
    version: int | None
    """In MLflow's registry; None for a bundle that was never released."""
    bundle: Stored
    source: SourceConfig
    intake: IntakeConfig
    """The project's, for a bundle that does not say its own."""
    allow_missing: bool = False
    told: tuple[str, ...] = ()
    """What was concluded about the source, for the report."""


@dataclass(frozen=True)
class Progress:
    """How far it is."""

    partitions: int
    done: int
    rows: int
    """Scored or refused by now, in unfinished partitions too."""
    seconds: float

    @property
    def words(self) -> str:
        """For people."""
        speed = self.rows / self.seconds if self.seconds > 0 else 0.0
        return f"{self.rows:,} rows, {speed:,.0f} rows/s, {self.done} of {self.partitions} partitions"


@dataclass(frozen=True)
class Scored:
    """What came of it: the notes of all partitions, in the order of their rows."""

    notes: list[dict[str, Any]]
    reused: int
    """Partitions that an earlier run had finished."""
    seconds: float
    now: int
    """Rows that were scored or refused in this run."""


def score(
    question: Question,
    target: Target,
    existing: Existing,
    staging: Path,
    kept: Path,
    client: Any = None,
    tell: Callable[[Progress], None] = lambda _: None,
) -> Scored:
    """Scores what is not yet scored, and makes the target complete.

    staging: folder of this source, version and target alone, for partitions on their way
    kept: folder where joined tables are kept
    client: a distributed.Client whose workers score; None: this process does
    tell: called about once a second. Raises ValueError naming what is wrong with the source, a column, the
    bundle or the target, OSError where a disk is full.
    """
    began = time.monotonic()
    verify(question.bundle.uri, question.bundle.digest)
    with alone(staging), guard_disk(lambda: f"the scores of {name_of(question.source)} do not fit", staging):
        if target.path is not None:
            check_apart(question.source, target.path)
        jobs = jobs_of(question, kept)
        plan = Plan(
            question.project,
            question.version,
            question.bundle.digest,
            name_of(question.source),
            tuple(job.key for job in jobs),
        )
        target.check(plan, existing)
        notes = target.done(plan)
        missing = [job for job in jobs if job.key not in notes]
        found = {job.key for job in missing if is_scored(staging / job.key)}
        reused = len(notes) + len(found)
        waiting = [job for job in missing if job.key not in found]
        remove_leftovers(staging)
        now: list[int] = []

        def take(key: str) -> dict[str, Any]:
            note = read_note(staging / key)
            check_units([*notes.values(), note], question.source)
            target.add(staging / key, note)
            notes[key] = note
            if not target.keeps_partitions:
                shutil.rmtree(staging / key)
            return note

        for key in sorted(found):
            take(key)

        def tick() -> None:
            tell(progress(jobs, notes, sum(now), waiting, staging, began))

        for key in finished(client, waiting, staging, tick):
            counts = take(key)["counts"]
            now.append(counts["rows"] + counts["refused"])
        tick()
        ordered = [notes[job.key] for job in jobs]
        if missing:
            target.finish(plan, [staging / job.key for job in jobs], ordered)
    shutil.rmtree(staging, ignore_errors=True)
    return Scored(ordered, reused, time.monotonic() - began, sum(now))


def jobs_of(question: Question, kept: Path) -> list[ScoringJob]:
    """The source's partitions as they are now, each with how its rows are read."""
    kept.mkdir(parents=True, exist_ok=True)
    facts = bundle_facts(Path(question.bundle.uri))
    intake = with_date_formats(facts.intake or question.intake, facts.date_formats)
    joins = join.tables(question.source.join, intake, LABEL, kept)
    found = small_partitions(question.source) or list_partitions(question.source, intake, LABEL, kept)
    seen: Counter[str] = Counter()
    jobs = []
    for entry in found:
        again = seen[entry.partition.id]
        seen[entry.partition.id] += 1
        reading = RowReading(intake, entry.source.columns, facts.inputs)
        jobs.append(
            ScoringJob(
                entry,
                again,
                reading,
                joins,
                question.bundle,
                question.project,
                question.version,
                question.allow_missing,
            )
        )
    return jobs


def check_units(notes: Sequence[dict[str, Any]], source: SourceConfig) -> None:
    """Raises ValueError where the numbers of a column came in another unit than the training rows'.

    Every answer would be wrong.
    """
    for name, spec in source.columns.items():
        values = [value for note in notes for value in note["counts"]["samples"].get(name, ())]
        if spec.usual and len(values) >= FEWEST:
            now = np.quantile(np.array(values), SHARES, method="inverted_cdf")
            check_unit(name, spec.usual, five(now), name_of(source))


def small_partitions(source: SourceConfig) -> list[SourcePartition]:
    """The partitions of files that can be cut.

    Smaller than ingestion's, which are kept for good, as a killed run loses those that it is at.

    Empty for other sources.
    """
    if source.reader == "csv":
        found = csv.partitions(source, BLOCK_BYTES)
    elif source.reader == "parquet":
        found = parquet.row_group_partitions(source, ROWS_A_PARTITION)
    else:
        return []
    return [SourcePartition(source, each) for each in found]


def finished(
    client: Any, jobs: Sequence[ScoringJob], staging: Path, tick: Callable[[], None]
) -> Iterator[str]:
    """The keys of jobs as they end."""
    if client is not None:
        yield from run_bounded(client, partial(score_partition, folder=staging), jobs, tick)
        return
    for job in jobs:
        yield score_partition(job, staging)
        tick()


def progress(
    jobs: Sequence[ScoringJob],
    notes: dict[str, dict[str, Any]],
    now: int,
    waiting: Sequence[ScoringJob],
    staging: Path,
    began: float,
) -> Progress:
    """How far it is, by what workers note."""
    rows = now + sum(rows_of(staging, job.key) for job in waiting if job.key not in notes)
    return Progress(len(jobs), len(notes), rows, time.monotonic() - began)


def rows_of(staging: Path, key: str) -> int:
    """The rows of a partition that are scored by now, also of one that is finished and not yet taken.

    0 before its first table.
    """
    if is_scored(staging / key):
        counts = read_note(staging / key)["counts"]
        return int(counts["rows"]) + int(counts["refused"])
    try:
        return int((staging / progress_name(key)).read_text())
    except (FileNotFoundError, ValueError):
        return 0


@contextmanager
def alone(staging: Path) -> Iterator[None]:
    """One run at a time scores a source into a target; a killed one lets go by dying.

    Raises ValueError where another does.
    """
    staging.mkdir(parents=True, exist_ok=True)
    with (staging.parent / f".{staging.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                "another run scores this source into this target now; `gyre runs` names it, `gyre follow` shows it"
            ) from None
        yield


def remove_leftovers(staging: Path) -> None:
    """Removes what workers left that died while they wrote."""
    for leftover in staging.glob(".*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
    for leftover in staging.glob("*.rows"):
        leftover.unlink(missing_ok=True)
