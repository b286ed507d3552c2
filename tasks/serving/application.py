"""The ASGI application: paths to answers.

Open Inference Protocol v2, and `POST /v2/models/<model>/labels` for late labels.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version as installed
from typing import Any

import orjson

from infra.guard import TRUSTED
from infra.home import Home
from tasks.production.releases import Releases
from tasks.rows.raw import Rows, weight
from tasks.serving.access import Anonymous
from tasks.serving.journal import GroupCommit, Journal, Label, Prediction
from tasks.serving.known import KnownRequests
from tasks.serving.labels import labels_of
from tasks.serving.model import Model
from tasks.serving.model_facts import about_version, statistics
from tasks.serving.notices import notices
from tasks.serving.protocol import (
    Request,
    check_outputs,
    infinite,
    json_object,
    parse,
    response,
)
from tasks.serving.refusal import Refusal, shorten
from tasks.serving.routing import Route, Table, Watch
from tasks.serving.tensors import rows_of

log = logging.getLogger("gyre.serving")
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
POLL_S = 0.2
"""How soon a changed manifest is seen."""
TIME_LIMIT_S = 20.0
"""Of one request, its body's arrival included."""
MEGABYTE = 2**20
BODY_LIMIT = 16 * MEGABYTE
LINE_BYTES = 200
"""What a prediction weighs beside its row, roughly."""


