"""Starts the model server of this installation.

python -m tasks.serving
"""

import logging

import uvicorn

from infra.settings import Settings
from tasks.serving.access import access_of
from tasks.serving.connections import LimitedConnection, allow_many_connections
from tasks.serving.life import Life
from tasks.serving.metrics import Counted
from tasks.serving.model_server import ModelServer
from tasks.serving.rest.application import Application
from tasks.serving.rpc.listener import Listener

GRACE_S = 8
"""How long a stop waits for requests that are being answered."""
IDLE_S = 75
"""Longer than clients keep an idle connection, so that the server never closes one that a request is just
being sent on."""


def main() -> None:
    """Serves until SIGTERM or SIGINT; then answers what was asked, writes the prediction log and ends."""
    settings = Settings()
    allow_many_connections()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    server, access = ModelServer(settings.home, settings.anonymous == "log"), access_of(settings)
    uvicorn.run(
        Life(
            Counted(access.guarded(Application(server)), server.totals),
            server,
            Listener(server, access, settings),
        ),
        host=settings.host,
        port=settings.server_port,
        loop="uvloop",
        http=LimitedConnection,
        ws="none",
        lifespan="on",
        ssl_certfile=settings.server_certificate or None,
        ssl_keyfile=settings.server_key or None,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=GRACE_S,
    )


if __name__ == "__main__":
    main()
