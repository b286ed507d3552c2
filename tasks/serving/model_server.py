"""The model server itself, behind whichever protocol asks: decoded requests in, answers or a Refusal out.

REST (rest/) and gRPC (rpc/) are faces of this one core, so both answer, log and refuse alike.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version as installed
from typing import Any, NamedTuple

from infra.home import Home
from tasks.production.releases import Releases
from tasks.rows.raw import Rows, TensorSpec
from tasks.serving.access import Anonymous
from tasks.serving.large_bodies import LargeBodies, ReadInputs
from tasks.serving.log.journal import Prediction as Logged
from tasks.serving.log.production_log import ProductionLog, utc_now
from tasks.serving.metrics import ServerCollector, Totals, exposition
from tasks.serving.models.fair_queue import Outputs
from tasks.serving.models.memory import ModelMemory, memory_limit
from tasks.serving.models.mirror import Mirror
from tasks.serving.models.model import FIRST, Model, Signature
from tasks.serving.models.routing import POLL_S, Route, Table, Watch
from tasks.serving.models.statistics import model_key
from tasks.serving.processes.board import total
from tasks.serving.processes.counts import Counts, Post, Standing, merge
from tasks.serving.processes.place import Place, Shared
from tasks.serving.protocol import model_facts
from tasks.serving.protocol.inference import (
    Caller,
    Inference,
    Request,
    check_outputs,
    chosen_outputs,
    infinite,
)
from tasks.serving.protocol.labels import labels_of
from tasks.serving.protocol.notices import notices
from tasks.serving.protocol.refusal import Refusal, shorten
from tasks.serving.protocol.tensors import MAX_ROWS, rows_of

log = logging.getLogger("gyre.serving")
TIME_LIMIT_S = 20.0
"""For the answer of a model."""
GRAPHS_AT_ONCE = 4
"""Models that compute at the same time, at least: calls of one model come one after the other, so a slow one
holds up itself and takes a thread from the others."""
BODY_LIMIT = 16 * 2**20
"""Of one request, however it travels."""
EXTENSIONS = (
    "answer",
    "binary_tensor_data",
    "classification",
    "labels",
    "model_configuration",
    "model_repository",
    "schedule_policy",
    "statistics",
)
"""The protocol's, and our own: `answer` and `labels`."""

Reader = Callable[[str, Signature], tuple[Rows, list[str]]]
"""Makes raw rows and notices of what a person sent, for a version of a project."""


class Prediction(NamedTuple):
    """What a person's rows were answered."""

    answer: Inference
    rows: int
    classes: tuple[str, ...] | None


