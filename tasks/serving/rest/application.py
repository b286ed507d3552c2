"""The ASGI application: paths to answers.

Open Inference Protocol v2 with its extensions, `POST /v2/models/<model>/labels` for late labels,
`POST /predict/<model>` for people, `/explain/<model>` for why, and `/jobs/<model>` for who comes back for the
answers.
"""

import asyncio
import logging
import re
from collections.abc import Mapping
from typing import Any

from infra.guard import CALLER, TRUSTED
from tasks.rows.raw import Rows
from tasks.serving.explain.answers import explained
from tasks.serving.explain.occlusion import Occlusion
from tasks.serving.jobs.jobs import Jobs
from tasks.serving.large_bodies import LARGE_JSON
from tasks.serving.model_server import ModelServer
from tasks.serving.models.model import LAST, Signature
from tasks.serving.protocol.inference import Caller, Request, new_id
from tasks.serving.protocol.labels import LABELS_LIMIT
from tasks.serving.protocol.refusal import Refusal, shorten
from tasks.serving.rest.calls import (
    LARGE,
    Call,
    Handler,
    Message,
    Receive,
    Reply,
    Send,
    is_true,
    json_reply,
    replying,
    telling,
    whole_number,
)
from tasks.serving.rest.encodings import chosen_encoding, deflate
from tasks.serving.rest.events import send_events
from tasks.serving.rest.jobs import job_handlers
from tasks.serving.rest.messages import JSON_LENGTH, json_object, parse, prediction, response
from tasks.serving.rest.openapi import document
from tasks.serving.rest.uploads import rows_of_upload, upload_of

log = logging.getLogger("gyre.serving")
COMPRESSED_FROM = 1400
"""Bytes of a body from which it is compressed for who accepts that: less fits one packet as it is."""
JSON_LENGTH_KEY = JSON_LENGTH.lower().encode()
QUERY: Mapping[str, bool] = {"allow-missing": False, "log": True}
"""What /predict takes after the question mark, and what holds without it."""
EXPLAIN_QUERY = {"allow-missing": False}
TRACE = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.{0,200})?")
"""A W3C traceparent; another one is as if there were none, as that standard wants."""


