"""The model server, confined: what deployment puts in front of a new bundle before that may see traffic.

python -m tasks.serving.sandbox <socket> <megabytes> <parent>

It is the real server, on a socket that its parent listens on and in a home that holds nothing but the new
bundle. It dies with its parent, also in the middle of a graph that never ends.
"""

import logging
import socket
import sys

import uvicorn

from infra.confinement import limit_address_space
from infra.settings import Settings
from infra.shutdown import killed_with_parent
from tasks.serving.access import access_of
from tasks.serving.life import Life
from tasks.serving.model_server import ModelServer
from tasks.serving.rest.application import Application

LEAST_ADDRESS_SPACE = 16 * 1024**3
"""Bytes. ONNX Runtime reserves several times what it uses; what it uses is watched by the parent."""


def main(listening: int, megabytes: int, parent: int) -> None:
    """Serves until it is killed.

    listening: descriptor of the listening socket
    megabytes: what the process may use
    parent: id of the process that started this one
    """
    killed_with_parent(parent)
    limit_address_space(max(LEAST_ADDRESS_SPACE, 4 * megabytes * 2**20))
    logging.basicConfig(level=logging.WARNING, format="%(name)s %(levelname)s %(message)s")
    settings = Settings()
    server = ModelServer(settings.home)
    config = uvicorn.Config(
        Life(access_of(settings).guarded(Application(server)), server),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=listening)])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