class ModelServer:
    """The released models of one installation.

    `home` is the installation's; it reads releases/ and bundles/ there and writes predictions/.
    """

    def __init__(
        self, home: Home, logs_anonymous: bool = False, place: Place | None = None, megabytes: int = 0
    ) -> None:
        """Requests without the installation's credential are answered, and logged only where `logs_anonymous`.

        place: of this process among those of the server; none: it is alone
        megabytes: of memory that all of them may take; 0: most of the machine's
        """
        self.table: Table = {}
        self._place = place or Place(0, Shared(1))
        self.totals = Totals()
        self._home = home
        self._logs_anonymous = logs_anonymous
        self._anonymous = Anonymous()
        share_of_cores = (os.cpu_count() or 1) // self._place.processes
        self._graphs = ThreadPoolExecutor(max(GRAPHS_AT_ONCE, share_of_cores), "graphs")
        self._memory = ModelMemory(memory_limit(megabytes, self._place.processes))
        self._loader = ThreadPoolExecutor(1, "loader")
        # One at a time: an image may take half a gigabyte while it is read.
        self._uploads = ThreadPoolExecutor(1, "uploads")
        self._watch = Watch(Releases(home.releases), self._graphs, self._memory)
        self._mirror = Mirror()
        self._watching: asyncio.Task[None] | None = None
        self._refreshing = asyncio.Lock()
        self.large_bodies = LargeBodies()
        self._log = ProductionLog(home.predictions, self.totals, self._place.shared.newest)

    async def start(self) -> None:
        """Loads the released versions, and follows the manifests from then on."""
        before = self._place.before()
        await self.refresh()
        if before:
            self._go_on(before.counts)
        self._watching = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Writes what waits for the disk; every request was answered before."""
        if self._watching:
            self._watching.cancel()
        await self._mirror.close()
        await self._log.close()
        self.large_bodies.close()
        for pool in (self._graphs, self._loader, self._uploads):
            pool.shutdown()

    async def _follow(self) -> None:
        """Swaps the routing table whenever the manifests change, and tells the other processes the counts."""
        while True:
            self._place.tell(self._post)
            await asyncio.sleep(POLL_S)
            await self.refresh()

    async def refresh(self) -> None:
        """Looks at the manifests now."""
        # One look at a time: a second one that began with the old table would put it back.
        async with self._refreshing:
            try:
                self.table = await asyncio.get_running_loop().run_in_executor(
                    self._loader, self._watch.refreshed, self.table
                )
            except Exception:
                # The watch must outlive whatever it meets; the next look is in POLL_S.
                log.exception("the release manifests could not be followed")

    async def infer(self, project: str, version: str | None, request: Request, caller: Caller) -> Inference:
        """An inference, logged as production traffic unless the request says otherwise or comes from nobody we know.

        Raises Refusal.
        """
        route = self.route(project)
        role, model = (
            route.choose(request.key or request.id) if version is None else route.version(project, version)
        )
        if request.model_name not in (None, project):
            raise Refusal(
                400, f"model_name is {shorten(request.model_name)}; the request is about {project!r}"
            )
        if request.priority == FIRST and not caller.trusted:
            raise Refusal(
                403,
                f"parameters.priority is {FIRST}; want the installation's credential with it, or another priority",
            )
        others = route.others(model) if version is None else []
        role, model, rows, moved = fitting(request, role, model, others)
        return await self._answer(project, role, model, rows, request, [*moved, *request.notices], caller)

    async def predict(self, project: str, read: Reader, request: Request, caller: Caller) -> Prediction:
        """An inference about rows as people have them, logged likewise.

        read: makes raw rows and notices of them for the version that answers; runs in a thread apart
        Raises Refusal.
        """
        role, model = self.route(project).choose(request.key or request.id)
        loop = asyncio.get_running_loop()
        rows, odd = await loop.run_in_executor(self._uploads, read, project, model.signature)
        if len(rows) > MAX_ROWS:
            raise Refusal(
                413,
                f"{len(rows)} rows; want at most {MAX_ROWS} at once: `gyre score {project}` takes any number",
            )
        answer = await self._answer(project, role, model, rows, request, odd, caller)
        return Prediction(answer, len(rows), model.signature.classes)

    async def _answer(
        self,
        project: str,
        role: str,
        model: Model,
        rows: Rows,
        request: Request,
        told: list[str],
        caller: Caller,
    ) -> Inference:
        """What a version answers; `told` are notices of how its rows were read. Raises Refusal."""
        began = time.perf_counter()
        outputs = await answer_in_time(model, rows, request, caller.name)
        answers = model.signature.texts(next(iter(outputs.values())))
        model.counts.answered.add(time.perf_counter() - began, outputs, answers, model.signature.classes)
        known = caller.trusted or self._logs_anonymous
        told = [*told, *notices(rows, model.signature.inputs, model.signature.trained), *infinite(outputs)]
        if request.log and known:
            ids = request.row_ids(len(rows))
            prediction = Logged(project, ids, utc_now(), model.served.version, role, rows, answers)
            if request.is_durable or model.served.log == "durable":
                await self._log.write(prediction)
            else:
                told += self._log.remember(prediction)
            key, first = request.key or request.id, next(iter(outputs.values()))
            self._mirror.add(project, self.table.get(project, Route()), role, model, key, rows, first)
        elif request.log:
            self.totals.unlogged[project] += 1
            told.append(self._anonymous.notice(project))
        parameters: dict[str, Any] = {"notices": told} if told else {}
        if role == "fallback":
            parameters["degraded"] = (
                f"the released version cannot be loaded; version {model.served.version} answers in its place"
            )
        chosen = chosen_outputs(request, model.signature, outputs, answers)
        return Inference(project, model.served.version, request.id, chosen, parameters)

    async def label(self, project: str, value: dict[str, Any], size: int) -> dict[str, Any]:
        """Late labels of a JSON object of `size` bytes, answered when they are on the disk.

        Raises Refusal.
        """
        pairs = labels_of(value, self.route(project).any(project).signature)
        unchecked = await self._log.label(project, pairs, size)
        return {"accepted": len(pairs)} | ({"unchecked": unchecked} if unchecked else {})

    async def has_logged(self, project: str, request_id: str) -> bool:
        """Whether the prediction log on the disk holds a request."""
        return await self._log.has(project, request_id)

    def metadata(self) -> dict[str, Any]:
        """The server's name, version and extensions."""
        return {"name": "gyre", "version": installed("gyre"), "extensions": list(EXTENSIONS)}

    def readiness(self) -> dict[str, Any]:
        """Whether it is ready, and what by project is not as somebody may think.

        `degraded`: what does not serve as it was released, though something answers; `refused`: which version
        was deployed last and may not serve.
        Refuses (503) where a project has a champion that cannot be loaded and nothing in its place.
        """
        for project, route in self.table.items():
            if route.refused and route.champion is None and route.fallback is None:
                raise Refusal(503, f"{project}: {'; '.join(route.refused.values())}")
        damaged = {project: route.damage for project, route in self.table.items() if route.damage}
        refused = {project: route.refusal for project, route in self.table.items() if route.refusal}
        told = {"degraded": damaged, "refused": refused}
        return {"ready": True} | {name: about for name, about in told.items() if about}

    def model_readiness(self, project: str, version: str | None) -> dict[str, Any]:
        """Name and readiness of a model or of one version. Refuses (404, 503) what does not serve."""
        route = self.route(project)
        if version is None:
            return {"name": project, "ready": bool(route.choose(""))}
        _, model = route.version(project, version)
        if missing := self._place.missing(project, model.served.version):
            raise Refusal(
                404,
                f"version {version} of {project!r} is not loaded yet by {missing} of the server's processes",
            )
        return {"name": project, "version": version, "ready": True}

    def model_metadata(self, project: str, version: str | None) -> dict[str, Any]:
        """What a model takes and gives; a role is told once all processes know it. Raises Refusal."""
        told = model_facts.model_metadata(project, self.route(project), self._model(project, version))
        for role, model in self.route(project).models.items():
            if self._place.missing(project, model.served.version, role):
                del told["parameters"][role]
        return told

    def model_config(self, project: str, version: str | None) -> dict[str, Any]:
        """A model's configuration, by the names of Triton's. Raises Refusal."""
        return model_facts.model_config(project, self._model(project, version))

    def columns(self, project: str, version: str | None) -> dict[str, Any]:
        """What training rows had in each input. Raises Refusal."""
        return model_facts.training_columns(project, self._model(project, version))

    def comparison(self, project: str, version: str) -> dict[str, Any]:
        """What a challenger answered beside the champion to the same live rows. Raises Refusal."""
        key = model_key(project, self._model(project, version).served.version)
        found = total(self._posts()).comparisons.get(key)
        return found.told() if found else {}

    def statistics(self, project: str | None, version: str | None) -> dict[str, Any]:
        """Requests, rows and times of one version, of a model's versions, or of all models.

        Raises Refusal.
        """
        if project is not None and version is not None:
            found = [(project, self._model(project, version))]
        else:
            routes = self.table if project is None else {project: self.route(project)}
            found = [(name, model) for name, route in routes.items() for model in route.models.values()]
        counts = total(self._posts())
        return {"model_stats": [model_facts.statistics(name, model, counts) for name, model in found]}

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """What Prometheus reads, in the format that it accepts, and its content type."""
        posts = self._posts()
        standings = {number: post.standing for number, post in posts.items()}
        roles = standings[self._place.number].roles
        restarts = self._place.restarts()
        collector = ServerCollector(total(posts), roles, standings, restarts, self._home.root)
        return exposition(collector, accept)

    def _posts(self) -> dict[int, Post]:
        """What each process counts, by its number: of this one now, of others as they told last."""
        return self._place.everybody(self._post)

    def _post(self) -> Post:
        """What this process counts, and how it stands."""
        standing, counts = Standing(os.getpid()), Counts(self.totals)
        for project, route in self.table.items():
            standing.roles[project] = {role: model.served.version for role, model in route.models.items()}
            standing.refused[project], standing.degraded[project] = len(route.refused), bool(route.damage)
            for model in route.models.values():
                key, counted = model_key(project, model.served.version), model.counts
                standing.fell_back[key] = bool(model.fell_back)
                if not counted.is_empty():
                    counts.models[key] = counted
                if waiting := model.queue.rows + model.queue.rows_in_pieces:
                    standing.waiting_rows[key] = waiting
        standing.in_memory = self._memory.loaded()
        for (project, version), comparison in self._mirror.comparisons.items():
            counts.comparisons[model_key(project, version)] = comparison
        for kind, waits in self._log.waiting.items():
            standing.lag_s[kind], standing.waiting_bytes[kind] = waits.lag_s(), waits.waiting_bytes
        return Post(standing, counts)

    def _go_on(self, counts: Counts) -> None:
        """Goes on counting where the process that held this place was killed."""
        merge(self.totals, counts.totals)
        for project, route in self.table.items():
            for model in route.models.values():
                merge(model.counts, counts.of(project, model.served.version))
                if found := counts.comparisons.get(model_key(project, model.served.version)):
                    self._mirror.go_on(project, found)

    def repository_index(self, only_ready: bool) -> list[dict[str, str]]:
        """Every version that a manifest names, with its state and where it is not ready the reason."""
        found = []
        for project, route in self.table.items():
            for model in route.models.values():
                version = str(model.served.version)
                found.append({"name": project, "version": version, "state": "READY", "reason": ""})
            for number, reason in {} if only_ready else route.refused.items():
                version = str(number) if number else ""
                found.append({"name": project, "version": version, "state": "UNAVAILABLE", "reason": reason})
        return found

    async def load(self, project: str) -> None:
        """Looks at the releases now, and tries again what was refused.

        Refuses (503) a model that does not serve then.
        """
        self._watch.retry()
        await self.refresh()
        self.route(project).choose("")

    def unload(self, project: str) -> None:
        """Always refused: a request must not end what a release decided."""
        self.route(project)
        raise Refusal(
            409,
            f"model {project!r} is not unloaded: releases decide what serves; "
            f"`gyre rollback {project}` or `gyre retire {project} <version>` changes that",
        )

    def route(self, project: str) -> Route:
        """What serves in a project. Refuses (404) one that there is not."""
        if (route := self.table.get(project)) is None:
            raise Refusal(404, f"no model {project!r}; there are: {', '.join(self.table) or 'none yet'}")
        return route

    def inputs(self, project: str) -> frozenset[tuple[TensorSpec, ...]]:
        """What the versions of a model take. Raises Refusal."""
        return frozenset(model.signature.inputs for model in self.route(project).models.values())

    def _model(self, project: str, version: str | None) -> Model:
        """The version that is meant, or the one that speaks for the model. Raises Refusal."""
        route = self.route(project)
        return route.any(project) if version is None else route.version(project, version)[1]


async def answer_in_time(model: Model, rows: Rows, request: Request, client: str) -> Outputs:
    """What a model answers. Refuses (504) once the client's time or ours has passed."""
    limit = TIME_LIMIT_S if request.timeout_s is None else min(request.timeout_s, TIME_LIMIT_S)
    began = time.perf_counter_ns()
    try:
        async with asyncio.timeout(limit):
            return await model.answer(rows, request.priority, client, limit)
    except TimeoutError:
        if limit < TIME_LIMIT_S:
            raise Refusal(
                504, f"not answered within the {limit * 1e6:.0f} us of parameters.timeout"
            ) from None
        # Only our own limit tells of the model: a client's may be as short as it likes.
        model.counts.statistics.fail.add(time.perf_counter_ns() - began)
        raise Refusal(504, f"not answered within {TIME_LIMIT_S:.0f} s") from None


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
    check_outputs(request, model.signature)
    if isinstance(request.inputs, ReadInputs):
        return request.inputs.rows(model.signature.inputs)
    return rows_of(request.inputs, model.signature.inputs)
