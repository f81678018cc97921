"""HTTP by hand, for what no HTTP library would send."""

import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.waiting import MOST_SECONDS


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 where the connection ended without a word."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One connection to a server on loopback."""

    def __init__(self, address: str, timeout: float = MOST_SECONDS) -> None:
        parts = urlsplit(address)
        self._socket = socket.create_connection((parts.hostname, parts.port or 80), timeout)
        self._ahead = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """These bytes and no more."""
        self._socket.sendall(data)

    def send_no_more(self) -> None:
        """Closes the half in which requests go; answers can still be read."""
        self._socket.shutdown(socket.SHUT_WR)

    def post(self, path: str, body: bytes, *headers: str) -> None:
        """A POST of this body; a Content-Length among `headers` goes before the true one."""
        given = [*headers, "Host: localhost", "Content-Type: application/json"]
        if not any(each.lower().startswith(("content-length", "transfer-encoding")) for each in given):
            given.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([f"POST {path} HTTP/1.1", *given, "", ""]).encode() + body)

    def answers(self, count: int) -> list[Answer]:
        """So many answers, one after the other."""
        return [self.answer() for _ in range(count)]

    def answer(self) -> Answer:
        """The next answer; waits for it."""
        data, self._ahead = self._ahead, b""
        while b"\r\n\r\n" not in data:
            data += (more := self.receive())
            if not more:
                return Answer(0, {}, data)
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        while len(body) < length and (more := self.receive()):
            body += more
        self._ahead = body[length:]
        return Answer(int(first.split(" ")[1]), headers, body[:length])

    def is_closed(self) -> bool:
        """Whether the server has closed the connection, or does so now."""
        return self.receive() == b""

    def receive(self) -> bytes:
        """What came next; nothing where the connection is closed."""
        try:
            return self._socket.recv(65536)
        except ConnectionError:
            return b""
