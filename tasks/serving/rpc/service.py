"""Which gRPC call does what, and who may.

Each is about what a path of REST is about, and is judged as that.
"""

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError, Message

from infra.guard import Grant
from tasks.serving.access import Access
from tasks.serving.model_server import ModelServer
from tasks.serving.protocol.inference import Caller
from tasks.serving.protocol.refusal import Refusal, shorten
from tasks.serving.rpc import open_inference_pb2 as pb
from tasks.serving.rpc.messages import message_of_answer, request_of_message

log = logging.getLogger("gyre.serving")
NAME = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
TRACE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.{0,200})?")
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""gRPC's codes of HTTP's."""
Context = Any
"""grpc.aio's ServicerContext."""


@dataclass(frozen=True)
class Call:
    """One call of the service."""

    request: type[Message]
    path: Callable[[Any], tuple[str, str]]
    """Method and path of REST that say who may."""
    answer: Callable[[Any, Caller], Awaitable[Message]]
    """What answers a request of a caller."""


class InferenceService:
    """The protocol's service."""

    def __init__(self, server: ModelServer, access: Access) -> None:
        self.server = server
        self.access = access

    def handlers(self) -> grpc.GenericRpcHandler:
        """What a server of grpc.aio takes."""
        found = {name: self._unary(call) for name, call in self._calls().items()}
        found["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
            self._stream, reader_of(pb.ModelInferRequest), pb.ModelStreamInferResponse.SerializeToString
        )
        return grpc.method_handlers_generic_handler(NAME, found)

    def _calls(self) -> dict[str, Call]:
        """All calls but the stream, by name."""
        return {
            "ServerLive": Call(pb.ServerLiveRequest, lambda _: ("GET", "/v2/health/live"), self._live),
            "ServerReady": Call(pb.ServerReadyRequest, lambda _: ("GET", "/v2/health/ready"), self._ready),
            "ModelReady": Call(pb.ModelReadyRequest, of_model("GET", "/ready"), self._model_ready),
            "ServerMetadata": Call(pb.ServerMetadataRequest, lambda _: ("GET", "/v2"), self._metadata),
            "ModelMetadata": Call(pb.ModelMetadataRequest, of_model("GET", ""), self._model_metadata),
            "ModelConfig": Call(pb.ModelConfigRequest, of_model("GET", "/config"), self._config),
            "ModelStatistics": Call(pb.ModelStatisticsRequest, of_statistics, self._statistics),
            "ModelInfer": Call(pb.ModelInferRequest, of_inference, self._infer),
            "RepositoryIndex": Call(
                pb.RepositoryIndexRequest, lambda _: ("POST", "/v2/repository/index"), self._index
            ),
            "RepositoryModelLoad": Call(pb.RepositoryModelLoadRequest, of_repository("load"), self._load),
            "RepositoryModelUnload": Call(
                pb.RepositoryModelUnloadRequest, of_repository("unload"), self._unload
            ),
        }

    def _unary(self, call: Call) -> grpc.RpcMethodHandler:
        """A call as grpc.aio takes it."""

        async def answer(request: Any, context: Context) -> Message:
            echo_trace(context)
            try:
                if isinstance(request, DecodeError):
                    raise Refusal(400, f"the message is no {call.request.DESCRIPTOR.full_name}: {request}")
                method, path = call.path(request)
            except Refusal as refusal:
                await context.abort(CODES[refusal.status], str(refusal))
            grant = self.access.authorize(authorization_of(context), method, path)
            status, reason, answered = 200, "", None
            try:
                check(grant)
                answered = await call.answer(request, caller_of(grant, context))
            except Refusal as refusal:
                status, reason = refusal.status, str(refusal)
            except Exception as error:
                log.exception("gRPC: %s %s", method, path)
                status, reason = 500, f"{type(error).__name__}: {error}"
            self.server.totals.responses[f"grpc {status}"] += 1
            # Before the caller hears of it, so that nothing is done that the audit does not tell.
            self.access.note(grant.caller, address_of(context), method, path, status)
            if answered is None:
                await context.abort(CODES.get(status, grpc.StatusCode.INTERNAL), reason)
            return answered

        return grpc.unary_unary_rpc_method_handler(
            answer, reader_of(call.request), lambda message: message.SerializeToString()
        )

    async def _stream(
        self, requests: AsyncIterator[pb.ModelInferRequest | DecodeError], context: Context
    ) -> AsyncIterator[pb.ModelStreamInferResponse]:
        """One answer a request; what is refused is told in its answer, and the stream goes on."""
        echo_trace(context)
        async for request in requests:
            if isinstance(request, DecodeError):
                yield pb.ModelStreamInferResponse(error_message=f"the message is no request: {request}")
                continue
            try:
                grant = self.access.authorize(authorization_of(context), *of_inference(request))
                check(grant)
                yield pb.ModelStreamInferResponse(
                    infer_response=await self._infer(request, caller_of(grant, context))
                )
            except Refusal as refusal:
                yield failure(request, str(refusal))
            except Exception as error:
                log.exception("gRPC: a stream's request about %s", request.model_name)
                yield failure(request, f"{type(error).__name__}: {error}")

    async def _live(self, request: pb.ServerLiveRequest, caller: Caller) -> Message:
        return pb.ServerLiveResponse(live=True)

    async def _ready(self, request: pb.ServerReadyRequest, caller: Caller) -> Message:
        return pb.ServerReadyResponse(ready=self.is_ready())

    def is_ready(self) -> bool:
        """Whether every model that was released answers, by itself or by another version."""
        try:
            return bool(self.server.readiness()["ready"])
        except Refusal:
            return False

    async def _model_ready(self, request: pb.ModelReadyRequest, caller: Caller) -> Message:
        try:
            self.server.model_readiness(request.name, request.version or None)
        except Refusal:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    async def _metadata(self, request: pb.ServerMetadataRequest, caller: Caller) -> Message:
        return told(self.server.metadata(), pb.ServerMetadataResponse())

    async def _model_metadata(self, request: pb.ModelMetadataRequest, caller: Caller) -> Message:
        found = self.server.model_metadata(request.name, request.version or None)
        return told(found, pb.ModelMetadataResponse())

    async def _config(self, request: pb.ModelConfigRequest, caller: Caller) -> Message:
        found = self.server.model_config(request.name, request.version or None)
        return told({"config": found}, pb.ModelConfigResponse())

    async def _statistics(self, request: pb.ModelStatisticsRequest, caller: Caller) -> Message:
        found = self.server.statistics(request.name or None, request.version or None)
        return told(found, pb.ModelStatisticsResponse())

    async def _infer(self, request: pb.ModelInferRequest, caller: Caller) -> pb.ModelInferResponse:
        is_raw = bool(request.raw_input_contents)
        decoded = request_of_message(request)
        answer = await self.server.infer(request.model_name, request.model_version or None, decoded, caller)
        return message_of_answer(answer, is_raw)

    async def _index(self, request: pb.RepositoryIndexRequest, caller: Caller) -> Message:
        return told({"models": self.server.repository_index(request.ready)}, pb.RepositoryIndexResponse())

    async def _load(self, request: pb.RepositoryModelLoadRequest, caller: Caller) -> Message:
        if request.parameters:
            names = ", ".join(request.parameters)[:60]
            raise Refusal(400, f"parameters {names}: a load takes none; only what was released is loaded")
        await self.server.load(request.model_name)
        return pb.RepositoryModelLoadResponse()

    async def _unload(self, request: pb.RepositoryModelUnloadRequest, caller: Caller) -> Message:
        self.server.unload(request.model_name)
        return pb.RepositoryModelUnloadResponse()


