"""What happened after a decision: stored beside feedback, as rows that are only ever added.

Three kinds of rows:

- `event`: whether what a model predicted happened. `subject` is the model's id, `value` yes, no, or unknown (taken
  back), `happened` when it happened or until when the patient was followed.
- `order`: what was done with an order after a card. `subject` is the uuid of the card or the suggestion, `value`
  accepted, changed, still-ordered or withdrawn.
- `complete`: the client has sent every event up to a day. `subject` is the event, `value` the day; it belongs to no
  decision.

A correction is a new row with the next version; the newest version counts, and the older ones stay.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import URL, Connection, and_, select

from cds_hooks.evidence.storage.chain import add_rows, wait_for_turn
from cds_hooks.evidence.storage.database import DATABASE_ERRORS, database_error_reason, engine_for
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.queries import read_rows
from cds_hooks.evidence.storage.tables import outcomes

Kind = Literal["event", "order", "complete"]
Source = Literal["api", "csv"]
_AT_ONCE: Final = 500

Key = tuple[str, str, str]
"""Decision (for `complete` the client), kind and subject: what the versions of one outcome have in common."""


class Outcome(Struct, frozen=True, gc=False):
    """One row. `happened`: RFC 3339, a day or an instant in UTC; `received_at`: microseconds since 1970-01-01 UTC."""

    decision: str | None
    service: str
    client: str
    kind: Kind
    subject: str
    value: str
    happened: str | None
    source: Source
    received_at: int
    version: int = 0
    """From 1; 0 where it is not stored yet."""

    @property
    def key(self) -> Key:
        """What its versions have in common."""
        return (self.decision or self.client, self.kind, self.subject)


_COLUMNS: Final = [outcomes.c[field.name] for field in msgspec.structs.fields(Outcome)]


def store_outcomes(url: URL, items: Sequence[Outcome]) -> list[Outcome]:
    """Store all items or none, and return the new ones with their versions.

    An item that says what the newest version says already is not new.

    Raises:
        RecordUnavailable: They could not be stored.
    """
    new = list[Outcome]()
    try:
        with engine_for(url).begin() as connection:
            wait_for_turn(connection)
            newest = _newest(connection, items)
            for item in items:
                before = newest.get(item.key)
                if before is not None and (before.value, before.happened) == (item.value, item.happened):
                    continue
                item = msgspec.structs.replace(item, version=before.version + 1 if before else 1)
                newest[item.key] = item
                new.append(item)
            add_rows(connection, outcomes, [msgspec.structs.asdict(item) for item in new])
            return new
    except DATABASE_ERRORS as error:
        raise RecordUnavailable(f"outcomes cannot be stored: {database_error_reason(error)}") from error


def _newest(connection: Connection, items: Sequence[Outcome]) -> dict[Key, Outcome]:
    """Return the newest stored version of what these items are about."""
    newest: dict[Key, Outcome] = {}
    ids = sorted({item.decision for item in items if item.decision is not None})
    for some in _parts(ids):
        _keep_newest(newest, connection.execute(select(*_COLUMNS).where(outcomes.c.decision.in_(some))).all())
    clients = {item.client for item in items if item.kind == "complete"}
    for client in sorted(clients):
        of_client = and_(outcomes.c.kind == "complete", outcomes.c.client == client)
        _keep_newest(newest, connection.execute(select(*_COLUMNS).where(of_client)).all())
    return newest


def _keep_newest(newest: dict[Key, Outcome], rows: Iterable[Any]) -> None:
    for row in rows:
        item = Outcome(*row)
        if item.key not in newest or newest[item.key].version < item.version:
            newest[item.key] = item


def newest_outcomes(url: str, ids: Collection[str]) -> dict[Key, Outcome]:
    """Return the newest version of each outcome of these decisions.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    newest: dict[Key, Outcome] = {}
    for some in _parts(sorted(ids)):
        _keep_newest(newest, read_rows(url, select(*_COLUMNS).where(outcomes.c.decision.in_(some))))
    return newest


def outcomes_of(url: str, decision: str) -> list[Outcome]:
    """Return every version of every outcome of a decision, in the order in which they arrived."""
    query = select(*_COLUMNS).where(outcomes.c.decision == decision).order_by(outcomes.c.sequence)
    return [Outcome(*row) for row in read_rows(url, query)]


def completed(url: str) -> dict[tuple[str, str], str]:
    """By client and event the day up to which the client says that it has sent every one.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    query = select(*_COLUMNS).where(outcomes.c.kind == "complete").order_by(outcomes.c.sequence)
    return {(row.client, row.subject): row.value for row in read_rows(url, query)}


def _parts(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
