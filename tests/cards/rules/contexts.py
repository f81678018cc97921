"""A drafted drug of one small patient as the conditions and placeholders of a rule see it."""

from datetime import UTC, datetime
from typing import Any

from cards.rules.patient.context import RuleContext
from cards.rules.patient.session import PatientSession
from tests.cards.rules.patients import draft_of, drafts_of, record_of

Json = dict[str, Any]
AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def context_of(draft: Json, *others: Json, **patient: Any) -> RuleContext:
    """The context of the first draft, as if a rule stood before each of the other drafts in turn, the first first."""
    resources = [draft_of(entry, f"draft-{number}") for number, entry in enumerate((draft, *others))]
    session = PatientSession(record_of(patient, AS_OF), drafts_of(*resources), signing=True)
    drafted = session.drafted[0]
    rxcuis = [rxcui for other in session.drafted[1:] for rxcui in other.medication.rxcuis]
    partners = session.medications_beside(drafted, tuple(rxcuis)) if rxcuis else []
    return RuleContext(session, drafted, drafted.medication.ingredients[0], partners=tuple(partners))
