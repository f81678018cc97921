"""Asks all order rules about what no clinician drafts: an order that a service proposes, and what is taken already."""

from collections.abc import Iterable, Iterator
from typing import Any

from cards.card import SEVERITY
from cards.rules.engine.finding import Finding, merge_repeated_findings
from cards.rules.engine.rule_book import MISSING, RuleBook, rule_book
from cards.rules.patient.orders import DraftMedication, DraftOrder, read_draft
from cards.rules.patient.session import PatientSession
from fhir.record.record import PatientRecord


def objections_to(record: PatientRecord, order: dict[str, Any], book: RuleBook | None = None) -> tuple[Finding, ...]:
    """The warnings about an order (a MedicationRequest) that a service is about to propose to this patient.

    Raises:
        ValueError: the order names no medication that is recognised, so that nothing can be said of it.
    """
    session = PatientSession(record, [read_draft(order)], signing=True)
    if not session.drafted or not session.drafted[0].medication.recognised:
        raise ValueError("The proposed order names no medication that is recognised.")
    findings = (book or rule_book()).evaluate(session, session.drafted[0]).findings
    return tuple(finding for finding in findings if _warns(finding))


def findings_of_taken(
    record: PatientRecord, medications: Iterable[DraftOrder], book: RuleBook | None = None
) -> Iterator[tuple[DraftMedication, tuple[Finding, ...]]]:
    """The warnings about each medication that is taken, as signing an order of it today would find them.

    `medications` are what is taken, each as an order (cds_hooks/services/_current_medications.py). What two of them do
    together is told of one of them; what is only asked for because it is missing is left out.
    """
    session = PatientSession(record, medications, signing=True, active_orders=True)
    judged = [drafted for drafted in session.drafted if drafted.medication.recognised]
    rules = book or rule_book()
    warnings = [
        (drafted.draft.name, [finding for finding in rules.evaluate(session, drafted).findings if _warns(finding)])
        for drafted in judged
    ]
    kept_findings, _ = merge_repeated_findings(warnings)
    yield from ((drafted, tuple(findings)) for drafted, findings in zip(judged, kept_findings, strict=True) if findings)


def _warns(finding: Finding) -> bool:
    return finding.band != MISSING and SEVERITY[finding.indicator] >= SEVERITY["warning"]
