"""Which checks exist for the drafts that a decision was about, for its page.

The drugs of a decision are read from its recorded drafts by the code that judged them, so that route and form count.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from cards.rules.engine.coverage import CHECKS, checks_by_name
from cards.rules.engine.rule_book import rule_book
from cards.rules.patient.orders import DraftOrder, read_drafts
from cards.rules.patient.session import PatientSession
from fhir.record.datatypes import plain
from fhir.record.record import read_record

_NOBODY = read_record({}, "nobody", datetime(2000, 1, 1, tzinfo=UTC))


class OrderCoverage(Struct, frozen=True):
    """A drafted drug or test of a decision: its name, the checks that exist for it and those that do not."""

    name: str
    checks: tuple[str, ...]
    lacks: tuple[str, ...]


def _without(checks: Iterable[str]) -> tuple[str, ...]:
    there = set(checks)
    return tuple(check for check in CHECKS if check not in there)


def coverage_of_orders(orders: Any) -> tuple[OrderCoverage, ...]:
    """The coverage of each recorded draft that was judged, in its order; nothing where a decision has no drafts."""
    drafts = _drafts(orders)
    if not drafts:
        return ()
    session = PatientSession(_NOBODY, drafts)
    covered = [
        OrderCoverage(plain(drafted.medication.name, 80), tuple(checks), _without(checks))
        for drafted in (*session.drafted, *session.studies)
        for checks in (checks_by_name(entry.rule for entry in rule_book().rules_for(drafted.medication)),)
        if drafted.medication.recognised
    ]
    return tuple(dict.fromkeys(covered))


def _drafts(orders: Any) -> list[DraftOrder]:
    """Return the drafts of a record that were judged, and the products among them."""
    if not isinstance(orders, dict):
        return []
    bundle, judged = orders.get("drafts"), orders.get("judged")
    entries = bundle.get("entry") if isinstance(bundle, dict) else None
    if isinstance(bundle, dict) and entries is None and "resourceType" in bundle:
        entries = [{"resource": bundle}]
    drafts = read_drafts(entries) if isinstance(entries, list) else []
    if not isinstance(judged, list):
        return drafts
    return [draft for draft in drafts if draft.kind == "Medication" or draft.is_named(judged)]


def read_orders(raw: msgspec.Raw) -> Any:
    """Return the recorded orders as JSON; None where there are none."""
    return msgspec.json.decode(raw) if raw else None
