"""Reads decisions and feedback back out of the record."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import Select, select
from sqlalchemy.exc import DBAPIError

from cds_hooks.storage.database import parse_url, reading_engine, reason
from cds_hooks.storage.decision import Decision, FeedbackItem
from cds_hooks.storage.log import RecordUnavailable
from cds_hooks.storage.tables import decisions, feedback

_DECISION = [decisions.c[field.name] for field in msgspec.structs.fields(Decision)]
_FEEDBACK = [feedback.c[field.name] for field in msgspec.structs.fields(FeedbackItem)]


def list_decisions(url: str, limit: int = 20, service: str | None = None, outcome: str | None = None) -> list[Decision]:
    """The newest decisions first, of one service or outcome if wanted; RecordUnavailable where there is no record."""
    query = select(*_DECISION).order_by(decisions.c.sequence.desc()).limit(limit)
    if service is not None:
        query = query.where(decisions.c.service == service)
    if outcome is not None:
        query = query.where(decisions.c.outcome == outcome)
    return [Decision(*row) for row in read_rows(url, query)]


def get_decision(url: str, decision_id: str) -> Decision | None:
    """The decision of this id, None where there is none; RecordUnavailable where there is no record."""
    rows = read_rows(url, select(*_DECISION).where(decisions.c.id == decision_id))
    return Decision(*rows[0]) if rows else None


def get_decisions(url: str, ids: Collection[str]) -> dict[str, Decision]:
    """Those of these decisions that are on record, by id; RecordUnavailable where there is no record."""
    if not ids:
        return {}
    rows = read_rows(url, select(*_DECISION).where(decisions.c.id.in_(ids)))
    return {row.id: Decision(*row) for row in rows}


def feedback_on(url: str, decision_id: str) -> list[FeedbackItem]:
    """What clinicians answered to the cards of this decision, in the order in which it came."""
    query = select(*_FEEDBACK).where(feedback.c.decision == decision_id).order_by(feedback.c.sequence)
    return [_feedback_item(row) for row in read_rows(url, query)]


def read_rows(url: str, query: Select[Any]) -> Sequence[Any]:
    """All rows of a query; RecordUnavailable where there is no record or it does not answer."""
    parsed = parse_url(url)
    try:
        with reading_engine(parsed).connect() as connection:
            return connection.execute(query).all()
    except (DBAPIError, ImportError, OSError) as error:
        raise RecordUnavailable(f"the record at {parsed.render_as_string()} cannot be read: {reason(error)}") from error


def _feedback_item(row: Any) -> FeedbackItem:
    suggestions = msgspec.json.decode(row.accepted_suggestions, type=tuple[str, ...])
    return FeedbackItem(**{**row._asdict(), "accepted_suggestions": suggestions})
