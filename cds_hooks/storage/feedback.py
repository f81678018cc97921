"""Stores what clinicians did with cards: rare next to decisions, so plain and the same for both databases."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import URL
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from cds_hooks.storage.database import engine_for, reason
from cds_hooks.storage.decision import FeedbackItem
from cds_hooks.storage.identifiers import decision_of
from cds_hooks.storage.log import RecordUnavailable, without_nul
from cds_hooks.storage.tables import feedback


def store_feedback(url: URL, items: Sequence[FeedbackItem]) -> list[FeedbackItem]:
    """Stores all items or none and returns those that are new: the same card, outcome and time again are not."""
    insert = postgresql.insert if url.get_backend_name() == "postgresql" else sqlite.insert
    statement = insert(feedback).on_conflict_do_nothing().returning(feedback.c.sequence)
    try:
        with engine_for(url).begin() as connection:
            return [item for item in items if connection.execute(statement.values(_row(item))).all()]
    except DBAPIError as error:
        raise RecordUnavailable(f"feedback cannot be stored: {reason(error)}") from error


def _row(item: FeedbackItem) -> dict[str, Any]:
    row = msgspec.structs.asdict(without_nul(item))
    row["decision"] = decision_of(item.card)
    row["accepted_suggestions"] = msgspec.json.encode(item.accepted_suggestions).decode()
    return row
