"""Partitions that were read, each once and for all.

A folder of parts under the home, known by what was read and how.

A run links the parts into its own folder. What a run finds already here it does not read again.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from configs.intake import IntakeConfig
from infra.files import digest, read_json, whole_folder, write_json
from tasks.ingestion.lines import LINE
from tasks.ingestion.parsing.contract import conform_table
from tasks.ingestion.parsing.conversions import Conversions
from tasks.ingestion.parsing.layout import to_layout
from tasks.ingestion.parsing.row_ids import Key
from tasks.ingestion.partitions.deduplication import hasher, sort_runs
from tasks.ingestion.partitions.join import Matches, join_tables
from tasks.ingestion.partitions.join import Table as JoinTable
from tasks.ingestion.partitions.profile import Profile
from tasks.ingestion.partitions.sources import SourcePartition
from tasks.ingestion.readers.location import hide_values, location_of
from tasks.ingestion.readers.stream import read_ahead, rebatch
from tasks.pipeline.code import code_digest
from tasks.rows import content_hash
from tasks.rows.parts import ROWS_A_PART, part_name, write_tables

NOTE = "partition.json"
"""In a partition's folder, written last: what is known of it. Folders without one are read anew."""
HASHES = "ids.u64"
"""Beside a partition's parts: a hash of every row's id, 8 bytes each, so that repeated keys are found without
reading the ids again."""
ROW = re.compile(r"\brow (\d+)\b")
HOW = ("columns", "extra", "key", "rows", "limits", "csv", "images")
"""What of a source's section changes the rows of a partition. Where it lies does not."""


@dataclass(frozen=True)
class PartitionJob:
    """A partition and what is made of it."""

    entry: SourcePartition
    intake: IntakeConfig
    label: str
    joins: tuple[JoinTable, ...]
    code: str
    """Digest of what makes rows of a partition, as the driver has it: a worker may not find the user's own intake
    on its import path."""
    content: tuple[str, ...] = ()
    """Columns that are a row's content (see `SourceSnapshot`)."""

    @property
    def key(self) -> str:
        """Name of the partition's folder: a digest of the code, the rows and how they are read."""
        how = self.entry.source.model_dump(include=set(HOW), mode="json")
        joins = [join.key for join in self.joins]
        facts = [
            self.code,
            self.entry.partition.id,
            how,
            self.intake.model_dump(mode="json"),
            self.label,
            joins,
            self.content,
        ]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


@dataclass
class Notes:
    """What is noted while a partition is read."""

    conversions: Conversions = field(default_factory=Conversions)
    matches: Matches = field(default_factory=Matches)
    profile: Profile = field(default_factory=Profile)


def code(intake: IntakeConfig) -> str:
    """Digest of what makes rows of a partition, a user's own intake with it."""
    return code_digest(__name__, intake.model_dump_json().encode())


def keep_partition(job: PartitionJob, folder: Path) -> None:
    """Reads a partition into `folder`/<key>, whole or not at all.

    Runs on a Dask worker. Raises ValueError naming what is wrong, and where.
    """
    if (folder / job.key / NOTE).exists():
        return
    source, name, notes = job.entry.source, job.entry.name, Notes()
    with whole_folder(folder / job.key) as made:
        tables = read_ahead(lambda: layout_tables(job, notes), source.limits.seconds, name)
        try:
            first = next(tables, None)
            columns = [] if first is None else first.column_names
            counts = (
                write_parts(write_hashes(chain([first], tables), made / HASHES), made)
                if first is not None
                else []
            )
        except Exception as error:
            text = str(error)
            if hide_values(text, location_of(source)) == text:
                raise
            raise ValueError(hide_values(text, location_of(source))) from None
        for file, matched in notes.matches.found.items():
            np.save(made / f"{file}.npy", matched)
        pa.default_memory_pool().release_unused()  # or a worker keeps what its largest partition took
        parts = {path.name: digest(path) for path in sorted(made.iterdir())}
        note = {
            "origin": job.entry.partition.origin,
            "name": name,
            "columns": columns,
            "rows": counts,
            "parts": parts,
            "content": content_of(job),
            "joins": [{"file": other.path.name, "on": other.on, "name": other.name} for other in job.joins],
        }
        write_json(
            made / NOTE,
            note | {"conversions": notes.conversions.as_json(), "profile": notes.profile.as_json()},
        )


def content_of(job: PartitionJob) -> str:
    """Digest of a partition's own content."""
    return hashlib.sha256(
        json.dumps(job.entry.partition.content, sort_keys=True, default=str).encode()
    ).hexdigest()


