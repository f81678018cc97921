"""What may come in, and what is said to the rest."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest

from cds_hooks.errors import BadRequest, HookError, PayloadTooLarge, RequestTimeout, TooManyCalls, UnsupportedMediaType
from cds_hooks.routes.bodies import BodyReader, CallBudgets

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

    return asyncio.run(BodyReader(limit, 0.05).read(headers, receive))


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


def test_a_client_has_so_many_calls_at_the_same_time_and_others_are_not_counted_with_it() -> None:
    budgets = CallBudgets()
    budgets.enter("a", 2)
    budgets.enter("a", 2)
    budgets.enter("b", 2)
    with pytest.raises(TooManyCalls) as caught:
        budgets.enter("a", 2)
    assert (b"retry-after", b"1") in caught.value.headers
    budgets.leave("a")
    budgets.enter("a", 2)


class _Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 7.25

    def __call__(self) -> float:
        return self.now


def _passed(budgets: CallBudgets, client: str, calls: int, most: int) -> int:
    """How many of so many calls at one moment were let in."""
    passed = 0
    for _ in range(calls):
        with suppress(TooManyCalls):
            budgets.enter(client, 1_000, most)
            budgets.leave(client)
            passed += 1
    return passed


def test_a_client_that_begins_more_calls_in_a_second_than_it_may_is_told_to_wait() -> None:
    clock = _Clock()
    budgets = CallBudgets(clock)
    assert _passed(budgets, "a", 3, 3) == 3
    with pytest.raises(TooManyCalls) as refused:
        budgets.enter("a", 1_000, 3)
    assert (b"retry-after", b"1") in refused.value.headers
    assert _passed(budgets, "b", 4, 3) == 3
    clock.now += 1  # what Retry-After says
    assert _passed(budgets, "a", 4, 3) == 3


def test_in_no_second_wherever_it_begins_do_more_calls_pass_than_a_client_may_begin() -> None:
    clock = _Clock()
    budgets = CallBudgets(clock)
    passed: list[tuple[float, int]] = []
    for step in range(
        60
    ):  # a burst every tenth of a second, for six seconds: windows that begin anew would let 20 pass
        clock.now = 7.0 + step / 10
        passed.append((clock.now, _passed(budgets, "a", 7, 10)))
    for begin, _ in passed:
        assert sum(count for when, count in passed if begin <= when < begin + 0.999) <= 10
    assert sum(count for _, count in passed) == 60


def test_what_is_kept_of_a_client_is_no_more_than_the_calls_of_one_second() -> None:
    clock = _Clock()
    budgets = CallBudgets(clock)
    for _ in range(50):
        _passed(budgets, "a", 40, 20)
        clock.now += 0.3
    assert sum(len(begun) for begun in budgets._begun.values()) <= 20
