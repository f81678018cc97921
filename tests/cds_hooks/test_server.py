"""The server process: what it does to the sockets that it shares with others."""

import os
import socket

import uvicorn
from starlette.types import Receive, Scope, Send

from cds_hooks.server import DrainingServer


def test_a_worker_that_starts_does_not_stop_one_that_answers() -> None:
    """Workers share the socket: one that finds no connection left waits on it for ever where another made it block."""
    blocking: list[bool] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        blocking.append(os.get_blocking(listening.fileno()))
        server.should_exit = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    with socket.create_server(("127.0.0.1", 0)) as answering:
        listening = socket.socket(fileno=os.dup(answering.fileno()))  # as a worker receives it
        answering.setblocking(False)
        server = DrainingServer(uvicorn.Config(application, lifespan="on", log_level="critical"))
        server.run(sockets=[listening])
        assert blocking == [False]
