"""FHIR servers that stall in every way that a connection can, on loopback."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import sleep

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: 100000\r\n"

STALLS = ("never accepts", "no answer", "half a head", "headers, then nothing", "a byte at a time", "closes when asked")


class Stalling:
    """A server that stalls; `open` are its connections that the other side has not closed."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.listening = socket.socket()
        self.listening.bind(("127.0.0.1", 0))
        self.listening.listen(0 if how == "never accepts" else 512)
        self.port: int = self.listening.getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}/fhir"
        self.ended = threading.Event()
        self.open: set[socket.socket] = set()
        self.taken = 0
        if how != "never accepts":
            threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self.ended.is_set():
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            self.taken += 1
            self.open.add(connection)
            threading.Thread(target=self._stall, args=(connection,), daemon=True).start()

    def _stall(self, connection: socket.socket) -> None:
        with suppress(OSError):
            connection.recv(65536)
            if self.how == "half a head":
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-")
            if self.how in ("headers, then nothing", "a byte at a time"):
                connection.sendall(HEAD + b"\r\n")
            while self.how == "a byte at a time" and not self.ended.is_set():
                connection.sendall(b" ")
                sleep(0.02)
            while self.how != "closes when asked" and connection.recv(65536):
                pass
        connection.close()
        self.open.discard(connection)

    def close(self) -> None:
        """Ends the server and its connections."""
        self.ended.set()
        self.listening.close()
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def stalling(how: str) -> Iterator[Stalling]:
    """A server that stalls in one of the ways of STALLS, until the block ends."""
    server = Stalling(how)
    try:
        yield server
    finally:
        server.close()