class Application:
    """One model server.

    `home` is the installation's; it reads releases/ and bundles/ there and writes predictions/.
    """

    def __init__(self, home: Home, logs_anonymous: bool = False) -> None:
        """Requests without the installation's credential are answered, and logged only where `logs_anonymous`."""
        self.table: Table = {}
        self._logs_anonymous = logs_anonymous
        self._anonymous = Anonymous()
        self._graphs = ThreadPoolExecutor(1, "graphs")
        self._disk = ThreadPoolExecutor(1, "disk")
        self._lookups = ThreadPoolExecutor(1, "lookups")
        self._loader = ThreadPoolExecutor(1, "loader")
        self._watch = Watch(Releases(home.releases), self._graphs)
        journal = Journal(home.predictions)
        self._known = KnownRequests(home.predictions)
        self._predictions = GroupCommit(
            journal.write_predictions, self._disk, wait_s=0.5, full=4 * MEGABYTE, limit=64 * MEGABYTE
        )
        self._labels = GroupCommit(
            journal.write_labels, self._disk, wait_s=0.05, full=MEGABYTE, limit=2 * BODY_LIMIT
        )

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One HTTP request, or the server's whole life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        status, value = await self._answered(scope, receive)
        body = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        headers += {503: [(b"retry-after", b"1")], 413: [(b"connection", b"close")]}.get(status, [])
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _live(self, receive: Receive, send: Send) -> None:
        """Opens when the released versions are loaded; at the end, when every request was answered, writes what waits for the disk."""
        await receive()
        await self._refresh()
        watching = asyncio.create_task(self._follow())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        watching.cancel()
        await self._predictions.close()
        await self._labels.close()
        for pool in (self._graphs, self._disk, self._lookups, self._loader):
            pool.shutdown()
        await send({"type": "lifespan.shutdown.complete"})

    async def _follow(self) -> None:
        """Swaps the routing table whenever the manifests change."""
        while True:
            await asyncio.sleep(POLL_S)
            await self._refresh()

    async def _refresh(self) -> None:
        try:
            self.table = await asyncio.get_running_loop().run_in_executor(
                self._loader, self._watch.refreshed, self.table
            )
        except Exception:
            # The watch must outlive whatever it meets; the next look is in POLL_S.
            log.exception("the release manifests could not be followed")

    async def _answered(self, scope: Message, receive: Receive) -> tuple[int, Any]:
        """HTTP status and JSON value."""
        try:
            async with asyncio.timeout(TIME_LIMIT_S):
                return 200, await self._respond(scope, receive)
        except Refusal as refusal:
            return refusal.status, {"error": str(refusal)}
        except TimeoutError:
            return 504, {"error": f"not answered within {TIME_LIMIT_S:.0f} s"}
        except Exception as error:
            log.exception("%s %s", scope["method"], scope["path"])
            return 500, {"error": f"{type(error).__name__}: {error}"}

    async def _respond(self, scope: Message, receive: Receive) -> Any:
        """The JSON answer of a path. Raises Refusal."""
        match (scope["method"], scope["path"].strip("/").split("/")):
            case ("POST", ["v2", "models", project, "infer"]):
                return await self._infer(project, None, await body_of(scope, receive), scope[TRUSTED])
            case ("POST", ["v2", "models", project, "versions", version, "infer"]):
                return await self._infer(project, version, await body_of(scope, receive), scope[TRUSTED])
            case ("POST", ["v2", "models", project, "labels"]):
                return await self._label(project, await body_of(scope, receive))
            case ("GET", ["v2", "models", project, *rest]):
                return self._about_model(project, rest)
            case ("GET", ["v2", *rest]):
                return self._about_server(rest)
        raise Refusal(
            404, f"there is no {scope['method']} {scope['path']}; want such as POST /v2/models/<model>/infer"
        )

    async def _infer(self, project: str, version: str | None, body: bytes, trusted: bool) -> dict[str, Any]:
        """An inference, logged as production traffic unless the request says otherwise or comes from nobody we know."""
        route, request = self._route(project), parse(body)
        role, model = route.choose(request.id) if version is None else route.version(project, version)
        role, model, rows, moved = fitting(
            request, role, model, route.others(model) if version is None else []
        )
        outputs = await model.answer(rows)
        answers = model.signature.texts(next(iter(outputs.values())))
        known = trusted or self._logs_anonymous
        told = [
            *moved,
            *request.notices,
            *notices(rows, model.signature.inputs, model.signature.trained),
            *infinite(outputs),
        ]
        if request.log and known:
            told += self._remember(
                Prediction(
                    project, request.row_ids(len(rows)), utc_now(), model.served.version, role, rows, answers
                )
            )
        elif request.log:
            told.append(self._anonymous.notice(project))
        parameters: dict[str, Any] = {"notices": told} if told else {}
        if role == "fallback":
            parameters["degraded"] = (
                f"the released version cannot be loaded; version {model.served.version} answers in its place"
            )
        return response(project, model.served.version, request, outputs, answers, parameters)

    def _remember(self, prediction: Prediction) -> list[str]:
        """Queues a prediction for the log.

        Answering matters more: what a stuck disk cannot take is dropped, and that is the notice.
        """
        try:
            self._predictions.add([prediction], weight(prediction.rows) + LINE_BYTES * len(prediction.ids))
        except BufferError as error:
            log.error("%s: prediction %s is not logged: %s", prediction.project, prediction.ids[0], error)
            return [f"answered but not logged, so no label can follow: {error}"]
        self._known.add(prediction.project, prediction.ids)
        return []

    async def _label(self, project: str, body: bytes) -> dict[str, Any]:
        """Late labels, answered when they are on the disk."""
        signature, now = self._route(project).any(project).signature, utc_now()
        pairs = labels_of(json_object(body), signature)
        unchecked = await self._unchecked(project, [request_id for request_id, _ in pairs])
        labels = [Label(project, request_id, now, label) for request_id, label in pairs]
        try:
            # Shielded: one client's time limit must not cancel the commit that others wait for too.
            await asyncio.shield(self._labels.add(labels, len(body)))
        except BufferError as error:
            raise Refusal(503, f"{error}; try again in a second") from None
        return {"accepted": len(labels)} | ({"unchecked": unchecked} if unchecked else {})

    async def _unchecked(self, project: str, ids: list[str]) -> int:
        """How many ids could not be looked for in time.

        Refuses (404) ids of rows that were never logged: their labels would be lost.
        """
        left = [each for each in ids if each not in self._known.among(project, ids)]
        if not left:
            return 0
        parts = [f"{each}#0" for each in left]
        near = self._known.among(project, parts)
        sought = await asyncio.get_running_loop().run_in_executor(
            self._lookups, self._known.sought, project, [*left, *parts]
        )
        unknown = [each for each in left if each not in sought.found]
        if unknown and not sought.complete:
            log.warning(
                "%s: %d labels are taken without having found their rows: the log is too long to look through",
                project,
                len(unknown),
            )
            return len(unknown)
        if unknown:
            first, number = unknown[0], ids.index(unknown[0])
            several = f"{first}#0" in near | sought.found
            hint = (
                f"it had several rows, so name each, such as {first + '#0'!r}"
                if several
                else "want the id of an answer, sent with log: true"
            )
            raise Refusal(
                404,
                f"labels[{number}].request_id {shorten(first)} is of no logged row ({len(unknown)} of {len(ids)} are): {hint}",
            )
        return 0

    def _about_server(self, rest: list[str]) -> dict[str, Any]:
        """The server's name, or its health: ready, unless a project has a champion that cannot be loaded and nothing in its place.

        `degraded` says by project what does not serve as it was released, though something answers.
        """
        match rest:
            case []:
                return {
                    "name": "gyre",
                    "version": installed("gyre"),
                    "extensions": ["answer", "labels", "statistics"],
                }
            case ["health", "live"]:
                return {"live": True}
            case ["health", "ready"]:
                for project, route in self.table.items():
                    if route.refused and route.champion is None and route.fallback is None:
                        raise Refusal(503, f"{project}: {'; '.join(route.refused.values())}")
                damaged = {project: route.damage for project, route in self.table.items() if route.damage}
                return {"ready": True} | ({"degraded": damaged} if damaged else {})
        raise Refusal(
            404,
            f"there is no /v2/{'/'.join(rest)}; want /v2, /v2/health/live, /v2/health/ready or /v2/models/<model>",
        )

    def _about_model(self, project: str, rest: list[str]) -> dict[str, Any]:
        """Metadata, columns, readiness or statistics of a model or of one version."""
        route = self._route(project)
        match rest:
            case ["ready"]:
                return {"name": project, "ready": bool(route.choose(""))}
            case ["stats"]:
                return {"model_stats": [statistics(project, model) for model in route.models.values()]}
            case ["versions", version, *about]:
                return about_version(project, route, route.version(project, version)[1], about)
        return about_version(project, route, route.any(project), rest)

    def _route(self, project: str) -> Route:
        """What serves in a project."""
        if (route := self.table.get(project)) is None:
            raise Refusal(404, f"no model {project!r}; there are: {', '.join(self.table) or 'none yet'}")
        return route


