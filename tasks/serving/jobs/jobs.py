"""The jobs of one process: taken in, answered part by part, told, and forgotten in time."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import orjson

from infra.home import Home
from tasks.rows.raw import Rows
from tasks.serving.jobs import outbound
from tasks.serving.jobs.store import MOST_CLAIMS, Job, JobStore, QueueFullError
from tasks.serving.jobs.webhooks import RETRY_S, Signer, message
from tasks.serving.model_server import BODY_LIMIT, ModelServer, Prediction
from tasks.serving.models.model import LAST, Signature
from tasks.serving.protocol.inference import Caller, Request, new_id
from tasks.serving.protocol.refusal import Refusal, refuse_for
from tasks.serving.protocol.tensors import MAX_ROWS
from tasks.serving.rest.messages import prediction
from tasks.serving.rest.uploads import rows_of_upload, upload_of

log = logging.getLogger("gyre.serving")
Found = TypeVar("Found")
WORKERS = 2
"""Jobs that one process answers at the same time; their rows give way to those of clients that wait."""
LOOK_S, RENEW_S, EXPIRE_S = 0.5, 1.0, 10.0
AGAIN_S = 5.0
"""Until a part is tried again that the server had no room or time for."""
MOST_WAIT_S = 24 * 3600.0
"""A job that could not be answered for so long fails."""
KEEP_S, MAX_KEEP_S = 24 * 3600.0, 7 * 24 * 3600.0
"""How long a finished job is kept where its client does not say, and at most."""
MOST_WATCHERS = 256
"""Clients that follow a job's progress, by process."""
TEMPORARY = (429, 503, 504)
MAX_KEY = 256


@dataclass(frozen=True)
class Submission:
    """What a client leaves."""

    body: bytes
    content_type: str
    source: str | None = None
    """A file's URL, in the place of a body."""
    webhook: str | None = None
    keep_s: float = KEEP_S
    idempotency_key: str | None = None
    allow_missing: bool = False
    log: bool = True


