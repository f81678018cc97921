"""One keep-alive HTTP/1.1 connection that sends its request again as soon as the answer is there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from itertools import count
from random import randrange
from time import perf_counter_ns
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TIME = re.compile(rb"(T\d\d:\d)\d:\d\d")
_INSTANCE = re.compile(rb'("hookInstance": ?"[0-9a-f-]{29})\d{7}')
# Control characters never stand in JSON, so what they mark is found again by a plain search; as long as what they mark.
_CHANGING_TIME, _CHANGING_NUMBER = b"\x01" * 4, b"\x02" * 7
NUMBER_MARK = "0000000"
"""What stands behind the ids of a body until it is sent."""
_numbers = count(randrange(1_000_000))
_HEADER_END = b"\r\n\r\n"


class BrokenAnswer(Exception):
    """The server's bytes are not an HTTP/1.1 answer with a Content-Length."""


class AnswerReader:
    """Cuts answers out of a byte stream; only what a load generator needs of HTTP/1.1."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._total = -1
        self._header_end = -1

    def feed(self, data: bytes) -> tuple[int, bytes] | None:
        """Status and body once an answer is complete, else None; refuses an answer without a length.

        One answer at a time: the connection never sends a request before the last one was answered.
        """
        self._buffer += data
        if self._total < 0 and not self._read_header():
            return None
        if len(self._buffer) < self._total:
            return None
        answer = int(self._buffer[9:12]), bytes(self._buffer[self._header_end : self._total])
        self._buffer.clear()
        self._total = -1
        return answer

    def _read_header(self) -> bool:
        end = self._buffer.find(_HEADER_END)
        if end < 0:
            return False
        length = _LENGTH.search(self._buffer, 0, end)
        if length is None or not self._buffer.startswith(b"HTTP/1.1 "):
            raise BrokenAnswer(f"no HTTP/1.1 answer with a Content-Length: {bytes(self._buffer[:60])!r}")
        self._header_end = end + len(_HEADER_END)
        self._total = self._header_end + int(length[1])
        return True


class ChangingRequest:
    """One request whose times and ids are others each time it is sent, or after it was sent `times` times.

    A service may remember what it parsed. In a hospital the next call is about another patient, at other times; a
    benchmark that sends the same bytes again would measure the memory. Times change by less than ten minutes; the ids
    that `bodies.with_marked_ids` marked, and the hookInstance, end in the number of the call.
    """

    def __init__(self, request: bytes, times: int = 1) -> None:
        self._times, self._sent, self._bytes = times, 0, b""
        request = _TIME.sub(rb"\1" + _CHANGING_TIME, request)
        request = request.replace(b"--" + NUMBER_MARK.encode(), b"--" + _CHANGING_NUMBER)
        self._request = _INSTANCE.sub(rb"\1" + _CHANGING_NUMBER, request)

    def next(self) -> bytes:
        """Return the bytes to send."""
        if self._sent % self._times == 0:
            number = next(_numbers)
            request = self._request.replace(_CHANGING_TIME, b"%d:%02d" % divmod(number % 600, 60))
            self._bytes = request.replace(_CHANGING_NUMBER, b"%07d" % (number % 10_000_000))
        self._sent += 1
        return self._bytes


class LoadConnection(asyncio.Protocol):
    """A closed loop of one: the next request leaves when the answer has been handed to `on_answer`."""

    def __init__(
        self, request: ChangingRequest, on_answer: Callable[[int, int, bytes], bool], on_lost: Callable[[str], None]
    ) -> None:
        """`on_answer(nanoseconds, status, body)` says whether to go on; `on_lost(reason)` is told of a broken one."""
        self._request = request
        self._on_answer, self._on_lost = on_answer, on_lost
        self._reader = AnswerReader()
        self._sent_at = 0
        self._done = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own type is not derived from asyncio's
        self._send()

    def _send(self) -> None:
        self._sent_at = perf_counter_ns()
        self._transport.write(self._request.next())

    def data_received(self, data: bytes) -> None:
        try:
            answer = self._reader.feed(data)
        except BrokenAnswer as error:
            return self._stop(str(error))
        if answer is None:
            return None
        if self._on_answer(perf_counter_ns() - self._sent_at, *answer):
            return self._send()
        return self._stop(None)

    def _stop(self, reason: str | None) -> None:
        self._done = True
        if reason:
            self._on_lost(reason)
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done:
            self._on_lost(str(exc) if exc else "the server closed the connection")


def request_bytes(path: str, body: bytes) -> bytes:
    """Return the bytes of a POST of JSON to loopback, keep-alive."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
