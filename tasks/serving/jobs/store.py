"""Jobs on the disk, in SQLite: what is acknowledged survives a kill, and no part is answered twice.

A job is claimed by one worker at a time, by a lease that the worker renews. What a worker writes holds only
while the job still has its claim: who was thought dead, or was told to stop, changes nothing any more.
"""

import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

LEASE_S = 5.0
"""Until a job whose worker was killed is taken up by another; workers renew theirs each second."""
MOST_CLAIMS = 5
"""Times that a job is taken up after its worker ended: one that ends the process each time is given up."""
MOST_WAITING, MOST_OF_CALLER, MOST_KEPT = 10_000, 1_000, 100_000
"""Jobs that wait: of all callers, of one of them; and all that are kept, finished ones too."""
MOST_BYTES = 2 * 2**30
"""Of rows that wait and answers that are kept, together."""
WAITING = ("queued", "running")
FINISHED = ("succeeded", "failed", "cancelled")
TABLES = """
CREATE TABLE IF NOT EXISTS jobs (
  id TEXT PRIMARY KEY, project TEXT NOT NULL, caller TEXT NOT NULL, idempotency_key TEXT,
  state TEXT NOT NULL DEFAULT 'queued', submitted REAL NOT NULL, finished REAL, keep_s REAL NOT NULL,
  content_type TEXT NOT NULL, source TEXT, allow_missing INTEGER NOT NULL, log INTEGER NOT NULL,
  size INTEGER NOT NULL, due REAL NOT NULL, claim TEXT, lease REAL, claims INTEGER NOT NULL DEFAULT 0,
  rows INTEGER, parts INTEGER, parts_done INTEGER NOT NULL DEFAULT 0, status INTEGER, error TEXT,
  webhook TEXT, webhook_state TEXT, webhook_due REAL, webhook_attempts INTEGER NOT NULL DEFAULT 0,
  webhook_error TEXT);
CREATE UNIQUE INDEX IF NOT EXISTS job_keys ON jobs (project, caller, idempotency_key);
CREATE INDEX IF NOT EXISTS job_states ON jobs (state, due);
CREATE INDEX IF NOT EXISTS job_webhooks ON jobs (webhook_state, webhook_due);
CREATE TABLE IF NOT EXISTS bodies (job TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS answers (
  job TEXT NOT NULL, part INTEGER NOT NULL, answer BLOB NOT NULL, PRIMARY KEY (job, part));
"""


@dataclass(frozen=True)
class Job:
    """One async request. Times are seconds since 1970."""

    id: str
    project: str
    caller: str
    idempotency_key: str | None
    """The client's: a submission that is repeated with it is the same job."""
    state: str
    submitted: float
    finished: float | None
    keep_s: float
    """How long it is kept once it is finished."""
    content_type: str
    source: str | None
    """URL of the file, where the rows were not sent."""
    allow_missing: int
    log: int
    size: int
    """Bytes of its rows or answers."""
    due: float
    """It is not taken up before."""
    claim: str | None
    lease: float | None
    claims: int
    rows: int | None
    """None until they were read."""
    parts: int | None
    parts_done: int
    status: int | None
    """HTTP's, of what failed."""
    error: str | None
    webhook: str | None
    webhook_state: str | None
    """`waiting` for the job's end, then for who is called; `delivered`, or `given up`."""
    webhook_due: float | None
    webhook_attempts: int
    webhook_error: str | None

    @property
    def is_finished(self) -> bool:
        """Whether nothing of it changes any more."""
        return self.state in FINISHED


class QueueFullError(Exception):
    """There is no room for one more job; `is_callers` where others would still have some."""

    def __init__(self, reason: str, is_callers: bool = False) -> None:
        super().__init__(reason)
        self.is_callers = is_callers


