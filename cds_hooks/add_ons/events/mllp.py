"""Receives HL7 v2 over TCP with MLLP: framing, limits of time and size, TLS, and acknowledgments in order.

A frame is VT, a message, FS, CR. Bytes outside a frame are skipped and counted. A VT inside a frame begins a new one:
what came before was never ended, and is a dead letter.

A sender that vanished without a word (a firewall forgot the connection) leaves a connection that is never closed. Where
a feed has as many as it may, the one that has been silent for longest gives its place to the new one.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from operator import itemgetter
from pathlib import Path
from time import time
from typing import Any, Final

from cds_hooks.add_ons.events.declaration import MllpFeed, Tls
from cds_hooks.add_ons.events.inbox import Incoming, Taken
from cds_hooks.add_ons.events.v2.intake import Reading, answer_frame, read_frame
from cds_hooks.telemetry.logs import log
from fhir.terminology.plain_file import plain_file

START, END, RETURN = 0x0B, 0x1C, 0x0D
_READ_BYTES: Final = 65_536
_PIPELINED: Final = 64
"""Groups of frames of one connection that may wait to be stored; then it is not read until one is acknowledged."""
_TOGETHER: Final = 16
"""Frames that came together are read in one go: a change of the thread for each cost a sixth of a message's time."""
_LARGE_BYTES: Final = 262_144
"""A frame of this length is stored before more is read, so that a connection holds one of them at a time."""
_MOST_LARGE: Final = 4
"""Connections of a feed that may be in the middle of such a frame: what senders can hold without a certificate."""
_HANDSHAKE_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 5.0

_Waiting = asyncio.Queue[asyncio.Task[bytes] | None]
"""What becomes acknowledgments, in the order of the messages; None at the end."""

Take = Callable[[list[Incoming]], Awaitable[list[Taken]]]
"""Stores messages; returns when they are on the disk."""


class FrameTooLong(Exception):
    """A frame is longer than the feed allows."""


