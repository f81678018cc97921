"""What every decision log does, whichever database is behind it."""

from collections.abc import Sequence
from typing import Protocol

from cds_hooks.storage.decision import Decision, FeedbackItem


class RecordUnavailable(Exception):
    """The record cannot be written or read; the message is one sentence for the operator, without patient data."""


class DecisionLog(Protocol):
    """The append-only record of decisions; one log per process, used from one event loop."""

    async def append(self, decision: Decision) -> None:
        """Returns when the decision is committed, never before; RecordUnavailable when it could not be."""

    async def append_feedback(self, items: Sequence[FeedbackItem]) -> int:
        """Stores all items or none, and says how many were new: the same card, outcome and time again are not."""

    async def close(self) -> None:
        """Commits what is waiting and closes the database."""