def reader_of(kind: type[Message]) -> Callable[[bytes], Message | DecodeError]:
    """Makes messages of bytes.

    Of those that are none the error, since one that is raised there tells the client nothing.
    """

    def read(data: bytes) -> Message | DecodeError:
        try:
            return kind.FromString(data)
        except DecodeError as error:
            return error

    return read


def of_model(method: str, rest: str) -> Callable[[Any], tuple[str, str]]:
    """The path of REST about the model, or the version, that a request names."""

    def path(request: Any) -> tuple[str, str]:
        if "/" in request.version:
            raise Refusal(404, f"no version {shorten(request.version)}: want a number")
        version = f"/versions/{request.version}" if request.version else ""
        return method, f"/v2/models/{named(request.name)}{version}{rest}"

    return path


def of_statistics(request: pb.ModelStatisticsRequest) -> tuple[str, str]:
    """The path of statistics, of one model or of all."""
    return of_model("GET", "/stats")(request) if request.name else ("GET", "/v2/models/stats")


def of_inference(request: pb.ModelInferRequest) -> tuple[str, str]:
    """The path of an inference."""
    return "POST", f"/v2/models/{named(request.model_name)}/infer"


def of_repository(change: str) -> Callable[[Any], tuple[str, str]]:
    """The path of a change to what is loaded."""
    return lambda request: ("POST", f"/v2/repository/models/{named(request.model_name)}/{change}")


def named(model: str) -> str:
    """A model's name. Refuses what is none: its path would be another one, which others may."""
    if not model:
        raise Refusal(400, "the request names no model; want the name of one")
    if "/" in model:
        raise Refusal(404, f"no model {shorten(model)}: names have no slash")
    return model


def told(found: dict[str, Any], message: Message) -> Message:
    """A message with what the core tells; what REST alone has room for stays out."""
    return ParseDict(found, message, ignore_unknown_fields=True)


def failure(request: pb.ModelInferRequest, reason: str) -> pb.ModelStreamInferResponse:
    """The answer of a stream to a request that is refused, with its id."""
    response = pb.ModelInferResponse(
        model_name=request.model_name, model_version=request.model_version, id=request.id
    )
    return pb.ModelStreamInferResponse(error_message=reason, infer_response=response)


def check(grant: Grant) -> None:
    """Refuses a caller who may not."""
    if grant.reason is not None:
        raise Refusal(grant.status, grant.reason)


def caller_of(grant: Grant, context: Context) -> Caller:
    """Who asks."""
    return Caller(grant.trusted, f"{grant.caller} {address_of(context)}")


def address_of(context: Context) -> str:
    """The caller's address without its port, of what gRPC calls its peer: `ipv4:127.0.0.1:4711`."""
    return str(context.peer()).partition(":")[2].rpartition(":")[0]


def authorization_of(context: Context) -> bytes:
    """The call's `authorization`, as HTTP has it in the header of that name."""
    for name, value in context.invocation_metadata() or ():
        if name == "authorization":
            return value if isinstance(value, bytes) else value.encode("latin-1", "replace")
    return b""


def echo_trace(context: Context) -> None:
    """Sends back the W3C trace that a call belongs to."""
    for name, value in context.invocation_metadata() or ():
        if name == "traceparent" and TRACE.fullmatch(value):
            context.set_trailing_metadata(((name, value),))
