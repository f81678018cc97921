"""A drafted drug or study of one small patient as the conditions and placeholders of a rule see it."""

from datetime import UTC, datetime
from typing import Any

from cards.extension import Fact
from cards.rules.conditions.condition import Predicate, common_vocabulary
from cards.rules.engine.family import Family
from cards.rules.patient.context import RuleContext
from cards.rules.patient.session import PatientSession
from tests.cards.rules.patients import draft_of, drafts_of, record_of

Json = dict[str, Any]
AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def context_of(draft: Json, *others: Json, **patient: Any) -> RuleContext:
    """The context of the first draft, as if a rule stood before each of the other drafts in turn, the first first."""
    session = session_of(draft, *others, **patient)
    drafted = session.drafted[0]
    rxcuis = [rxcui for other in session.drafted[1:] for rxcui in other.medication.rxcuis]
    partners = session.medications_beside(drafted, tuple(rxcuis)) if rxcuis else []
    return RuleContext(session, drafted, drafted.medication.ingredients[0], partners=tuple(partners))


def session_of(*drafts: Json, **patient: Any) -> PatientSession:
    """The session of these drafts, which are called draft-0, draft-1 and so on."""
    resources = [draft_of(entry, f"draft-{number}") for number, entry in enumerate(drafts)]
    return PatientSession(record_of(patient, AS_OF), drafts_of(*resources), signing=True)


def predicate_of(spec: Json, family: Family | None = None) -> Predicate:
    """The condition, in the words that all families share and those of the family."""
    words = common_vocabulary() if family is None else common_vocabulary().extended(family.conditions)
    return words.compile(spec)


def answer(spec: Json, context: RuleContext, family: Family | None = None) -> bool | None:
    """What the condition says of the context."""
    return predicate_of(spec, family).test(context)


def told(spec: Json, context: RuleContext, family: Family | None = None) -> list[Fact]:
    """The facts that the condition rests on."""
    return predicate_of(spec, family).facts(context)
