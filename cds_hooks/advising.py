"""What the services of published equations have in common: who is asked, one card, or the reason for none."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cards.card import Card
from cards.compose_equation import Naming, Offer, Said, equation_card, missing_card
from cards.orderable_tests import OrderableTest, is_ordered, order_of_test, the_test_for
from cards.rules.finding import Silence
from cds_hooks.service import Advice, Situation
from cds_hooks.storage.identifiers import suggestion_uuid
from fhir.mapping.condition_groups import has_group
from fhir.mapping.conditions import has_condition
from fhir.mapping.stay import is_inpatient
from fhir.record.record import PatientRecord
from fhir.record.resources import CodeableConcept
from fhir.record.time import FhirTime, parse_time
from models_onnx.calculation.calculate import Result
from models_onnx.calculation.chart import Charted
from models_onnx.calculation.compiled import confirmed
from models_onnx.calculation.declaration import Equation
from models_onnx.calculation.errors import EquationRefused
from models_onnx.calculation.identity import reference_of, reference_to

_PALLIATIVE_WORDS = ("hospice", "palliative care")
_A_YEAR_DAYS = 365
# FHIR R4 request-status and event-status: asked for, under way or done.
_NOT_ASKED_FOR = frozenset({"revoked", "cancelled", "entered-in-error", "unknown", "not-done", "draft"})


@dataclass(frozen=True, slots=True)
class Question:
    """What one service asks: from when on it speaks, in which words, and in which it asks for what is missing."""

    output: str
    reaches: Callable[[Result], bool]
    below: str
    said: Callable[[Charted, Result], Said]
    asks: Callable[[Charted, OrderableTest], Said] | None = None
    """None where nothing that is missing can be ordered."""


def answer(situation: Situation, charted: Charted, question: Question) -> Advice:
    """One card where the result reaches what the service speaks from; else the reason, or the test that is missing."""
    equation = charted.equation
    advice = Advice(features=charted.vector, models=(reference_to(equation, question.output),))
    try:
        result = confirmed(charted.calculate(question.output))
    except EquationRefused as refused:
        card = _asking(situation, charted, question) if refused.reason == "input-missing" else None
        if card is not None:
            advice.cards.append(card)
        else:
            advice.silences.append(Silence(equation.id, refused.reason, refused.text))
        return advice
    advice.scores = _scores(result)
    if question.reaches(result):
        advice.cards.append(
            equation_card(charted, result, question.said(charted, result), _naming(situation, equation))
        )
    else:
        advice.silences.append(Silence(equation.id, "below-threshold", question.below))
    return advice


def silent(subject: str, reason: str, text: str) -> Advice:
    """No card, and why."""
    return Advice(silences=[Silence(subject, reason, text)])


def nobody_to_advise(record: PatientRecord, subject: str, *, at_home: bool = True) -> Advice | None:
    """Why this patient gets no such advice: died, in palliative care, or (`at_home`) in hospital; None otherwise."""
    if record.deceased:
        return silent(subject, "deceased", "The patient has died.")
    if has_condition(record, "palliative_or_hospice") or has_group(record, "palliative_or_dnr"):
        return silent(subject, "palliative", "Palliative care is on record: nothing is said.")
    if (cared := named_in_chart(record, _PALLIATIVE_WORDS, _A_YEAR_DAYS)) is not None:
        return silent(subject, "palliative", f"Palliative care is on the chart ({cared}): nothing is said.")
    if at_home and is_inpatient(record):
        return silent(subject, "outside-population", "The patient is in hospital now; this is for people at home.")
    return None


def named_in_chart(record: PatientRecord, words: tuple[str, ...], within_days: float) -> str | None:
    """The order, procedure or visit of the last days whose words hold one of these; its Type/id, else None."""
    for source, concept, time in _things_done(record):
        text = " ".join([concept.text or "", *(coding.display or "" for coding in concept.coding)]).lower()
        is_recent = time is None or (not time.is_after(record.as_of_epoch) and _age(time, record) <= within_days)
        if is_recent and any(word in text for word in words):
            return source
    return None


def offer_of(test: OrderableTest, situation: Situation) -> Offer:
    """The test as an option."""
    order = order_of_test(test, situation.record.patient_id, today(situation))
    return Offer(f"Order {test.words}", f"Draft order: {test.name}.", order)


def today(situation: Situation) -> str:
    """The date on which something is drafted."""
    return situation.record.as_of.date().isoformat()


def talk_planned(record: PatientRecord, subject: str, talk: str) -> Advice | None:
    """Why the talk is not suggested again: within a year it was ordered in the words of our own draft; else None."""
    planned = named_in_chart(record, (talk.lower(),), _A_YEAR_DAYS)
    return None if planned is None else silent(subject, "already-done", f"The talk is planned or was held ({planned}).")


def _things_done(record: PatientRecord) -> Iterator[tuple[str, CodeableConcept, FhirTime | None]]:
    for request in record.service_requests:
        if request.status not in _NOT_ASKED_FOR and request.doNotPerform is not True and request.code is not None:
            yield f"ServiceRequest/{request.id}", request.code, parse_time(request.authoredOn or "")
    for procedure in record.procedures:
        if procedure.status not in _NOT_ASKED_FOR and procedure.code is not None:
            period = procedure.performedPeriod
            when = procedure.performedDateTime or (period.start if period is not None else None)
            yield f"Procedure/{procedure.id}", procedure.code, parse_time(when or "")
    for encounter in record.encounters:
        start = parse_time(encounter.period.start or "") if encounter.period is not None else None
        for concept in encounter.type:
            yield f"Encounter/{encounter.id}", concept, start


def _age(time: FhirTime, record: PatientRecord) -> float:
    return time.age_days(record.as_of_epoch)


def _asking(situation: Situation, charted: Charted, question: Question) -> Card | None:
    """The card that offers the one test that would settle it; None where more is missing, or it is ordered."""
    lacking = charted.lacks(question.output)
    test = the_test_for(lacking)
    if (
        test is None
        or question.asks is None
        or is_ordered(situation.record, test)
        or not charted.might(question.output, question.reaches)
    ):
        return None
    said = question.asks(charted, test)
    return missing_card(charted.equation, question.output, said, _naming(situation, charted.equation), lacking)


def _naming(situation: Situation, equation: Equation) -> Naming:
    uuid = situation.card_uuid()
    page = situation.equation_url(equation.id)
    return Naming(uuid, lambda number: suggestion_uuid(uuid, number), situation.explain_url, page)


def _scores(result: Result) -> dict[str, Any]:
    working = result.working
    return {
        **reference_of(result),
        "output": result.output.id,
        "value": result.value,
        "link": working.link,
        "base": working.base,
        "parts": {part.input: part.contribution for part in working.contributions},
    }