class JobStore:
    """The jobs of an installation. Its methods wait for the disk, and belong to one thread."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        """`folder`: `<home>/jobs`, made if missing."""
        self.now = now
        folder.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(
            folder / "jobs.db", timeout=10, isolation_level=None, check_same_thread=False
        )
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode = WAL")
        # An acknowledged job outlives the machine's power too, not only the process.
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(TABLES)

    def close(self) -> None:
        """Lets go of the file."""
        self._database.close()

    def submit(self, job: dict[str, Any], body: bytes) -> Job:
        """One more job, on the disk when this returns; the one that its idempotency key has already.

        Raises QueueFullError.
        """
        with self._transaction():
            if job.get("idempotency_key") is not None and (found := self._repeated(job)):
                return found
            self._check_room(job["caller"], len(body))
            now = self.now()
            job = job | {"submitted": now, "due": now, "size": len(body)}
            if job.get("webhook"):
                job["webhook_state"] = "waiting"
            columns, places = ", ".join(job), ", ".join(f":{name}" for name in job)
            self._database.execute(f"INSERT INTO jobs ({columns}) VALUES ({places})", job)
            self._database.execute("INSERT INTO bodies VALUES (?, ?)", (job["id"], body))
        found = self.find(job["id"])
        assert found  # noqa: S101 - it was written a moment ago
        return found

    def _repeated(self, job: dict[str, Any]) -> Job | None:
        where = "project = :project AND caller = :caller AND idempotency_key = :idempotency_key"
        return self._job(f"SELECT * FROM jobs WHERE {where}", job)

    def _check_room(self, caller: str, size: int) -> None:
        """Raises QueueFullError where one more job of so many bytes has no room."""
        of_caller = "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running') AND caller = ?"
        if self._number(of_caller, (caller,)) >= MOST_OF_CALLER:
            reason = f"{caller} has {MOST_OF_CALLER} jobs that wait, the most there may be of one caller"
            raise QueueFullError(reason, is_callers=True)
        if self.waiting() >= MOST_WAITING:
            raise QueueFullError(f"{MOST_WAITING} jobs wait, the most there may be")
        if self._number("SELECT count(*) FROM jobs") >= MOST_KEPT:
            raise QueueFullError(
                f"{MOST_KEPT} jobs are kept, the most there may be; DELETE those that are read"
            )
        if self._number("SELECT coalesce(sum(size), 0) FROM jobs") + size > MOST_BYTES:
            reason = f"jobs have {MOST_BYTES // 2**20} MB on the disk, the most there may be"
            raise QueueFullError(f"{reason}; DELETE those that are read")

    def waiting(self) -> int:
        """Jobs that are not finished."""
        return self._number("SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')")

    def find(self, job_id: str) -> Job | None:
        """A job by its id."""
        return self._job("SELECT * FROM jobs WHERE id = ?", (job_id,))

    def body(self, job: Job) -> bytes:
        """What was sent, or fetched."""
        found = self._database.execute("SELECT body FROM bodies WHERE job = ?", (job.id,)).fetchone()
        return bytes(found[0]) if found else b""

    def answers(self, job: Job) -> list[bytes]:
        """What was answered, part by part."""
        found = self._database.execute("SELECT answer FROM answers WHERE job = ? ORDER BY part", (job.id,))
        return [bytes(row[0]) for row in found]

    def claim(self) -> Job | None:
        """The job that waits longest, now this worker's; one whose worker is dead is taken up too."""
        now, claim = self.now(), secrets.token_hex(8)
        free = "(state = 'queued' AND due <= :now) OR (state = 'running' AND lease <= :now)"
        chosen = f"SELECT id FROM jobs WHERE {free} ORDER BY due LIMIT 1"
        if not self._number(f"SELECT EXISTS ({chosen})", {"now": now}):
            # Most looks find nothing, and need not wait for who writes.
            return None
        changed = "state = 'running', claim = :claim, lease = :lease, claims = claims + 1"
        with self._transaction():
            return self._job(
                f"UPDATE jobs SET {changed} WHERE id = ({chosen}) RETURNING *",
                {"now": now, "claim": claim, "lease": now + LEASE_S},
            )

    def renew(self, job: Job) -> bool:
        """Keeps a job for its worker; False where it is no longer this worker's."""
        return self._change(job, "lease = :lease", lease=self.now() + LEASE_S)

    def give_back(self, job: Job, after_s: float = 0.0) -> bool:
        """Puts a job back that its worker could not finish, for others or later."""
        changed = "state = 'queued', claim = NULL, claims = claims - 1, due = :due"
        return self._change(job, changed, due=self.now() + after_s)

    def keep_body(self, job: Job, body: bytes, content_type: str) -> bool:
        """Keeps the file that was fetched, so that a job that is taken up again has the same rows."""
        with self._transaction():
            held = self._change(
                job, "source = NULL, size = :size, content_type = :kind", size=len(body), kind=content_type
            )
            if held:
                self._database.execute("UPDATE bodies SET body = ? WHERE job = ?", (body, job.id))
        return held

    def add_answer(self, job: Job, part: int, answer: bytes, rows: int, parts: int) -> bool:
        """Keeps what a part was answered; False where the job is no longer this worker's."""
        changed = "rows = :rows, parts = :parts, parts_done = :done, size = size + :size, lease = :lease"
        with self._transaction():
            held = self._change(
                job,
                changed,
                rows=rows,
                parts=parts,
                done=part + 1,
                size=len(answer),
                lease=self.now() + LEASE_S,
            )
            if held:
                self._database.execute("INSERT INTO answers VALUES (?, ?, ?)", (job.id, part, answer))
        return held

    def finish(self, job: Job, state: str, status: int | None = None, error: str | None = None) -> bool:
        """Ends a job of this worker; its rows are no longer needed."""
        with self._transaction():
            return self._end(job, "claim = :claim AND state = 'running'", state, status, error)

    def cancel(self, job: Job) -> Job | None:
        """Ends a job whoever works at it, and returns it as it is then; None where it is gone."""
        with self._transaction():
            self._end(job, "state IN ('queued', 'running')", "cancelled", None, None)
        return self.find(job.id)

    def delete(self, job: Job) -> None:
        """Forgets a job with its rows and answers."""
        with self._transaction():
            for table, column in (("jobs", "id"), ("bodies", "job"), ("answers", "job")):
                self._database.execute(f"DELETE FROM {table} WHERE {column} = ?", (job.id,))

    def expire(self) -> int:
        """Forgets finished jobs that were kept long enough, and whose webhook waits no more; how many."""
        over = "finished + keep_s <= ? AND (webhook_state IS NULL OR webhook_state != 'waiting')"
        found = self._jobs(f"SELECT * FROM jobs WHERE {over} LIMIT 1000", (self.now(),))
        for job in found:
            self.delete(job)
        return len(found)

    def claim_webhook(self, again_s: tuple[float, ...]) -> Job | None:
        """A finished job whose webhook is to be called now; without word of it, it is due again in time."""
        waits = "CASE webhook_attempts " + " ".join(
            f"WHEN {number} THEN {seconds}" for number, seconds in enumerate(again_s)
        )
        chosen = "SELECT id FROM jobs WHERE webhook_state = 'waiting' AND webhook_due <= :now LIMIT 1"
        if not self._number(f"SELECT EXISTS ({chosen})", {"now": self.now()}):
            return None
        changed = (
            f"webhook_due = :now + {waits} ELSE {again_s[-1]} END, webhook_attempts = webhook_attempts + 1"
        )
        with self._transaction():
            return self._job(
                f"UPDATE jobs SET {changed} WHERE id = ({chosen}) RETURNING *", {"now": self.now()}
            )

    def note_webhook(self, job: Job, state: str, error: str | None) -> None:
        """What became of a call."""
        with self._transaction():
            self._database.execute(
                "UPDATE jobs SET webhook_state = ?, webhook_error = ? WHERE id = ?", (state, error, job.id)
            )

    def _end(self, job: Job, where: str, state: str, status: int | None, error: str | None) -> bool:
        values = {
            "id": job.id,
            "claim": job.claim,
            "state": state,
            "now": self.now(),
            "status": status,
            "error": error,
        }
        size = "(SELECT coalesce(sum(length(answer)), 0) FROM answers WHERE job = :id)"
        told = "webhook_due = CASE WHEN webhook IS NULL THEN NULL ELSE :now END"
        changed = (
            f"state = :state, finished = :now, claim = NULL, status = :status, error = :error, size = {size}"
        )
        done = self._database.execute(f"UPDATE jobs SET {changed}, {told} WHERE id = :id AND {where}", values)
        if done.rowcount:
            self._database.execute("DELETE FROM bodies WHERE job = ?", (job.id,))
            if state != "succeeded":
                self._database.execute("DELETE FROM answers WHERE job = ?", (job.id,))
        return bool(done.rowcount)

    def _change(self, job: Job, changed: str, **values: Any) -> bool:
        where = "id = :id AND claim = :claim AND state = 'running'"
        done = self._database.execute(
            f"UPDATE jobs SET {changed} WHERE {where}", values | {"id": job.id, "claim": job.claim}
        )
        return bool(done.rowcount)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, one writer at a time; within another one it is part of that."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _job(self, query: str, values: Any = ()) -> Job | None:
        found = self._jobs(query, values)
        return found[0] if found else None

    def _jobs(self, query: str, values: Any = ()) -> list[Job]:
        names = [field.name for field in fields(Job)]
        return [Job(**{name: row[name] for name in names}) for row in self._database.execute(query, values)]

    def _number(self, query: str, values: Any = ()) -> int:
        return int(self._database.execute(query, values).fetchone()[0])
