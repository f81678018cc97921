"""What may come in, and what is said to the rest."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from cds_hooks.errors import BadRequest, HookError, PayloadTooLarge, RequestTimeout, TooManyCalls, UnsupportedMediaType
from cds_hooks.routes.hooks import RequestLimits

JSON = [(b"content-type", b"application/json")]
Message = dict[str, Any]


def _part(body: bytes, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def _read(messages: Iterable[Message], headers: Iterable[tuple[bytes, bytes]] = JSON, limit: int = 100) -> bytes:
    coming = iter(messages)

    async def receive() -> Message:
        message = next(coming, None)
        if message is None:
            await asyncio.Event().wait()  # for ever
        return message or {}

    return asyncio.run(RequestLimits(limit, 0.05).body(headers, receive))


def test_a_body_is_put_together_from_its_parts() -> None:
    assert _read([_part(b"{", True), _part(b"", True), _part(b"}")]) == b"{}"


@pytest.mark.parametrize(
    ("messages", "headers", "error"),
    [
        ([], JSON, RequestTimeout),
        ([_part(b"{", True)], JSON, RequestTimeout),
        ([_part(b"{", True), {"type": "http.disconnect"}], JSON, BadRequest),
        ([_part(b"x" * 101)], JSON, PayloadTooLarge),
        ([_part(b"x" * 60, True), _part(b"x" * 60)], JSON, PayloadTooLarge),
        ([_part(b"{}")], [(b"content-length", b"101")], PayloadTooLarge),
        ([_part(b"{}")], [(b"content-type", b"text/xml")], UnsupportedMediaType),
        ([_part(b"{}")], [], UnsupportedMediaType),
        ([_part(b"{}")], [(b"content-type", b"")], UnsupportedMediaType),
        ([_part(b"{}")], [(b"content-encoding", b"gzip")], UnsupportedMediaType),
        ([_part(b"{}")], [(b"content-encoding", b"Identity, br")], UnsupportedMediaType),
    ],
)
def test_what_is_not_read_is_refused_in_a_sentence(
    messages: list[Message], headers: list[tuple[bytes, bytes]], error: type[HookError]
) -> None:
    with pytest.raises(error) as caught:
        _read(messages, headers)
    assert caught.value.text.endswith(".")


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-type", b"application/json")],
        [(b"content-type", b"Application/FHIR+JSON; charset=UTF-8")],
        [(b"content-type", b"application/json"), (b"content-encoding", b"Identity")],
    ],
)
def test_json_is_read_however_it_is_declared(headers: list[tuple[bytes, bytes]]) -> None:
    assert _read([_part(b"{}")], headers) == b"{}"


def test_a_client_has_so_many_calls_at_the_same_time_and_others_are_not_counted_with_it() -> None:
    intake = RequestLimits(100, 1)
    intake.enter("a", 2)
    intake.enter("a", 2)
    intake.enter("b", 2)
    with pytest.raises(TooManyCalls) as caught:
        intake.enter("a", 2)
    assert (b"retry-after", b"1") in caught.value.headers
    intake.leave("a")
    intake.enter("a", 2)


def test_a_client_that_begins_more_calls_in_a_second_than_it_may_is_told_to_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 7.2
    monkeypatch.setattr("cds_hooks.routes.hooks.monotonic", lambda: now)
    intake = RequestLimits(1000, 1)
    for _ in range(3):
        intake.enter("a", 100, 3)
        intake.leave("a")
    with pytest.raises(TooManyCalls) as refused:
        intake.enter("a", 100, 3)
    assert (b"retry-after", b"1") in refused.value.headers
    intake.enter("b", 100, 3)
    now = 8.0
    intake.enter("a", 100, 3)