class Jobs:
    """The jobs of an installation, as one process of its model server sees them."""

    def __init__(self, server: ModelServer, home: Home, outbound_origins: str = "") -> None:
        """Nothing is on the disk until `start`. Raises ValueError for what is no list of origins."""
        self._server, self._home = server, home
        self._origins = outbound.origins_of(outbound_origins)
        self._disk = ThreadPoolExecutor(1, "jobs")
        # Others' servers may take their time: no job waits for a webhook of another one.
        self._calls = ThreadPoolExecutor(4, "outbound")
        self._opened: JobStore | None = None
        self._signer: Signer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._submitted = asyncio.Event()
        self._watchers = 0

    async def start(self) -> None:
        """Goes on with what waits on the disk."""
        workers = [self._work] * WORKERS
        for each in (*workers, self._tell, self._forget):
            self._tasks.append(asyncio.create_task(forever(each)))

    async def close(self) -> None:
        """Gives back what is not answered yet, for the next process."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._calls.shutdown(wait=False, cancel_futures=True)
        self._disk.shutdown()
        if self._opened:
            self._opened.close()

    async def submit(self, project: str, submission: Submission, caller: str) -> dict[str, Any]:
        """A job's status once it is on the disk. Refuses (429, 503) where too much waits."""
        self._server.route(project)
        for name, url in (("url", submission.source), ("webhook", submission.webhook)):
            if url is not None:
                outbound.check_url(url, self._origins, name)
        job = {
            "id": new_id(),
            "project": project,
            "caller": caller,
            "idempotency_key": submission.idempotency_key,
            "keep_s": submission.keep_s,
            "content_type": submission.content_type,
            "source": submission.source,
            "allow_missing": submission.allow_missing,
            "log": submission.log,
            "webhook": submission.webhook,
        }
        try:
            found = await self._on_disk(lambda store: store.submit(job, submission.body))
        except QueueFullError as full:
            if full.is_callers:
                raise Refusal(429, str(full), {"retry-after": f"{AGAIN_S:.0f}"}) from None
            refuse_for(AGAIN_S, str(full))
        self._submitted.set()
        told = status(found)
        if found.webhook and self._signer:
            told["webhook"]["secret"] = self._signer.secret(caller)
        return told

    async def find(self, project: str, job_id: str, caller: str | None) -> Job:
        """A caller's job; `caller` None: anybody's. Refuses (404) what is none, or another's."""
        found = await self._on_disk(lambda store: store.find(job_id))
        if found is None or found.project != project or caller not in (None, found.caller):
            raise Refusal(404, f"{project}: there is no job {job_id[:64]!r} of yours, or it has expired")
        return found

    async def result(self, job: Job) -> dict[str, Any]:
        """What all its rows were answered. Refuses (409) a job that is not finished or was cancelled."""
        if job.state == "failed":
            raise Refusal(job.status or 500, f"job {job.id} failed: {job.error}")
        if job.state != "succeeded":
            raise Refusal(409, f"job {job.id} is {job.state}; want one that is succeeded")
        parts = await self._on_disk(lambda store: store.answers(job))
        return await asyncio.to_thread(joined, parts)

    async def cancel(self, job: Job) -> dict[str, Any]:
        """Its status once nothing more is done for it; one that was finished already is forgotten."""
        if job.is_finished:
            await self._on_disk(lambda store: store.delete(job))
            return status(job)
        found = await self._on_disk(lambda store: store.cancel(job))
        return status(found or job)

    def check_watchers(self) -> None:
        """Refuses (503) one more client that would follow a job where there are too many."""
        if self._watchers >= MOST_WATCHERS:
            refuse_for(AGAIN_S, f"{MOST_WATCHERS} clients follow jobs")

    async def events(self, job: Job) -> AsyncIterator[dict[str, Any]]:
        """Its status, and again whenever it changes, until it is finished."""
        self._watchers += 1
        try:
            last: dict[str, Any] = {}
            found: Job | None = job
            while found is not None:
                if (told := status(found)) != last:
                    yield told
                    last = told
                if found.is_finished:
                    return
                await asyncio.sleep(LOOK_S)
                found = await self._on_disk(lambda store: store.find(job.id))
        finally:
            self._watchers -= 1

    async def _on_disk(self, ask: Callable[[JobStore], Found]) -> Found:
        """What the store answers. Refuses (503) where the disk does not take it."""

        def asked() -> Found:
            # Made here, so that a server whose disk is full or slow starts all the same.
            if self._opened is None:
                folder = self._home.make(self._home.jobs)
                self._signer = Signer(folder / "webhook.key")
                self._opened = JobStore(folder)
            return ask(self._opened)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._disk, asked)
        except (OSError, sqlite3.Error) as error:
            refuse_for(AGAIN_S, f"jobs cannot be read or written: {error}")

    async def _work(self) -> None:
        """Answers one job, or waits a moment for one."""
        if job := await self._on_disk(lambda store: store.claim()):
            await self._answer(job)
            return
        self._submitted.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._submitted.wait()

    async def _answer(self, job: Job) -> None:
        """Answers a job that is claimed, whatever becomes of it."""
        renewing = asyncio.create_task(forever(lambda: self._renew(job)))
        try:
            await self._answer_parts(job)
        except Refusal as refusal:
            if refusal.status in TEMPORARY and time.time() - job.submitted < MOST_WAIT_S:
                await self._on_disk(lambda store: store.give_back(job, AGAIN_S))
            else:
                error, number = str(refusal), refusal.status
                await self._on_disk(lambda store: store.finish(job, "failed", number, error))
        except asyncio.CancelledError:
            await self._on_disk(lambda store: store.give_back(job))
            raise
        except Exception as error:
            log.exception("%s: job %s", job.project, job.id)
            told = f"{type(error).__name__}: {error}"
            await self._on_disk(lambda store: store.finish(job, "failed", 500, told))
        finally:
            renewing.cancel()

    async def _renew(self, job: Job) -> None:
        await asyncio.sleep(RENEW_S)
        await self._on_disk(lambda store: store.renew(job))

    async def _answer_parts(self, job: Job) -> None:
        """Answers the parts that are not answered yet. Raises Refusal."""
        if job.claims > MOST_CLAIMS:
            raise Refusal(500, f"the server ended {MOST_CLAIMS} times while it answered this job")
        body, content_type = await self._body(job)
        rows = JobRows(body, content_type, bool(job.allow_missing))
        part, parts = job.parts_done, job.parts or 1
        while part < parts:
            rows.part = part
            request = await self._request(job, part, job.parts or parts)
            caller = Caller(True, f"job of {job.caller}")
            found = await self._server.predict(job.project, rows.read, request, caller)
            parts = rows.parts
            answer = await asyncio.to_thread(part_of, found, part)
            add = partial(
                JobStore.add_answer, job=job, part=part, answer=answer, rows=rows.count, parts=parts
            )
            if not await self._on_disk(add):
                return
            part += 1
        await self._on_disk(lambda store: store.finish(job, "succeeded"))

    async def _request(self, job: Job, part: int, parts: int) -> Request:
        """A part's request: it gives way to others', stays with one version, and is logged once."""
        request_id = f"{job.id}.{part}"
        is_logged = bool(job.log)
        if is_logged and job.claims > 1:
            # A worker that was killed may have logged it, and not kept the answer.
            is_logged = not await self._server.has_logged(job.project, request_id)
        return Request(request_id, is_logged, None, None, priority=LAST, key=job.id, is_durable=True)

    async def _body(self, job: Job) -> tuple[bytes, str]:
        """A job's rows as they were sent, or are fetched now. Raises Refusal."""
        if job.source is None:
            return await self._on_disk(lambda store: store.body(job)), job.content_type
        source = outbound.check_url(job.source, self._origins, "url")
        loop = asyncio.get_running_loop()
        body, kind = await loop.run_in_executor(self._calls, outbound.fetch, source, BODY_LIMIT)
        kind = job.content_type or kind
        await self._on_disk(lambda store: store.keep_body(job, body, kind))
        return body, kind

    async def _tell(self) -> None:
        """Calls one webhook that is due, or waits a moment for one."""
        job = await self._on_disk(lambda store: store.claim_webhook(RETRY_S))
        if job is None:
            await asyncio.sleep(LOOK_S)
            return
        error = await self._call(job)
        state = "waiting" if error else "delivered"
        if error and job.webhook_attempts > len(RETRY_S):
            state = "given up"
            log.error("%s: the webhook of job %s is given up: %s", job.project, job.id, error)
        await self._on_disk(lambda store: store.note_webhook(job, state, error))

    async def _call(self, job: Job) -> str | None:
        """Calls a job's webhook; what went wrong."""
        assert job.webhook and self._signer  # noqa: S101 - only such jobs are due, and the store is open
        body = message(status(job))
        headers = self._signer.headers(job.caller, job.id, int(time.time()), body)
        loop = asyncio.get_running_loop()
        try:
            # Again: the origins may have changed since it was submitted.
            url = outbound.check_url(job.webhook, self._origins, "webhook")
            answered = await loop.run_in_executor(self._calls, outbound.post, url, body, headers)
        except (OSError, Refusal) as error:
            return str(error)
        return None if 200 <= answered < 300 else f"answered {answered}"

    async def _forget(self) -> None:
        """Forgets what was kept long enough."""
        await self._on_disk(lambda store: store.expire())
        await asyncio.sleep(EXPIRE_S)


