"""What may come in: how large a body, how slowly, in which coding; and how many calls of a client at the same time."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

from cds_hooks.errors import BadRequest, PayloadTooLarge, RequestTimeout, TooManyCalls, UnsupportedMediaType
from cds_hooks.routes.deadline import Deadline, Overdue

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

JSON: Final = b"application/json"


class Intake:
    """The bounds of one server process."""

    def __init__(self, most_bytes: int, seconds: float) -> None:
        self._most_bytes = most_bytes
        self._seconds = seconds
        self._deadline = Deadline(seconds)
        self._calls: Counter[str] = Counter()

    def enter(self, client: str, most: int) -> None:
        """Counts a call that begins; TooManyCalls where the client has `most` under way. `leave` must follow."""
        if self._calls[client] >= most:
            raise TooManyCalls(f"{most} calls of this client are being answered. Send this one again in a second.")
        self._calls[client] += 1

    def leave(self, client: str) -> None:
        """Counts a call that has ended."""
        self._calls[client] -= 1

    async def body(self, headers: Iterable[tuple[bytes, bytes]], receive: Receive) -> bytes:
        """The request body.

        UnsupportedMediaType where it is declared as no JSON or as compressed, PayloadTooLarge over the limit,
        RequestTimeout when it does not arrive in time, BadRequest when the connection ends before it.
        """
        self._check(headers)
        try:
            return await self._deadline.wait_for(self._read(receive))
        except Overdue as error:
            raise RequestTimeout(f"The body did not arrive within {self._seconds:g} seconds.") from error

    def _check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        given = dict(headers)
        length = given.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._most_bytes:
            raise self._too_large()
        kind = given.get(b"content-type", JSON)
        if kind != JSON and not _is_json(kind):
            raise UnsupportedMediaType("Send the body as application/json.")
        if given.get(b"content-encoding", b"identity").strip().lower() != b"identity":
            # A few kilobytes can be made to unpack to gigabytes, and no client of CDS Hooks needs to pack.
            raise UnsupportedMediaType("Send the body as it is: a Content-Encoding is not read here.")

    async def _read(self, receive: Receive) -> bytes:
        chunks: list[bytes] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise BadRequest("The connection ended before the body did.")
            chunk: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(chunk)
            if size > self._most_bytes:
                raise self._too_large()
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(f"The body is larger than the {self._most_bytes} bytes that are read here.")


def _is_json(content_type: bytes) -> bool:
    kind = content_type.split(b";", 1)[0].strip().lower()
    return kind == JSON or (kind.startswith(b"application/") and kind.endswith(b"+json"))
