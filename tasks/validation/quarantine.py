"""The place where quarantined rows stay.

Every reason, source and line, whatever becomes of the run's own files.

`<home>/quarantine/<project>/` holds each quarantine under its digest, what is known of each validation under
the digest of its inputs, `latest.json`, which names the newest of these, and `decisions/`.
"""

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic_core import to_json

from configs.validation import ValidationConfig
from infra.files import read_json, whole_file, write_json
from tasks.records import RawRows, Stored, ValidationBaseline, ValidationReport
from tasks.rows.sql import literal, open_database
from tasks.validation.checks.suite import title
from tasks.validation.review.decisions import DecidedRow, DecisionLog
from tasks.validation.review.row_content import contents

NOTHING: dict[str, Any] = {
    "rows": 0,
    "quarantined": 0,
    "quarantine": None,
    "limits": {},
    "raw": "",
    "report": "",
}


@dataclass(frozen=True)
class Quarantine:
    """A project's quarantine."""

    folder: Path

    @property
    def log(self) -> DecisionLog:
        """What people decided."""
        return DecisionLog(self.folder / "decisions")

    @property
    def latest(self) -> dict[str, Any]:
        """About the newest validation.

        Its raw rows, how many were set aside, in which file, and the limits of each rule.
        """
        path = self.folder / "latest.json"
        return NOTHING | (read_json(self.folder / read_json(path)["about"]) if path.is_file() else {})

    def reuse(self, rows: RawRows, validation: ValidationConfig, before: ValidationBaseline) -> None:
        """Makes a validation of these inputs the newest one, where there was one: its outcome is reused."""
        if (self.folder / report_name(rows, validation, before)).is_file():
            write_json(self.folder / "latest.json", {"about": report_name(rows, validation, before)})

    def keep(
        self,
        report: ValidationReport,
        rows: RawRows,
        validation: ValidationConfig,
        before: ValidationBaseline,
    ) -> ValidationReport:
        """Keeps what a validation set aside for good; the report then names the kept files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        quarantine, decisions = self.kept(report.quarantine), self.kept(report.decisions)
        limits: dict[str, list[dict[str, Any]]] = {}
        for expectation in validation.expectations:
            limits.setdefault(title(expectation), []).append(expectation.kwargs)
        told = {
            "rows": rows.rows,
            "quarantined": report.quarantined,
            "limits": limits,
            "raw": rows.digest,
            "report": report.report,
        }
        told |= {"quarantine": Path(quarantine.uri).name if quarantine else None}
        write_json(self.folder / report_name(rows, validation, before), told)
        self.reuse(rows, validation, before)
        return report.model_copy(update={"quarantine": quarantine, "decisions": decisions})

    def kept(self, stored: Stored | None) -> Stored | None:
        """A file under its digest, the same bytes on the disk where both lie in one file system."""
        if stored is None:
            return None
        path = self.folder / f"{stored.digest[:24]}{Path(stored.uri).suffix}"
        try:
            os.link(stored.uri, path)
        except FileExistsError:
            pass
        except OSError:
            with whole_file(path) as temporary:
                shutil.copyfile(stored.uri, temporary)
        return Stored(uri=str(path), digest=stored.digest)

    def counts(self, column: str) -> list[tuple[str, int]]:
        """Rows set aside by `reason` or `origin`, most first."""
        asked = "unnest(reasons)" if column == "reason" else column
        found = self.asked(
            f"SELECT {asked} AS name, count(*) AS rows FROM kept GROUP BY 1 ORDER BY 2 DESC, 1"
        )
        return [(name, rows) for name, rows in found]

    def ids(self, reason: str) -> list[str]:
        """Ids of the rows that break a rule."""
        return [
            str(row[0])
            for row in self.asked("SELECT id FROM kept WHERE list_contains(reasons, $1) ORDER BY id", reason)
        ]

    def lines(self, most: int, reason: str | None = None) -> list[dict[str, Any]]:
        """The first rows: id, origin, origin_line, reasons."""
        where = "WHERE list_contains(reasons, $1)" if reason else ""
        asked = f"SELECT id, origin, origin_line, reasons FROM kept {where} ORDER BY origin, origin_line, id LIMIT {most}"
        found = self.asked(asked, *([reason] if reason else []))
        return [dict(zip(("id", "origin", "origin_line", "reasons"), row, strict=True)) for row in found]

    def asked(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        """What a query about `kept`, the newest quarantine, finds; nothing where it holds no row."""
        if not (path := self.file(self.latest["quarantine"])):
            return []
        names = pq.read_schema(path).names
        places = [name if name in names else f"NULL::{kind} AS {name}" for name, kind in PLACES.items()]
        view = f"WITH kept AS (SELECT id::VARCHAR AS id, {', '.join(places)}, reasons FROM read_parquet({literal(path)}))"
        with open_database() as connection:
            return connection.execute(f"{view} {query}", list(values)).fetchall()

    def file(self, name: str | None) -> Path | None:
        """A kept file by its name; None where there is none."""
        path = self.folder / name if name else None
        return path if path and path.is_file() else None

    def reason(self, asked: str) -> str:
        """The rule that is meant by its name or a part of it.

        Raises ValueError naming those that rows break.
        """
        there = [name for name, _ in self.counts("reason")]
        found = [name for name in there if name == asked] or [name for name in there if asked in name]
        if len(found) != 1:
            names = "; ".join(found or there) or "none, the quarantine is empty"
            raise ValueError(
                f"{asked!r}: {'no rule' if not found else 'more than one rule'} is called so; rows break {names}"
            )
        return found[0]

    def find(self, ids: Sequence[str]) -> dict[str, pa.Table]:
        """A row as the source has it, a table each, by id.

        From the newest quarantine, else the one in which it was decided on.
        """
        seen = {
            row.id: decision.seen for decision in self.log.all() for row in decision.rows if decision.seen
        }
        files = {self.latest["quarantine"], *(seen[row] for row in ids if row in seen)}
        found: dict[str, pa.Table] = {}
        for name in sorted(files - {None, ""}, key=lambda name: name == self.latest["quarantine"]):
            if path := self.file(name):
                table = pq.read_table(path, filters=[("id", "in", list(ids))])
                found |= {
                    str(table["id"][number].as_py()): table.slice(number, 1) for number in range(len(table))
                }
        return found


PLACES = {"origin": "VARCHAR", "origin_line": "BIGINT"}


def report_name(rows: RawRows, validation: ValidationConfig, before: ValidationBaseline) -> str:
    """Name of the file about the validation of these inputs."""
    inputs = to_json([rows.digest, validation.model_dump(mode="json"), before.model_dump(mode="json")])
    return f"about-{hashlib.sha256(inputs).hexdigest()[:24]}.json"


def as_decided(row: pa.Table, **more: Any) -> DecidedRow:
    """A quarantined row as a decision names it."""
    [values] = row.select(
        [name for name in ("id", "origin", "origin_line", "reasons") if name in row.column_names]
    ).to_pylist()
    return DecidedRow(
        content=contents(row)[0],
        **(values | {"id": str(values["id"]), "reasons": tuple(values["reasons"])}),
        **more,
    )