class JobRows:
    """The rows of a job, read once for a version and asked for part by part."""

    def __init__(self, body: bytes, content_type: str, allow_missing: bool) -> None:
        self._body, self._content_type, self._allow_missing = body, content_type, allow_missing
        self._read_for: Signature | None = None
        self._rows: Rows
        self._notices: list[str] = []
        self.part = 0

    @property
    def count(self) -> int:
        """All of them."""
        return len(self._rows)

    @property
    def parts(self) -> int:
        """How many parts they make."""
        return max(1, -(-self.count // MAX_ROWS))

    def read(self, project: str, signature: Signature) -> tuple[Rows, list[str]]:
        """The rows of the part, as a version takes them; the first one has the notices. Raises Refusal."""
        if self._read_for is not signature:
            upload = upload_of(self._body, self._content_type)
            self._rows, self._notices = rows_of_upload(upload, project, signature, self._allow_missing)
            self._read_for = signature
        begin = self.part * MAX_ROWS
        return self._rows[begin : begin + MAX_ROWS], [] if self.part else self._notices


def part_of(found: Prediction, part: int) -> bytes:
    """What a part was answered, for the disk; its rows are numbered as the job's are."""
    told = prediction(found)
    for row in told["rows"]:
        row["row"] += part * MAX_ROWS
    return orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY)


def joined(parts: list[bytes]) -> dict[str, Any]:
    """One answer of all parts', as /predict gives it."""
    read = [orjson.loads(part) for part in parts]
    found: dict[str, Any] = read[0] | {"rows": [], "notices": []}
    for part in read:
        if part["rows"] and part["version"] != found["version"]:
            begin, end = part["rows"][0]["row"], part["rows"][-1]["row"]
            found["notices"].append(f"rows {begin} to {end} were answered by version {part['version']}")
        found["rows"] += part["rows"]
        found["notices"] += [each for each in part["notices"] if each not in found["notices"]]
    return found


def status(job: Job) -> dict[str, Any]:
    """What its client is told of a job."""
    told: dict[str, Any] = {
        "id": job.id,
        "model": job.project,
        "state": job.state,
        "submitted": stamp(job.submitted),
        "rows": job.rows,
        "rows_done": min(job.parts_done * MAX_ROWS, job.rows or 0),
    }
    if job.finished is not None:
        told |= {"finished": stamp(job.finished), "expires": stamp(job.finished + job.keep_s)}
    if job.error is not None:
        told |= {"status": job.status, "error": job.error}
    if job.webhook:
        told["webhook"] = {
            "url": job.webhook,
            "state": job.webhook_state,
            "attempts": job.webhook_attempts,
            "error": job.webhook_error,
        }
    return told


def stamp(seconds: float) -> str:
    """A time as ISO 8601 writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


async def forever(step: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Does it again and again; what it meets must not end it."""
    while True:
        try:
            await step()
        except Refusal as refusal:
            log.error("jobs: %s", refusal)
            await asyncio.sleep(AGAIN_S)
        except Exception:
            log.exception("jobs")
            await asyncio.sleep(AGAIN_S)