class Framing:
    """Cuts the bytes of one connection into frames."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._buffer = bytearray()
        self.is_inside = False
        """Whether a frame has begun and not ended."""
        self.noise = 0
        """Bytes outside frames."""

    @property
    def held_bytes(self) -> int:
        """How much has come of the frame that has not ended."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """Yield each frame that these bytes end, and whether it was ended as it should be.

        Raises:
            FrameTooLong: What has come of a frame is longer than allowed.
        """
        at = 0
        while at < len(data):
            if not self.is_inside:
                at = self._begin(data, at)
                continue
            ends = [index for index in (data.find(END, at), data.find(START, at)) if index >= 0]
            stop = min(ends, default=len(data))
            self._buffer += data[at:stop]
            if len(self._buffer) > self._most:
                raise FrameTooLong
            at = stop
            if not ends:
                return
            content = bytes(self._buffer)
            self._buffer.clear()
            if content or data[stop] == END:
                yield content, data[stop] == END
            else:  # one start after the other is no message
                self.noise += 1
            self.is_inside = data[stop] == START
            at = stop + 1

    def _begin(self, data: bytes, at: int) -> int:
        start = data.find(START, at)
        stop = start if start >= 0 else len(data)
        self.noise += stop - at - data.count(RETURN, at, stop)  # the CR after FS may come in the next read
        self.is_inside = start >= 0
        return stop + 1


def framed(content: bytes) -> bytes:
    """Return a message as a frame.

    >>> framed(b"MSH")
    b'\\x0bMSH\\x1c\\r'
    """
    return bytes((START,)) + content + bytes((END, RETURN))


def server_context(tls: Tls) -> ssl.SSLContext:
    """Return what TLS needs; with `client_ca` a sender without a certificate of it is refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.certificate, tls.key)
    if tls.client_ca:
        context.load_verify_locations(tls.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _written(tls: Tls) -> list[bytes]:
    """Return the files of a certificate; OSError where one cannot be read, never ends or holds more than 4 MB."""
    files = [plain_file(Path(name)) for name in (tls.certificate, tls.key, tls.client_ca) if name]
    if any(file.stat().st_size > _MOST_BYTES_OF_A_FILE for file in files):
        raise OSError(errno.EFBIG, "a file of the certificate is larger than 4 MB")
    return [file.read_bytes() for file in files]


_MOST_BYTES_OF_A_FILE: Final = 4 * 1024 * 1024
"""To read 200 MB of them holds all calls for a second."""


def certificate_fault(feed: MllpFeed) -> str:
    """Return a sentence where the files of the feed's certificate cannot be used as they are now, else ""."""
    try:
        if feed.tls is not None:
            _written(feed.tls)  # a named pipe, or a file without an end, would hold whoever loads it
            server_context(feed.tls)
    except OSError:  # which an ssl.SSLError is, too
        return f"The certificate of feed.{feed.name} cannot be used; the feed listens with the one before."
    return ""


class Listener:
    """Listens for the senders of one feed, with the certificate that its files have at the moment."""

    def __init__(
        self, feed: MllpFeed, take: Take, count: Callable[[str, str], None], look_seconds: float = _LOOK_SECONDS
    ) -> None:
        """`count` is told the feed and the name of what happened on a connection."""
        self._look_seconds = look_seconds
        self._listens_with: list[bytes] = []
        self._feed, self._take, self._count = feed, take, count
        self._servers: list[asyncio.Server] = []
        self._handlers: dict[asyncio.Task[None], float] = {}
        """What serves a connection, and when it last brought something (on the clock of the loop)."""
        self._large = asyncio.Semaphore(_MOST_LARGE)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feed")

    async def start(self) -> int:
        """Listen, and return the port."""
        host, _, port = self._feed.listen.rpartition(":")
        await self._serve_at(self._context(), host=host.strip("[]"), port=int(port))
        number: int = self._servers[0].sockets[0].getsockname()[1]
        return number

    def _context(self) -> ssl.SSLContext | None:
        self._listens_with = _written(self._feed.tls) if self._feed.tls is not None else []
        return server_context(self._feed.tls) if self._feed.tls is not None else None

    async def _serve_at(self, context: ssl.SSLContext | None, **place: Any) -> None:
        handshake = _HANDSHAKE_SECONDS if context is not None else None
        server = await asyncio.start_server(self._connected, ssl=context, ssl_handshake_timeout=handshake, **place)
        self._servers.append(server)
        log().info("feed listens", client=self._feed.name)

    async def _serve_anew(self) -> None:
        """Listen with the new certificate at the same places, where a sender that connects meanwhile waits."""
        context, places = self._context(), list[socket.socket]()
        try:
            for place in (place for server in self._servers for place in server.sockets):
                places.append(place.dup())  # a closed port would refuse who connects
            await self.stop()
            while places:
                await self._serve_at(context, sock=places[0])
                places.pop(0)
        finally:
            for place in places:  # that nobody serves: it would take connections and answer none
                place.close()

    async def keep_certificate(self) -> None:
        """Listen anew where the files of the certificate were changed and can be used, until canceled.

        Open connections end, since an authority may have been taken away; their senders connect and send again.

        Raises:
            OSError: It does not listen any more, as where the process may open no more files.
        """
        while self._feed.tls is not None:
            await asyncio.sleep(self._look_seconds)
            try:
                is_new = await asyncio.to_thread(_written, self._feed.tls) != self._listens_with
            except OSError:  # which `certificate_fault` tells
                continue
            if is_new and not await asyncio.to_thread(certificate_fault, self._feed):
                await self._serve_anew()

    async def stop(self) -> None:
        """Stop listening and end the connections; what was stored is stored, what was not is sent again."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for handler in list(self._handlers):
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        try:
            if task is None or not self._has_place():
                self._count(self._feed.name, "refused")
                log().warning("feed refused a connection", client=self._feed.name, reason="too-many")
                return
            self._heard(task)
            await self._serve(task, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            self._count(self._feed.name, "lost")
        except Exception as error:  # a full disk: what is not acknowledged is sent again
            self._count(self._feed.name, "lost")
            log().error("feed cannot store", client=self._feed.name, error_type=type(error).__name__)
        finally:
            if task is not None:
                self._handlers.pop(task, None)
            writer.close()

    def _heard(self, task: "asyncio.Task[None]") -> None:
        self._handlers[task] = asyncio.get_running_loop().time()

    def _has_place(self) -> bool:
        """Whether one more connection can be served, where need be in place of one that says nothing any more."""
        if len(self._handlers) < self._feed.connections:
            return True
        silent, since = min(self._handlers.items(), key=itemgetter(1))
        if asyncio.get_running_loop().time() - since <= self._feed.frame_seconds:
            return False
        self._handlers.pop(silent)
        silent.cancel()
        self._count(self._feed.name, "lost")
        return True

    async def _serve(
        self, task: "asyncio.Task[None]", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        framing = Framing(self._feed.frame_bytes)
        waiting: _Waiting = asyncio.Queue()
        places = asyncio.Semaphore(_PIPELINED)
        answering = asyncio.create_task(_answer(waiting, places, writer, self._feed.frame_seconds))
        reading = asyncio.create_task(self._read(task, reader, framing, waiting, places))
        try:
            # where nothing can be stored or answered, the connection ends, and the sender sends again
            await asyncio.wait({reading, answering}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
                waiting.put_nowait(None)
            await answering
        finally:
            reading.cancel()
            answering.cancel()
            if framing.noise:
                self._count(self._feed.name, "noise")

    async def _read(
        self,
        task: "asyncio.Task[None]",
        reader: asyncio.StreamReader,
        framing: Framing,
        waiting: _Waiting,
        places: asyncio.Semaphore,
    ) -> None:
        deadline: float | None = None
        loop = asyncio.get_running_loop()
        holds_place = False
        try:
            while True:
                remaining = None if deadline is None else max(0.0, deadline - loop.time())
                try:
                    data = await asyncio.wait_for(reader.read(_READ_BYTES), remaining)
                except TimeoutError:
                    self._count(self._feed.name, "frame-timeout")
                    return
                if not data:
                    return
                self._heard(task)
                frames: list[tuple[bytes, bool]] = []
                is_too_long = False
                try:
                    frames.extend(framing.feed(data))
                except FrameTooLong:
                    is_too_long = True
                for start in range(0, len(frames), _TOGETHER):
                    deadline = None
                    together = frames[start : start + _TOGETHER]
                    await places.acquire()
                    answer = asyncio.create_task(self._answer_to(together))
                    waiting.put_nowait(answer)
                    if len(together[0][0]) >= _LARGE_BYTES:
                        await asyncio.wait({answer})
                if is_too_long:
                    self._count(self._feed.name, "frame-too-long")
                    return
                if not framing.is_inside:
                    deadline = None
                elif deadline is None:
                    deadline = loop.time() + self._feed.frame_seconds
                if holds_place and framing.held_bytes < _LARGE_BYTES:
                    self._large.release()
                    holds_place = False
                elif not holds_place and framing.held_bytes >= _LARGE_BYTES:
                    await self._large.acquire()
                    holds_place = True
                    deadline = loop.time() + self._feed.frame_seconds
        finally:
            if holds_place:
                self._large.release()

    async def _answer_to(self, frames: list[tuple[bytes, bool]]) -> bytes:
        now = time()
        by_frame = await asyncio.get_running_loop().run_in_executor(self._thread, self._readings, frames, now)
        outcomes = iter(await self._take([reading.incoming for readings in by_frame for reading in readings]))
        return b"".join(
            framed(answer)
            for readings in by_frame
            for answer in answer_frame(readings, list(islice(outcomes, len(readings))), now)
        )

    def _readings(self, frames: list[tuple[bytes, bool]], now: float) -> list[list[Reading]]:
        by_frame = []
        for content, is_ended in frames:
            readings = read_frame(content, self._feed, now)
            for reading in () if is_ended else readings:
                reading.incoming.effects = None
                reading.incoming.fault = "The frame was never ended; nothing of it was used."
            by_frame.append(readings)
        return by_frame


async def _answer(waiting: _Waiting, places: asyncio.Semaphore, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Send the acknowledgments in the order of the messages; TimeoutError where the sender does not take one."""
    while (task := await waiting.get()) is not None:
        writer.write(await task)
        async with asyncio.timeout(seconds):
            await writer.drain()
        places.release()
