"""What every decision log does, whichever database is behind it."""

import asyncio
from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec

from cds_hooks.storage.decision import Decision, FeedbackItem

Waiting = list[tuple[Decision, "asyncio.Future[None]"]]
"""Decisions that are not committed yet, each with what its caller waits for."""

_Item = TypeVar("_Item", Decision, FeedbackItem)


class RecordUnavailable(Exception):
    """The record cannot be written or read; the message is one sentence for the operator, without patient data."""


class DecisionLog(Protocol):
    """The append-only record of decisions; one log per process, used from one event loop."""

    async def append(self, decision: Decision) -> None:
        """Returns when the decision is committed, never before; RecordUnavailable when it could not be."""

    async def append_feedback(self, items: Sequence[FeedbackItem]) -> list[FeedbackItem]:
        """Stores all items or none and returns those that are new: the same card, outcome and time again are not."""

    async def check(self) -> None:
        """Returns within 2 seconds when the database answers; RecordUnavailable when it does not. Writes nothing."""

    async def close(self) -> None:
        """Commits what is waiting and closes the database."""


def answer_all(waiting: Waiting, failure: str | None) -> None:
    """Everyone who waits goes on, or hears RecordUnavailable with this reason."""
    for _, future in waiting:
        if future.done():  # its caller went away; the decision is in the record all the same
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(RecordUnavailable(failure))


def without_nul(item: _Item) -> _Item:
    """The same with U+FFFD for NUL, which JSON's strings can hold and PostgreSQL's text cannot."""
    changed = {
        name: value.replace("\0", "\N{REPLACEMENT CHARACTER}")
        for name in item.__struct_fields__
        if isinstance(value := getattr(item, name), str) and "\0" in value
    }
    return msgspec.structs.replace(item, **changed) if changed else item
