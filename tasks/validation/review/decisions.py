"""People's decisions about quarantined rows.

An append-only log, one JSON file a decision, and what of it is in force.

A decision holds for a row with the content that the person saw. Nothing is ever changed or removed: undoing
is a decision too.
"""

import datetime as dt
import hashlib
import json
import os
import pwd
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from infra.files import sync_to_disk, verify, whole_file
from tasks.records import Record, Stored

MOST_TRIES = 1000
"""Of finding a free number; each loses to another writer who did write."""


class DecidedRow(Record):
    """A row that a decision is about."""

    id: str
    content: str
    """Digest of its values (tasks/validation/review/row_content.py)."""
    reasons: tuple[str, ...]
    """The rules that it broke."""
    origin: str | None = None
    origin_line: int | None = None
    undoes: int | None = None
    """Of an undoing: the decision that no longer holds for this row."""


class Decision(Record):
    """What a person decided about some rows."""

    number: int
    kind: Literal["release", "fix", "undo"]
    who: str
    """The OS user."""
    when: str
    """ISO 8601, UTC."""
    why: str
    rows: tuple[DecidedRow, ...]
    values: dict[str, str | None] = Field(default={})
    """Of a fix: text of the new value by column; null for a missing value."""
    limits: dict[str, list[dict[str, Any]]] = Field(default={})
    """Arguments of the rules that the rows broke."""
    seen: str = ""
    """File name of the quarantine in which the rows were seen."""

    @property
    def told(self) -> str:
        """The decision in a line."""
        done = ", ".join(
            f"{column}={'' if value is None else value}" for column, value in self.values.items()
        )
        return f"{self.kind} {self.number}{f' ({done})' if done else ''} by {self.who} on {self.when}: {self.why}"


class Standing(Record):
    """What is in force about a row with one content."""

    row: str
    content: str
    decisions: tuple[Decision, ...]
    """Oldest first, each about this row alone."""

    @property
    def values(self) -> dict[str, str | None]:
        """The values that take the place of the source's."""
        return {column: value for decision in self.decisions for column, value in decision.values.items()}

    @property
    def released(self) -> bool:
        """Whether it passes whatever rule it breaks: a fix after a release is validated again."""
        return self.decisions[-1].kind == "release"


@dataclass(frozen=True)
class DecisionLog:
    """A folder of numbered files.

    Writers need no lock: a number is taken by whoever links a whole file to it first.
    """

    folder: Path

    def all(self) -> list[Decision]:
        """Every decision, oldest first."""
        return [
            Decision.model_validate_json(path.read_bytes())
            for path in sorted(self.folder.glob("[0-9]*.json"))
        ]

    def add(
        self, kind: Literal["release", "fix", "undo"], rows: Iterable[DecidedRow], why: str, **more: Any
    ) -> Decision:
        """Writes a decision of the OS user, whole or not at all.

        Raises ValueError where it has no reason or no row.
        """
        rows, why = tuple(rows), why.strip()
        if not why:
            raise ValueError(
                f"{kind}: a decision needs a reason that others can read later; give it with --why"
            )
        if not rows:
            raise ValueError(f"{kind}: names no row")
        self.folder.mkdir(parents=True, exist_ok=True)
        when = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        first = self.newest() + 1
        for number in range(first, first + MOST_TRIES):
            decision = Decision(number=number, kind=kind, who=user(), when=when, why=why, rows=rows, **more)
            if self.written(decision):
                return decision
        raise TimeoutError(f"{self.folder}: other writers took {MOST_TRIES} numbers in a row; try again")

    def newest(self) -> int:
        """Number of the newest decision; 0 where there is none."""
        return max((int(path.stem) for path in self.folder.glob("[0-9]*.json")), default=0)

    def written(self, decision: Decision) -> bool:
        """Writes a decision under its number; False where another one has it."""
        descriptor, name = tempfile.mkstemp(dir=self.folder, prefix=".decision.")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(decision.model_dump_json(indent=2).encode() + b"\n")
            sync_to_disk(Path(name))
            os.link(name, self.folder / f"{decision.number:06d}.json")
            sync_to_disk(self.folder)
        except FileExistsError:
            return False
        finally:
            Path(name).unlink(missing_ok=True)
        return True


def in_force(decisions: Iterable[Decision]) -> list[Standing]:
    """What holds about each row and content, by row, after all of these decisions."""
    stacks: dict[tuple[str, str], list[Decision]] = {}
    for decision in decisions:
        for row in decision.rows:
            stack = stacks.setdefault((row.id, row.content), [])
            if decision.kind == "undo":
                stack[:] = [kept for kept in stack if kept.number != row.undoes]
            else:
                stack.append(decision.model_copy(update={"rows": (row,)}))
    return [
        Standing(row=row, content=content, decisions=tuple(stack))
        for (row, content), stack in sorted(stacks.items())
        if stack
    ]


def freeze_decisions(standings: list[Standing], folder: Path) -> Stored | None:
    """The decisions in force as a file under its own digest, so that equal decisions are equal inputs.

    None where there are none.
    """
    if not standings:
        return None
    body = (
        json.dumps(
            [standing.model_dump(mode="json") for standing in standings], indent=2, sort_keys=True
        ).encode()
        + b"\n"
    )
    digest = hashlib.sha256(body).hexdigest()
    path = folder / f"{digest[:24]}.json"
    with whole_file(path) as temporary:
        temporary.write_bytes(body)
    return Stored(uri=str(path), digest=digest)


def read_frozen(stored: Stored | None) -> list[Standing]:
    """The decisions in a frozen file. Raises DigestError where it was changed."""
    if stored is None:
        return []
    return [
        Standing.model_validate(each) for each in json.loads(verify(stored.uri, stored.digest).read_bytes())
    ]


def history(log: Iterable[Decision], row: str) -> list[Decision]:
    """The decisions about a row, oldest first, each about it alone."""
    return [
        decision.model_copy(update={"rows": (each,)})
        for decision in log
        for each in decision.rows
        if each.id == row
    ]


def user() -> str:
    """The OS user, as the system and not the environment knows it."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
