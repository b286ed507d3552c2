"""The port on which the model server speaks gRPC, with the standard services for health and reflection."""

import asyncio

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from infra.settings import Settings
from tasks.serving.access import Access
from tasks.serving.certificate import Certificate
from tasks.serving.model_server import BODY_LIMIT, ModelServer
from tasks.serving.models.routing import POLL_S
from tasks.serving.rpc import open_inference_pb2 as pb
from tasks.serving.rpc.service import NAME, InferenceService

GRACE_S = 1.5
"""How long a stop waits for calls that are being answered; after HTTP's, so that both fit the time that the
services' supervisor gives."""
ENVELOPE = 2**20
"""Bytes of a message beside its tensors."""
OPTIONS = (
    ("grpc.max_receive_message_length", BODY_LIMIT + ENVELOPE),
    ("grpc.max_metadata_size", 64 * 1024),
    ("grpc.max_concurrent_streams", 1024),
)


class Listener:
    """gRPC's side of a model server, on the event loop that starts it."""

    def __init__(
        self, server: ModelServer, access: Access, settings: Settings, certificate: Certificate | None = None
    ) -> None:
        self._address = f"{settings.host}:{settings.grpc_port}"
        self._service = InferenceService(server, access)
        self._health = health.aio.HealthServicer()
        # Of one server: two model servers on one port would each answer some of the calls.
        self._shares_port = settings.server_processes > 1
        self._certificate = certificate
        self._telling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Opens the port. Raises RuntimeError where it is taken."""
        self._rpc = grpc.aio.server(options=(*OPTIONS, ("grpc.so_reuseport", int(self._shares_port))))
        self._rpc.add_generic_rpc_handlers((self._service.handlers(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._rpc)
        reflection.enable_server_reflection(
            (NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), self._rpc, pool=described()
        )
        if self._certificate:
            self._rpc.add_secure_port(self._address, credentials(self._certificate))
        else:
            self._rpc.add_insecure_port(self._address)
        await self._tell()
        await self._rpc.start()
        self._telling = asyncio.create_task(self._go_on_telling())

    async def stop(self) -> None:
        """Takes no more calls, and ends when those that are being answered are, or GRACE_S later."""
        if self._telling:
            self._telling.cancel()
        await self._health.enter_graceful_shutdown()
        await self._rpc.stop(GRACE_S)

    async def _go_on_telling(self) -> None:
        """Tells the health service what becomes of the models."""
        while True:
            await asyncio.sleep(POLL_S)
            await self._tell()

    async def _tell(self) -> None:
        serving = health_pb2.HealthCheckResponse.SERVING
        other = health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", NAME):
            await self._health.set(name, serving if self._service.is_ready() else other)


def credentials(certificate: Certificate) -> grpc.ServerCredentials:
    """Of a certificate as it is at each handshake."""

    def now() -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration((tuple(certificate.pair),))

    return grpc.dynamic_ssl_server_credentials(now(), now)


def described() -> DescriptorPool:
    """What reflection tells: our service, health, and reflection itself."""
    pool = DescriptorPool()
    for module in (pb, health_pb2, reflection_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    return pool
