"""Which checks exist for each drug and test, for the start page, and for what a decision was about, for its page.

The drugs of a decision are read from its recorded drafts by the code that judged them, so that route and form count.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from cards.rules.engine.coverage import CHECKS, checks_by_name, drug_coverage, study_coverage
from cards.rules.engine.rule_book import rule_book
from cards.rules.patient.orders import DraftOrder, read_drafts
from cards.rules.patient.session import PatientSession
from fhir.record.datatypes import plain
from fhir.record.record import read_record

_NOBODY = read_record({}, "nobody", datetime(2000, 1, 1, tzinfo=UTC))


class CoverageRow(Struct, frozen=True):
    """Drugs or tests with the same checks: which exist, which do not, and their names."""

    checks: tuple[str, ...]
    lacks: tuple[str, ...]
    names: tuple[str, ...]


class CoverageTables(Struct, frozen=True):
    """The drugs and the orders of the tables, alike ones in one row, the most checks first."""

    drugs: tuple[CoverageRow, ...]
    orders: tuple[CoverageRow, ...]
    counts: tuple[tuple[str, int], ...]
    """Each check with the number of drugs that it exists for."""


class OrderCoverage(Struct, frozen=True):
    """A drafted drug or test of a decision: its name, the checks that exist for it and those that do not."""

    name: str
    checks: tuple[str, ...]
    lacks: tuple[str, ...]


@cache
def coverage_tables() -> CoverageTables:
    """Return every drug and every test of the tables; computed once, because the rules do not change in a process."""
    drugs = drug_coverage(rule_book().rules)
    orders = study_coverage(rule_book().rules)
    return CoverageTables(
        _rows((tuple(drug.checks), drug.name) for drug in drugs),
        _rows((tuple(order.checks), f"{order.words} ({len(order.loincs)} LOINC codes)") for order in orders),
        tuple((check, sum(check in drug.checks for drug in drugs)) for check in CHECKS),
    )


def _rows(texts: Iterable[tuple[tuple[str, ...], str]]) -> tuple[CoverageRow, ...]:
    alike: dict[tuple[str, ...], list[str]] = {}
    for checks, name in texts:
        alike.setdefault(checks, []).append(name)
    ordered = sorted(alike.items(), key=lambda entry: (-len(entry[0]), entry[0]))
    return tuple(CoverageRow(checks, _without(checks), tuple(names)) for checks, names in ordered)


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