class Application:
    """A model server over HTTP."""

    def __init__(self, server: ModelServer, jobs: Jobs | None = None) -> None:
        """`jobs`: a sandbox has none."""
        self.server, self.jobs = server, jobs
        self._about_server: dict[str, Handler] = {
            "v2": telling(server.metadata),
            "v2/health/live": telling(lambda: {"live": True}),
            "v2/health/ready": telling(server.readiness),
            "v2/models/stats": telling(lambda: server.statistics(None, None)),
            "metrics": self._metrics,
            "openapi.json": telling(document),
        }
        """What answers a GET, by path."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One HTTP request."""
        headers = dict(scope["headers"])
        query = scope.get("query_string", b"")
        call = Call(headers, receive, caller_of(scope), query)
        reply = await self._answered(scope, call)
        if reply.events is not None:
            await send_events(reply, reply.events, receive, send)
            return
        body = reply.body
        told = [(b"content-type", reply.content_type), *reply.headers]
        if len(body) >= COMPRESSED_FROM and (
            encoding := chosen_encoding(headers.get(b"accept-encoding", b""))
        ):
            large = len(body) > LARGE
            body = await asyncio.to_thread(deflate, body, encoding) if large else deflate(body, encoding)
            told += [(b"content-encoding", encoding.encode()), (b"vary", b"accept-encoding")]
        if (trace := headers.get(b"traceparent")) and TRACE.fullmatch(trace):
            told.append((b"traceparent", trace))
        if reply.status != 204:
            told.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": reply.status, "headers": told})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answered(self, scope: Message, call: Call) -> Reply:
        """The reply to a request, whatever becomes of it."""
        try:
            return await self._handler(scope["method"], scope["path"])(call)
        except Refusal as refusal:
            headers = [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
            if refusal.status == 503 and "retry-after" not in refusal.headers:
                headers.append((b"retry-after", b"1"))
            return json_reply({"error": str(refusal)}, refusal.status, headers)
        except Exception as error:
            log.exception("%s %s", scope["method"], scope["path"])
            return json_reply({"error": f"{type(error).__name__}: {error}"}, 500)

    def _handler(self, method: str, path: str) -> Handler:
        """Who answers. Refuses (404) a path that there is not, (405) a method that it has not."""
        handlers = self._handlers(path.strip("/").split("/"))
        if not handlers:
            raise Refusal(
                404, f"there is no {method} {shorten_path(path)}; want such as POST /v2/models/<model>/infer"
            )
        if method in handlers:
            return handlers[method]
        if method == "HEAD" and "GET" in handlers:
            return handlers["GET"]
        known = [*handlers, *(["HEAD"] if "GET" in handlers else []), "OPTIONS"]
        allow = ", ".join(known)
        if method == "OPTIONS":
            return replying(Reply(b"", 204, headers=[(b"allow", allow.encode())]))
        raise Refusal(
            405, f"{shorten_path(path)} has no {shorten_path(method)}; want {allow}", {"allow": allow}
        )

    def _handlers(self, parts: list[str]) -> dict[str, Handler]:
        """By method what answers a path; nothing where there is no such path."""
        if about_server := self._about_server.get("/".join(parts)):
            return {"GET": about_server}
        found: dict[str, Handler] = {}
        match parts:
            case ["v2", "models", project, "versions", version, *rest]:
                found = self._about_model(project, version, rest)
            case ["v2", "models", project, "labels"]:
                found["POST"] = lambda call: self._label(call, project)
            case ["v2", "models", project, *rest]:
                found = self._about_model(project, None, rest)
            case ["predict", project]:
                found["POST"] = lambda call: self._predict(call, project)
            case ["explain", project]:
                found["POST"] = lambda call: self._explain(call, project)
            case ["jobs", project, *rest]:
                found = job_handlers(self.jobs, project, rest)
            case ["v2", "repository", "index"]:
                found["POST"] = self._index
            case ["v2", "repository", "models", project, "load"]:
                found["POST"] = lambda call: self._load(call, project)
            case ["v2", "repository", "models", project, "unload"]:
                found["POST"] = lambda call: self._unload(call, project)
        return found

    def _about_model(self, project: str, version: str | None, rest: list[str]) -> dict[str, Handler]:
        """By method what answers below a model or one version of it."""
        server = self.server
        found: dict[str, Handler] = {}
        match rest:
            case ["infer"]:
                found["POST"] = lambda call: self._infer(call, project, version)
            case []:
                found["GET"] = telling(lambda: server.model_metadata(project, version))
            case ["ready"]:
                found["GET"] = telling(lambda: server.model_readiness(project, version))
            case ["config"]:
                found["GET"] = telling(lambda: server.model_config(project, version))
            case ["columns"]:
                found["GET"] = telling(lambda: server.columns(project, version))
            case ["stats"]:
                found["GET"] = telling(lambda: server.statistics(project, version))
            case ["comparison"] if version is not None:
                found["GET"] = telling(lambda: server.comparison(project, version))
        return found

    async def _infer(self, call: Call, project: str, version: str | None) -> Reply:
        """An inference, as JSON or with binary tensors."""
        # Known before the body is read: a model that there is not costs nobody 16 MB.
        self.server.route(project)
        request = await self._read(call, project)
        body, json_length = response(await self.server.infer(project, version, request, call.caller))
        if json_length is None:
            return Reply(body)
        length = (JSON_LENGTH_KEY, b"%d" % json_length)
        return Reply(body, content_type=b"application/octet-stream", headers=[length])

    async def _predict(self, call: Call, project: str) -> Reply:
        """What a person sent, answered in words."""
        self.server.route(project)
        asked = call.asked(QUERY)
        body = await call.body()
        content_type = call.headers.get(b"content-type", b"").decode("latin-1")
        allow_missing, log = (is_true(asked, name, usual) for name, usual in QUERY.items())

        def read(name: str, signature: Signature) -> tuple[Rows, list[str]]:
            return rows_of_upload(upload_of(body, content_type), name, signature, allow_missing)

        request = Request(new_id(), log, None, None)
        found = await self.server.predict(project, read, request, call.caller)
        return json_reply(prediction(found))

    async def _explain(self, call: Call, project: str) -> Reply:
        """Why what a person sent is answered so; it never counts as production traffic."""
        self.server.route(project)
        asked = call.asked(EXPLAIN_QUERY)
        body, content_type = await call.body(), call.header("content-type")
        allow_missing = is_true(asked, "allow-missing", False)
        occlusion = Occlusion()

        def read(name: str, signature: Signature) -> tuple[Rows, list[str]]:
            rows, odd = rows_of_upload(upload_of(body, content_type), name, signature, allow_missing)
            return occlusion.hide(rows, signature, odd), []

        request = Request(new_id(), False, None, None, priority=LAST)
        found = await self.server.predict(project, read, request, call.caller)
        return json_reply(await asyncio.to_thread(explained, found, occlusion))

    async def _read(self, call: Call, project: str) -> Request:
        """An inference's request; much JSON is read in a process apart."""
        json_length = call.headers.get(JSON_LENGTH_KEY)
        if whole_number(json_length or call.headers.get(b"content-length")) >= LARGE_JSON:
            self.server.large_bodies.refuse_if_full()
        body = await call.body()
        if (whole_number(json_length) or len(body)) < LARGE_JSON:
            return parse(body, json_length)
        return await self.server.large_bodies.read(body, json_length, self.server.inputs(project))

    async def _metrics(self, call: Call) -> Reply:
        """What Prometheus reads."""
        body, content_type = self.server.metrics(call.headers.get(b"accept", b"").decode("latin-1"))
        return Reply(body, content_type=content_type.encode())

    async def _label(self, call: Call, project: str) -> Reply:
        """Late labels."""
        self.server.route(project)
        body = await call.body(LABELS_LIMIT)
        return json_reply(await self.server.label(project, json_object(body), len(body)))

    async def _index(self, call: Call) -> Reply:
        """The repository's index; `ready: true` in the body leaves out what does not serve."""
        given = json_object(await call.body() or b"{}")
        only_ready = given.get("ready", False)
        if not isinstance(only_ready, bool):
            raise Refusal(400, f"ready is {shorten(only_ready)}; want true or false")
        return json_reply(self.server.repository_index(only_ready))

    async def _load(self, call: Call, project: str) -> Reply:
        """Has the releases looked at now."""
        refuse_parameters(json_object(await call.body() or b"{}"))
        await self.server.load(project)
        return json_reply({})

    async def _unload(self, call: Call, project: str) -> Reply:
        """Always refused."""
        await call.body()
        self.server.unload(project)
        return json_reply({})


def refuse_parameters(value: Mapping[str, Any]) -> None:
    """Refuses a configuration or files that a load brings: only what was released is loaded."""
    given = value.get("parameters")
    if given not in (None, {}):
        raise Refusal(
            400, f"parameters is {shorten(given)}; a load takes none: only what was released is loaded"
        )


def shorten_path(path: str) -> str:
    """A path for a message."""
    return path if len(path) <= 100 and path.isprintable() else shorten(path)


def caller_of(scope: Message) -> Caller:
    """Who asks; programs of one address have a turn each where they have a token each."""
    name = f"{scope[CALLER]} {(scope.get('client') or ('',))[0]}"
    return Caller(scope[TRUSTED], name, scope[CALLER])
