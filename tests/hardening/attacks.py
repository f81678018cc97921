"""What an attack from outside costs everyone else: memory of the server, and times of others' requests meanwhile.

Oversized heads, addresses and trailers, connections that say nothing or half of it, and readers that never read, each
over real sockets against one server process with 1,024 descriptors.
"""

from __future__ import annotations

import http.client
import multiprocessing
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

from benchmarks.servers import Server, running, service_command
from tests.waiting import MOST_SECONDS

DESCRIPTORS = 1024
CONNECTIONS = 1100
SENDERS = 4
_GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
_POST = b"POST /cds-services/order-safety HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
_MEGABYTE = b"x" * (1 << 20)
_FIELDS = b"X-Some: value of a field\r\n" * 40_000
_LARGE_PAGE = b"GET /static/look.css HTTP/1.1\r\nHost: localhost\r\n\r\n"

Attack = Callable[[int, Event], None]
"""Attacks the server at a port until the event is set."""


def _sending(head: bytes, more: bytes, times: int) -> Attack:
    """Connections that send `head`, and then `more` so many times or until they are closed; again and again."""

    def attack(port: int, ended: Event) -> None:
        while not ended.is_set():
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 10) as connection:
                connection.sendall(head)
                for _ in range(times):
                    connection.sendall(more)
                connection.recv(65_536)

    return attack


def _holding(first: bytes, connections: int, received: int = 0) -> Attack:
    """So many connections that send `first` and then nothing; all of them are opened anew every 20 s."""

    def attack(port: int, ended: Event) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2 * CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        with ExitStack() as stack:
            while not ended.is_set():
                with suppress(OSError):
                    for _ in range(connections):
                        stack.enter_context(_opened(port, first, received))
                ended.wait(20)
                stack.close()

    return attack


def _opened(port: int, first: bytes, received: int) -> socket.socket:
    connection = socket.socket()
    if received:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, received)
    connection.settimeout(5)
    connection.connect(("127.0.0.1", port))
    connection.sendall(first)
    return connection


def _waiting(port: int, ended: Event) -> None:
    del port
    ended.wait()


ATTACKS: dict[str, tuple[Attack, int]] = {
    "nothing": (_waiting, 1),
    "a field of 60 MB": (_sending(_GET + b"X-Long: ", _MEGABYTE, 60), SENDERS),
    "fields of 210 MB": (_sending(_GET, _FIELDS, 210), SENDERS),
    "trailers of 210 MB": (_sending(_CHUNKED + b"0\r\n", _FIELDS, 210), SENDERS),
    "a chunk extension of 60 MB": (_sending(_CHUNKED + b"2;long=", _MEGABYTE, 60), SENDERS),
    "an address of 60 MB": (_sending(b"GET /livez?", _MEGABYTE, 60), SENDERS),
    f"{CONNECTIONS} silent connections": (_holding(b"", CONNECTIONS), 1),
    f"{CONNECTIONS} half heads": (_holding(_GET, CONNECTIONS), 1),
    f"{CONNECTIONS} half bodies": (_holding(_POST + b"Content-Length: 1000\r\n\r\n{", CONNECTIONS), 1),
    "100 readers that never read": (_holding(_LARGE_PAGE * 20, 100, 4096), 1),
    "nothing, again": (_waiting, 1),
}


@dataclass(frozen=True, slots=True)
class Observed:
    """What others saw during one attack: milliseconds of their requests, and how many were not answered 200."""

    name: str
    milliseconds: list[float]
    failed: int
    before_mb: float
    most_mb: float


def observe(seconds: float) -> Iterator[Observed]:
    """Each attack for so long, against one server, one after the other."""
    limited = ["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}", *service_command()]
    with TemporaryDirectory(prefix="cds-attacks-") as place, running("attacked", limited, Path(place), None) as server:
        for name, (attack, senders) in ATTACKS.items():
            yield _during(server, name, attack, senders, seconds)


def _during(server: Server, name: str, attack: Attack, senders: int, seconds: float) -> Observed:
    context = multiprocessing.get_context("fork")
    ended = context.Event()
    before = sum(server.resident_mb())
    attackers = [context.Process(target=attack, args=(server.port, ended), daemon=True) for _ in range(senders)]
    for attacker in attackers:
        attacker.start()
    sleep(min(1.0, seconds))
    taken, failed, most = [], 0, before
    end = perf_counter() + seconds
    while perf_counter() < end:
        sent = perf_counter()
        failed += not _is_answered(server.port)
        taken.append((perf_counter() - sent) * 1000)
        most = max(most, sum(server.resident_mb()))
        sleep(0.02)
    ended.set()
    for attacker in attackers:
        attacker.join(15)
        attacker.kill()
    return Observed(name, taken, failed, before, most)


def _is_answered(port: int) -> bool:
    """Whether a newcomer is answered: a connection of its own, and no more than the tests wait."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=MOST_SECONDS)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
