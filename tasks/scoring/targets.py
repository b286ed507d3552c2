"""Where scores go: a Parquet folder or a CSV file, whole or not at all, or a table of a database, a transaction a partition.

Beside each target lie the refused rows and a note of what was scored by what, by which the same command knows
that it is done, and another one that something else lies there.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from infra.files import link_or_copy, read_json, whole_file, whole_folder, write_json
from tasks.rows.parts import part_name
from tasks.scoring.partition import REFUSED, SCORES
from tasks.scoring.source import BESIDE

Existing = Literal["refuse", "replace", "append"]
"""What becomes of scores that are in the target already and not of this run.

`append` goes with tables alone.
"""
FOLDER_NOTE, FOLDER_REFUSED = "_score.json", "_refused.jsonl"
"""Readers of Parquet folders skip names that begin with an underscore."""


@dataclass(frozen=True)
class Plan:
    """What a target is to hold."""

    project: str
    version: int | None
    bundle: str
    """Its digest."""
    source: str
    """How messages call it."""
    keys: tuple[str, ...]
    """Of the partitions, in the order of their rows."""

    @property
    def facts(self) -> dict[str, Any]:
        """As a target's note holds it."""
        return {
            "project": self.project,
            "version": self.version,
            "bundle": self.bundle,
            "source": self.source,
            "partitions": list(self.keys),
        }


class Target(Protocol):
    """Where scores go."""

    path: Path | None
    """Of a folder or file; None for a database."""
    refused: str
    """Where the rows lie that could not be read, for people."""

    def check(self, plan: Plan, existing: Existing) -> None:
        """Raises ValueError where something lies there that may not be replaced, before anything is scored."""

    def done(self, plan: Plan) -> dict[str, dict[str, Any]]:
        """The notes of partitions that are in the target already, by key."""

    def add(self, folder: Path, note: dict[str, Any]) -> None:
        """Takes a scored partition, which may be removed afterwards if `keeps_partitions` is false."""

    keeps_partitions: bool
    """Whether partitions are wanted until `finish`."""

    def finish(self, plan: Plan, folders: Sequence[Path], notes: Sequence[dict[str, Any]]) -> None:
        """Makes the target complete."""


def target_at(place: str, table: str | None) -> Target:
    """The target of a path or URL. Raises ValueError for one that cannot be written."""
    if "://" in place or place.startswith("$"):
        from tasks.scoring.database import DatabaseTarget

        if place.split("://", maxsplit=1)[0] in ("s3", "gs", "az", "azure", "http", "https"):
            raise ValueError(
                f"{place}: scores go to a folder or CSV file of this machine, or to a database; write them here and copy them"
            )
        if table is None:
            raise ValueError(f"{without_password(place)}: a database; name the table to write: --table")
        return DatabaseTarget(place, table)
    if table is not None:
        raise ValueError(f"{place}: --table goes with a database's URL, such as postgresql://host/name")
    path = Path(place).absolute()
    return CsvTarget(path) if path.suffix.lower() == ".csv" else FolderTarget(path)


def check_no_password(place: str, option: str) -> None:
    """Raises ValueError for a URL with a password in it: it would be kept with the run's parameters."""
    password = urlsplit(place).password if "://" in place else None
    if password and not password.startswith("$"):
        raise ValueError(
            f"{option} {without_password(place)}: holds a password, which would be kept with the run; write $NAME in its place "
            "(in single quotes) and set the environment variable NAME before `gyre up`"
        )


def without_password(place: str) -> str:
    """A URL as messages show it."""
    parts = urlsplit(place)
    if not parts.password or parts.password.startswith("$"):
        return place
    return place.replace(f":{parts.password}@", ":***@", 1)


class FolderTarget:
    """A folder with a Parquet part for every partition that has rows, in their order."""

    keeps_partitions = True

    def __init__(self, path: Path) -> None:
        self.path: Path | None = path
        self.place = path
        self.note = path / FOLDER_NOTE
        self.refused = str(path / FOLDER_REFUSED)

    def check(self, plan: Plan, existing: Existing) -> None:
        """See Target."""
        there = self.place.is_file() or (self.place.is_dir() and any(self.place.iterdir()))
        check_place(self.place, self.note, there, plan, existing)

    def done(self, plan: Plan) -> dict[str, dict[str, Any]]:
        """See Target."""
        parts = sorted(self.place.glob("part-*.parquet"))
        return finished_notes(self.note, plan, sum(pq.read_metadata(part).num_rows for part in parts))

    def add(self, folder: Path, note: dict[str, Any]) -> None:
        """See Target."""

    def finish(self, plan: Plan, folders: Sequence[Path], notes: Sequence[dict[str, Any]]) -> None:
        """See Target."""
        with whole_folder(self.place) as made:
            filled = [folder / SCORES for folder in folders if (folder / SCORES).exists()]
            for number, scores in enumerate(filled):
                link_or_copy(scores, made / part_name(number))
            append_files([folder / REFUSED for folder in folders], made / FOLDER_REFUSED)
            write_json(made / FOLDER_NOTE, plan.facts | {"notes": list(notes)})


