"""Legal holds: what must stay in the record, by client, patient or decision. Hold and release are entries."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
from sqlalchemy import ColumnElement, Connection, and_, select, true

from cds_hooks.evidence.storage.database import parse_url
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.entries import add_event
from cds_hooks.evidence.storage.opening import upgrade_schema
from cds_hooks.evidence.storage.queries import read_rows
from cds_hooks.evidence.storage.tables import decisions, events

HeldBy = Literal["client", "patient", "decision"]
_COLUMNS = {"client": decisions.c.client, "patient": decisions.c.patient, "decision": decisions.c.id}


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold that was not released: `by` says what `value` is."""

    id: str
    by: HeldBy
    value: str
    why: str
    actor: str
    at: datetime


def hold(url: str, by: HeldBy, value: str, why: str, actor: str) -> str:
    """Hold everything of a client, about a patient, or one decision; the id of the hold.

    Raises:
        RecordUnavailable: The record cannot be written.
    """
    upgrade_schema(parse_url(url))
    hold_id = secrets.token_hex(4)
    add_event(url, "hold", actor, {"hold": hold_id, "by": by, "value": value, "why": why})
    return hold_id


def release(url: str, hold_id: str, why: str, actor: str) -> None:
    """End a hold.

    Raises:
        RecordUnavailable: There is no such hold, or the record cannot be written.
    """
    if hold_id not in {hold.id for hold in holds(url)}:
        raise RecordUnavailable(f"there is no hold {hold_id}; cds-hooks record hold lists the holds in force")
    add_event(url, "release", actor, {"hold": hold_id, "why": why})


def holds(url: str) -> list[Hold]:
    """Return the holds that were not released, the oldest first; RecordUnavailable where the record cannot be read."""
    return _in_force(read_rows(url, _query()))


def not_held(connection: Connection) -> ColumnElement[bool]:
    """Return the condition of decisions that no hold is about, as it is in this transaction."""
    active_holds = _in_force(connection.execute(_query()).all())
    return and_(true(), *(_COLUMNS[active_hold.by] != active_hold.value for active_hold in active_holds))


def _query() -> Any:
    return select(events).where(events.c.kind.in_(("hold", "release"))).order_by(events.c.sequence)


def _in_force(rows: Any) -> list[Hold]:
    active_holds: dict[str, Hold] = {}
    for row in rows:
        detail = orjson.loads(row.detail)
        if row.kind == "release":
            active_holds.pop(detail["hold"], None)
        else:
            at = datetime.fromtimestamp(row.at / 1e6, UTC)
            active_holds[detail["hold"]] = Hold(
                detail["hold"], detail["by"], detail["value"], detail["why"], row.actor, at
            )
    return list(active_holds.values())