def layout_tables(job: PartitionJob, notes: Notes) -> Iterator[pa.Table]:
    """A partition's rows in the one layout, in even tables; one without rows for a partition that has none.

    What the layout loses of the source's values is noted in `notes`.
    """
    source, name, conversions = job.entry.source, job.entry.name, notes.conversions
    read = (
        conform_partition(table, job)
        for table in first_rows(
            job.entry.partition.read(conversions), source.rows if source.reader != "synthetic" else None
        )
    )
    for table in join_tables(rebatch(read), job.joins, name, conversions, notes.matches):
        if len(table):
            made = to_layout(
                table, source.key, job.intake, job.label, job.entry.partition.origin, name, job.content
            )
            conversions.compare(table, made, job.intake)
            notes.profile.add(table, made, job.intake, columns_without_missing_markers(source.key, job.label))
            yield made
        else:
            yield table


def columns_without_missing_markers(key: Key, label: str) -> tuple[str, ...]:
    """Columns whose texts have rules of their own: names of rows, and classes."""
    return (*((key,) if isinstance(key, str) else key), label)


def conform_partition(table: pa.Table, job: PartitionJob) -> pa.Table:
    """A table in the contract's columns, its lines with it."""
    source = job.entry.source
    if not source.columns or table.num_columns == 1:
        return table
    try:
        own = [name for name in (LINE, content_hash.COLUMN) if name in table.column_names]
        conformed = conform_table(table.drop_columns(own), source.columns, source.extra, job.entry.name)
        for name in own:
            conformed = conformed.append_column(name, table[name])
        return conformed
    except ValueError as error:
        raise ValueError(
            ROW.sub(lambda row: f"line {table[LINE][int(row[1]) - 1]}", str(error), count=1)
        ) from None


def first_rows(tables: Iterator[pa.Table], most: int | None) -> Iterator[pa.Table]:
    """No more than `most` rows."""
    for table in tables:
        yield table if most is None else table.slice(0, most)
        if most is not None and (most := most - len(table)) <= 0:
            return


def write_parts(tables: Iterator[pa.Table], folder: Path) -> list[int]:
    """Tables as parts of about ROWS_A_PART rows; returns the rows of each."""
    counts: list[int] = []
    rows = (table for table in tables if len(table))
    for first in rows:
        counts.append(
            write_tables(
                chain([first], tables_of_a_part(rows, ROWS_A_PART - len(first))),
                folder / part_name(len(counts)),
            )
        )
    return counts


def write_hashes(tables: Iterator[pa.Table], path: Path) -> Iterator[pa.Table]:
    """The tables, the hashes of their ids written on the way."""
    with path.open("wb") as stream, hasher() as hashes:
        for table in tables:
            if len(table):
                stream.write(hashes(table["id"]).tobytes())
            yield table
    sort_runs(path)


def tables_of_a_part(tables: Iterator[pa.Table], most: int) -> Iterator[pa.Table]:
    """Tables until they are about `most` rows together."""
    while most > 0:
        for table in islice(tables, 1):
            most -= len(table)
            yield table
            break
        else:
            return


@dataclass(frozen=True)
class KeptPartition:
    """A partition that was read."""

    folder: Path
    origin: str
    columns: list[str]
    rows: int
    conversions: list[dict[str, Any]]
    """As tasks/ingestion/parsing/conversions.py notes them."""
    content: str
    """Digest of what was read and how, without the file's name: two files that share it are the same."""
    profile: dict[str, Any]
    """As tasks/ingestion/partitions/profile.py writes it."""
    joins: list[dict[str, str]]
    """Joined tables: file (below the folder of all partitions), the column `on`, and how messages call it."""

    @property
    def parts(self) -> list[Path]:
        """In order."""
        return sorted(self.folder.glob("part-*.parquet"))


def open_kept(folder: Path) -> KeptPartition:
    """A partition by its folder."""
    note = read_json(folder / NOTE)
    kept = {name: note[name] for name in ("origin", "columns", "conversions", "content", "profile", "joins")}
    return KeptPartition(folder, rows=sum(note["rows"]), **kept)


def is_sound(folder: Path) -> bool:
    """Whether a partition is there and its parts are as they were written.

    One that was damaged is removed, to be read again.

    One that is asked for is in use: garbage collection leaves it for a while.
    """
    if not (folder / NOTE).exists():
        return False
    whole = all(
        (folder / name).exists() and digest(folder / name) == found
        for name, found in read_json(folder / NOTE)["parts"].items()
    )
    if not whole:
        shutil.rmtree(folder)
        return False
    os.utime(folder / NOTE)
    return True


def link(path: Path, target: Path) -> None:
    """The same file in another folder; a copy where that is on another file system."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)