def fitting(
    request: Request, role: str, model: Model, others: list[tuple[str, Model]]
) -> tuple[str, Model, Rows, list[str]]:
    """Role, model, rows and notices of the version that was chosen, or where a request does not fit it, of the first other that it fits.

    Raises the first version's Refusal where it fits none: that is the version whose inputs a new client
    should send.
    """
    try:
        return role, model, accept_rows(request, model), []
    except Refusal:
        for other_role, other in others:
            with suppress(Refusal):
                rows = accept_rows(request, other)
                notice = f"answered by version {other.served.version}, whose inputs these are; version {model.served.version} takes others"
                return other_role, other, rows, [notice]
        raise


def accept_rows(request: Request, model: Model) -> Rows:
    """The rows of a request, as a version takes them. Raises Refusal."""
    check_outputs(request, model.signature.outputs)
    return rows_of(request.inputs, model.signature.inputs)


async def body_of(scope: Message, receive: Receive) -> bytes:
    """A request's body. Refuses (413) one over the limit as soon as that is known."""
    length = dict(scope["headers"]).get(b"content-length", b"0")
    parts, size, more = [], int(length), True
    while more:
        if size > BODY_LIMIT:
            raise Refusal(
                413,
                f"the body has {size} bytes or more; want at most {BODY_LIMIT}, so send fewer rows a request",
            )
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(400, "the client left before its body was complete")
        parts.append(message.get("body", b""))
        size, more = sum(map(len, parts)), message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def utc_now() -> datetime:
    """Now, naive UTC: as the prediction log has it."""
    return datetime.now(UTC).replace(tzinfo=None)
