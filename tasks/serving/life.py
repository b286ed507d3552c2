"""The model server's whole life, as ASGI's lifespan tells it.

It opens with its models, and ends with its log.
"""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from infra.guard import Application, Message, Receive, Send
from tasks.serving.jobs.jobs import Jobs
from tasks.serving.model_server import ModelServer

if TYPE_CHECKING:
    from tasks.serving.rpc.listener import Listener

OBJECTS_A_COLLECTION = 20_000
"""New objects until Python looks for cycles among them; requests leave hardly any, and at its usual 700 the looking
took a tenth of a request."""


class Life:
    """An application, and what begins and ends with it."""

    def __init__(
        self,
        application: Application,
        server: ModelServer,
        listener: "Listener | None" = None,
        beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
        jobs: Jobs | None = None,
    ) -> None:
        """`listener`: gRPC's, and `jobs`; a sandbox has none. `beside`: what goes on as long as it lives."""
        self.application = application
        self.server = server
        self.listener = listener
        self.beside = beside
        self.jobs = jobs

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One HTTP request, which is the application's, or the whole life."""
        if scope["type"] != "lifespan":
            await self.application(scope, receive, send)
            return
        await receive()
        await self.server.start()
        if self.listener:
            try:
                await self.listener.start()
            except RuntimeError as error:
                reason = f"gRPC: {error}; set GYRE_GRPC_PORT"
                await send({"type": "lifespan.startup.failed", "message": reason})
                return
        if self.jobs:
            await self.jobs.start()
        # What was imported and loaded stays: looking through it again and again took a tenth of each request.
        gc.freeze()
        gc.set_threshold(OBJECTS_A_COLLECTION)
        beside = asyncio.create_task(self.beside()) if self.beside else None
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if beside:
            beside.cancel()
        if self.listener:
            await self.listener.stop()
        if self.jobs:
            await self.jobs.close()
        # Last, when every request was answered: what waits for the disk is written.
        await self.server.close()
        await send({"type": "lifespan.shutdown.complete"})