class CsvTarget:
    """A CSV file with all rows in their order; lists are JSON."""

    keeps_partitions = True

    def __init__(self, path: Path) -> None:
        self.path: Path | None = path
        self.place = path
        refused, note = BESIDE
        self.note = path.with_name(f"{path.name}{note}")
        self.refused = str(path.with_name(f"{path.name}{refused}"))

    def check(self, plan: Plan, existing: Existing) -> None:
        """See Target."""
        check_place(self.place, self.note, self.place.exists(), plan, existing)

    def done(self, plan: Plan) -> dict[str, dict[str, Any]]:
        """See Target."""
        size = self.place.stat().st_size if self.place.is_file() else -1
        known = read_json(self.note) if self.note.is_file() else {}
        return finished_notes(self.note, plan, None) if known.get("bytes") == size else {}

    def add(self, folder: Path, note: dict[str, Any]) -> None:
        """See Target."""

    def finish(self, plan: Plan, folders: Sequence[Path], notes: Sequence[dict[str, Any]]) -> None:
        """The note goes first and comes last: without one a file is no finished score."""
        self.note.unlink(missing_ok=True)
        with whole_file(Path(self.refused)) as temporary:
            append_files([folder / REFUSED for folder in folders], temporary)
        with whole_file(self.place) as temporary:
            write_csv(folders, temporary)
        write_json(self.note, plan.facts | {"bytes": self.place.stat().st_size, "notes": list(notes)})


def check_place(path: Path, note: Path, there: bool, plan: Plan, existing: Existing) -> None:
    """Raises ValueError where something lies at a path that this run may not replace."""
    if existing == "append":
        raise ValueError(f"{path}: --append goes with a table of a database; give another place")
    if not there:
        return
    if not note.is_file():
        raise ValueError(
            f"{path}: is there already and holds no scores of Gyre; give another place, or remove it"
        )
    known = read_json(note)
    same = all(known.get(name) == value for name, value in plan.facts.items())
    if not same and existing != "replace":
        raise ValueError(
            f"{path}: holds the scores of {known['source']} by {known['project']} version {known['version']}, another source or "
            "version than these, or the source as it was before; --replace puts these in their place"
        )


def finished_notes(note: Path, plan: Plan, rows: int | None) -> dict[str, dict[str, Any]]:
    """The notes of a finished target of the same plan, by key; none where it is another one, or lost rows."""
    if not note.is_file():
        return {}
    known = read_json(note)
    if any(known.get(name) != value for name, value in plan.facts.items()):
        return {}
    if rows is not None and rows != sum(each["counts"]["rows"] for each in known["notes"]):
        return {}
    return {each["key"]: each for each in known["notes"]}


def append_files(paths: Sequence[Path], target: Path) -> None:
    """Files one behind the other."""
    with target.open("wb") as stream:
        for path in paths:
            with path.open("rb") as part:
                shutil.copyfileobj(part, stream)


def write_csv(folders: Sequence[Path], path: Path) -> None:
    """The scores of partitions in one CSV file, a row group at a time."""
    writer = None
    with path.open("wb") as stream:
        for folder in folders:
            for table in score_tables(folder):
                flat = flat_table(table)
                writer = writer or arrow_csv.CSVWriter(stream, flat.schema)
                writer.write_table(flat)
        if writer is not None:
            writer.close()


def score_tables(folder: Path) -> Iterator[pa.Table]:
    """The scores of a partition's folder, a row group at a time."""
    if not (folder / SCORES).exists():
        return
    with pq.ParquetFile(folder / SCORES) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number)


def flat_table(table: pa.Table) -> pa.Table:
    """A table whose lists are JSON texts, for targets that have none."""
    columns = {}
    for field in table.schema:
        values = table[field.name]
        if pa.types.is_fixed_size_list(field.type) or pa.types.is_list(field.type):
            values = pa.array([json_list(value) for value in values.to_pylist()], pa.string())
        columns[field.name] = values
    return pa.table(columns)


def json_list(values: list[Any]) -> str:
    """A list of numbers as JSON, each in the digits that tell a float32 apart."""
    return f"[{', '.join(f'{value:.9g}' if isinstance(value, float) else str(value) for value in values)}]"
