"""The protocol of the server: connections that were kept, and what of an answer is written at once."""

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from cds_hooks.edge import BoundedHttp, HeadWithBody

REQUEST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


def _answer_on(client: socket.socket) -> bytes:
    """The next answer; empty where the connection was closed."""
    found = b""
    while not found.endswith(b"\r\n\r\nok") and (part := client.recv(1000)):
        found += part
    return found


def _kept_alive(handler: Callable[[Any, socket.socket], None]) -> bytes:
    """What a client reads on a connection that was answered once, after `handler`; empty where it was closed."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def story() -> bytes:
        config = Config(app, timeout_keep_alive=60, log_level="critical", access_log=False)
        config.load()
        made: list[BoundedHttp] = []

        def protocol() -> BoundedHttp:
            made.append(BoundedHttp(config=config, server_state=ServerState(), app_state={}))
            return made[0]

        server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname(), timeout=60) as client:
            client.sendall(REQUEST)
            assert await asyncio.to_thread(_answer_on, client)
            handler(made[0], client)  # the loop reads nothing meanwhile
            found = await asyncio.to_thread(_answer_on, client)
        server.close()
        await server.wait_closed()
        return found

    return asyncio.run(story())


def test_a_request_that_came_while_nothing_was_read_is_answered_although_its_connection_was_idle_too_long() -> None:
    def came_late(connection: Any, client: socket.socket) -> None:
        client.sendall(REQUEST)
        connection.timeout_keep_alive_handler()

    assert _kept_alive(came_late) != b""


def test_a_connection_that_was_idle_too_long_is_closed() -> None:
    assert _kept_alive(lambda connection, _: connection.timeout_keep_alive_handler()) == b""


class _Noting(asyncio.Transport):
    """A transport that notes what is written to it at once."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.written.append(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return self.written[-1:] == [b"closed"]

    def close(self) -> None:
        self.written.append(b"closed")


def test_the_head_of_an_answer_is_sent_with_the_first_part_of_its_body() -> None:
    sent = _Noting()
    answer = HeadWithBody(sent)
    for each in (b"HTTP/1.1 100 Continue\r\n\r\n", b"head", b"first", b"second"):
        answer.write(each)
    assert sent.written == [b"HTTP/1.1 100 Continue\r\n\r\n", b"headfirst", b"second"]


def test_a_head_without_a_body_is_sent_before_the_connection_closes() -> None:
    sent = _Noting()
    answer = HeadWithBody(sent)
    answer.write(b"head")
    assert not answer.is_closing()
    answer.close()
    assert sent.written == [b"head", b"closed"]
    assert answer.is_closing()
