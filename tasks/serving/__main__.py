"""Starts the model server of this installation.

python -m tasks.serving
"""

import logging
import sys
from functools import partial

import uvicorn

from infra.guard import Application as Guarded
from infra.settings import Settings
from tasks.serving.access import Access, access_of, log_file
from tasks.serving.access_log import AccessLog
from tasks.serving.certificate import Certificate
from tasks.serving.connections import LimitedConnection, allow_many_connections
from tasks.serving.jobs.jobs import Jobs
from tasks.serving.life import Life
from tasks.serving.metrics import Counted
from tasks.serving.model_server import ModelServer
from tasks.serving.processes.place import Place, Shared
from tasks.serving.processes.supervisor import FAILED, Processes, bind, reserve
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
    access, shared = access_of(settings), Shared(settings.server_processes)
    if settings.server_processes == 1:
        serve(settings, access, Place(0, shared))
        return
    try:
        held = reserve(settings)
    except OSError as error:
        sys.exit(f"{error}; set GYRE_SERVER_PORT and GYRE_GRPC_PORT to free ports")
    processes = Processes(shared.board, lambda number: serve(settings, access, Place(number, shared)))
    status = processes.run()
    for each in held:
        each.close()
    sys.exit(status)


def serve(settings: Settings, access: Access, place: Place) -> None:
    """What one process does."""
    server = ModelServer(settings.home, settings.anonymous == "log", place, settings.server_memory_mb)
    certificate = None
    if settings.server_certificate:
        certificate = Certificate(settings.server_certificate, settings.server_key)
    jobs = Jobs(server, settings.home, settings.outbound_origins)
    answering: Guarded = Counted(access.guarded(Application(server, jobs)), server.totals)
    if settings.access_log:
        answering = AccessLog(answering, log_file(settings, "access.log"))
    life = Life(
        answering,
        server,
        Listener(server, access, settings, certificate),
        jobs=jobs,
    )
    config = uvicorn.Config(
        life,
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
    config.load()
    if certificate and config.ssl:
        life.beside = partial(certificate.follow, config.ssl)
    sockets = [bind(settings.host, settings.server_port, shared=True)] if place.processes > 1 else None
    listening = uvicorn.Server(config)
    listening.run(sockets)
    if not listening.started:
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
