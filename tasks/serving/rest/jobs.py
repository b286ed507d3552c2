"""Async requests over HTTP.

`POST /jobs/<model>` takes what `/predict/<model>` takes, or a file's URL, and answers with a job (202) at
once; `GET /jobs/<model>/<id>` tells its state, `.../events` its progress as server-sent events, `.../result`
its answers; `DELETE` cancels it, or forgets it where it is finished.
"""

from collections.abc import AsyncIterator

from infra.guard import INSTALLATION
from tasks.serving.jobs.jobs import KEEP_S, MAX_KEEP_S, MAX_KEY, Jobs, Submission, status
from tasks.serving.protocol.refusal import Refusal, shorten
from tasks.serving.rest.calls import Call, Handler, Reply, is_true, json_reply
from tasks.serving.rest.events import event

QUERY = {"allow-missing": False, "log": True, "url": None, "webhook": None, "keep": None}
"""What a submission takes after the question mark, and what holds without it."""
KEY = "idempotency-key"


def job_handlers(jobs: Jobs | None, project: str, rest: list[str]) -> dict[str, Handler]:
    """By method what answers below /jobs/<model>."""
    match rest:
        case []:
            return {"POST": lambda call: submit(there(jobs), call, project)}
        case [job_id]:
            return {
                "GET": lambda call: tell(there(jobs), call, project, job_id),
                "DELETE": lambda call: cancel(there(jobs), call, project, job_id),
            }
        case [job_id, "result"]:
            return {"GET": lambda call: give_result(there(jobs), call, project, job_id)}
        case [job_id, "events"]:
            return {"GET": lambda call: follow(there(jobs), call, project, job_id)}
    return {}


def there(jobs: Jobs | None) -> Jobs:
    """The jobs. Refuses (503) where this server takes none."""
    if jobs is None:
        raise Refusal(503, "this server takes no jobs")
    return jobs


async def submit(jobs: Jobs, call: Call, project: str) -> Reply:
    """A new job, or the one that was submitted with the same key."""
    asked = call.asked(QUERY)
    body = await call.body()
    source = asked.get("url")
    if source is not None and body:
        raise Refusal(400, "the query's url names a file, and the request has a body; want one of them")
    if source is None and not body:
        raise Refusal(400, "the request has no body; want rows as /predict takes them, or the query's url")
    key = call.header(KEY)
    if len(key) > MAX_KEY:
        raise Refusal(400, f"Idempotency-Key is {shorten(key)}; want at most {MAX_KEY} characters")
    submission = Submission(
        body,
        call.header("content-type"),
        source,
        asked.get("webhook"),
        kept_seconds(asked.get("keep")),
        key or None,
        is_true(asked, "allow-missing", False),
        is_true(asked, "log", True),
    )
    told = await jobs.submit(project, submission, call.caller.credential)
    return json_reply(told, 202, [(b"location", f"/jobs/{told['model']}/{told['id']}".encode())])


def kept_seconds(given: str | None) -> float:
    """How long a finished job is kept. Refuses what is no number of seconds in the limits."""
    if given is None:
        return KEEP_S
    is_number = given.isascii() and given.isdigit() and len(given) <= len(str(int(MAX_KEEP_S)))
    seconds = int(given) if is_number else 0
    if not 1 <= seconds <= MAX_KEEP_S:
        raise Refusal(400, f"the query's keep is {shorten(given)}; want 1 to {MAX_KEEP_S:.0f} seconds")
    return float(seconds)


async def tell(jobs: Jobs, call: Call, project: str, job_id: str) -> Reply:
    """A job's state."""
    return json_reply(status(await jobs.find(project, job_id, owner(call))))


async def cancel(jobs: Jobs, call: Call, project: str, job_id: str) -> Reply:
    """Ends a job."""
    return json_reply(await jobs.cancel(await jobs.find(project, job_id, owner(call))))


async def give_result(jobs: Jobs, call: Call, project: str, job_id: str) -> Reply:
    """A job's answers."""
    return json_reply(await jobs.result(await jobs.find(project, job_id, owner(call))))


async def follow(jobs: Jobs, call: Call, project: str, job_id: str) -> Reply:
    """A job's progress."""
    jobs.check_watchers()
    job = await jobs.find(project, job_id, owner(call))

    async def events() -> AsyncIterator[bytes]:
        async for told in jobs.events(job):
            yield event(told["state"], told)

    return Reply(b"", events=events())


def owner(call: Call) -> str | None:
    """Whose jobs a caller sees; None: all of them, with the installation's credential."""
    name = call.caller.credential
    return None if name == INSTALLATION else name
