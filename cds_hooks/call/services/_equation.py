"""What the services of published equations share: who gets no advice, one card, or the reason for none."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from cards.card import CardText, Suggestion, order_suggestion
from cards.compose.equation import equation_card, for_each_sex, guideline_card, missing_card
from cards.extension import Fact, WorklistEntry
from cards.new_orders import is_ordered, order_of_test, orderable_test_for, service_order
from cards.text import plain
from cds_hooks.call.hold_back.visit import VisitRank
from cds_hooks.call.services._exclusions import words_of_concept
from cds_hooks.call.services._service import Advice, ServiceInput
from fhir.mapping.conditions import ConditionHit
from fhir.mapping.kidney import charted_sex_note
from fhir.mapping.stays import is_left_open
from fhir.mapping.study_words import OrderableTest
from fhir.record.facts import VISIT_CLASSES
from fhir.record.refusals import WhyNot
from fhir.record.resources import Encounter
from models_onnx.equations.calculate import EquationResult, RecordInputs
from models_onnx.equations.declaration import equation_reference
from models_onnx.errors import EquationRefused

# HL7 v3 ActCode: ambulatory, virtual, at home; FHIR R4 encounter-status.
_AMBULATORY = frozenset({"AMB", "VR", "HH"})
_VISIT_GOES_ON = frozenset({"arrived", "triaged", "in-progress"})
_WHO_ORDERS = ("Practitioner/", "PractitionerRole/")


class EquationQuestion(Struct, frozen=True):
    """What a service wants to know from an equation: which output, from which result on it shows a card, and its texts.

    `below` is the reason where the result does not reach it.
    """

    output: str
    shown_from: float | frozenset[str]
    below: str
    text: Callable[[EquationResult], CardText]
    text_for_missing: Callable[[RecordInputs, OrderableTest], CardText] | None = None
    """None where nothing that is missing can be ordered."""

    def reaches(self, result: EquationResult) -> bool:
        """Whether a card is shown: the number is that high, or its band is one of these."""
        shown_from = self.shown_from
        return result.number >= shown_from if isinstance(shown_from, float) else result.band_id in shown_from


def advise_by_equation(call: ServiceInput, charted: RecordInputs, question: EquationQuestion) -> Advice:
    """One card where the result reaches the service's threshold, or where one missing test could show that it does.

    Otherwise the reason for no card.
    """
    equation = charted.equation
    advice = Advice(features=charted.vector, models=(equation_reference(equation),))
    try:
        result = charted.calculate(question.output)
    except EquationRefused as refused:
        both = charted.of_each_sex(call.record, question.output)
        if both:
            return _advise_for_each_sex(call, both, question, advice)
        lacking = charted.missing_inputs(question.output) if refused.reason == "input-missing" else ()
        test = _test_that_settles(call, charted, question, lacking)
        if test is None or question.text_for_missing is None:
            why = " ".join(dict.fromkeys(charted.missing[name].text for name in lacking))
            text = refused.text if len(lacking) < 2 else f"{equation.title} cannot be worked out. {why}"
            advice.silences.append(WhyNot(equation.id, refused.reason, text))
            return advice
        entry = WorklistEntry(test=test.name, code=test.loinc, purpose=equation.id, because="no-visit")
        if is_visit(call):
            card_text = replace(question.text_for_missing(charted, test), offers=(offer_of_test(call, test),))
            identity = call.card_identity(call.equation_url(equation.id))
            card = missing_card(equation, card_text, identity, lacking)
            advice.add(card, reminder=entry, rank=VisitRank.TESTS)
        else:
            why = "this call does not come from an ambulatory visit"
            advice.worklist.append(entry)
            advice.silences.append(
                WhyNot(equation.id, "worklist", f"{entry.test}: kept for the worklist, because {why}.")
            )
        return advice
    advice.scores = scores_of_equation(result)
    if question.reaches(result):
        card_text = question.text(result)
        if "sex" in charted.given and (note := charted_sex_note(call.record)):
            card_text = replace(card_text, opening=f"{card_text.opening} {note}")
        _add_card(advice, call, charted, result, card_text)
    else:
        advice.silences.append(WhyNot(equation.id, "below-threshold", question.below))
    return advice


def _add_card(
    advice: Advice, call: ServiceInput, charted: RecordInputs, result: EquationResult, text: CardText
) -> None:
    identity = call.card_identity(call.equation_url(result.equation.id))
    card = partial(equation_card, charted, result, text, identity)
    advice.add(card(), shorten=partial(card, is_brief=True))


def _advise_for_each_sex(
    call: ServiceInput, both: tuple[RecordInputs, ...], question: EquationQuestion, advice: Advice
) -> Advice:
    """One card where the result of a woman and that of a man lead to it, which is worked out for the lower one.

    The record of the decision has the numbers of both.
    """
    equation = both[0].equation
    try:
        results = [inputs.calculate(question.output) for inputs in both]
    except EquationRefused as refused:
        advice.silences.append(WhyNot(equation.id, refused.reason, refused.text))
        return advice
    lower = 0 if results[0].number <= results[1].number else 1
    charted, result = both[lower], results[lower]
    advice.scores = {**scores_of_equation(result), "of_the_other_sex": scores_of_equation(results[1 - lower])}
    woman, man = map(_number_in_words, results)
    in_words = f"{woman} as a woman and {man} as a man"
    reached = [question.reaches(result) for result in results]
    if all(reached):
        texts = list(map(question.text, results))
        _add_card(advice, call, charted, result, for_each_sex(texts[lower], texts[1 - lower], in_words))
    elif any(reached):
        text = f"{equation.title}: {in_words}. The sex is not recorded, and it decides whether a card is shown."
        advice.silences.append(WhyNot(equation.id, "input-missing", text))
    else:
        advice.silences.append(WhyNot(equation.id, "below-threshold", f"{question.below} The sex is not recorded."))
    return advice


def _number_in_words(result: EquationResult) -> str:
    if result.output.kind == "probability":
        return f"{100 * result.number:.1f} %"
    return f"{result.number:.{result.output.decimals}f}"


def advise_by_guideline(call: ServiceInput, text: CardText) -> Advice:
    """Return the one card of an indication that needs no score."""
    card = guideline_card(text, call.card_identity())
    facts = {fact.name: fact.value for fact in text.facts}
    advice = Advice(scores={"guideline": card.source.label, "indication": text.about, "facts": facts})
    advice.add(card)
    return advice


def fact_of_condition(name: str, hit: ConditionHit) -> Fact:
    """Return a condition of the chart as a fact of a card: its words, its date, its resource."""
    return Fact(
        name=name,
        value=plain(hit.words, 80),
        effective=hit.time.text if hit.time else None,
        source=hit.source,
    )


def is_visit(call: ServiceInput) -> bool:
    """Whether a practitioner calls within an ambulatory visit: the moment at which a test can be ordered.

    The visit is the encounter of the call's context, else one that goes on now.
    """
    user, encounter_id = call.request.context.user_id or "", call.request.context.encounter_id
    if not user.startswith(_WHO_ORDERS):
        return False
    visits = [visit for visit in call.record.facts(Encounter) if _is_ambulatory(visit)]
    return any(visit.id == encounter_id if encounter_id else _goes_on(visit, call) for visit in visits)


def _is_ambulatory(visit: Encounter) -> bool:
    return visit.class_code in _AMBULATORY


def _goes_on(visit: Encounter, call: ServiceInput) -> bool:
    return visit.status in _VISIT_GOES_ON and not is_left_open(visit, call.record.as_of_epoch)


def is_moment_for_review(call: ServiceInput) -> bool:
    """Whether what a chart holds can be reviewed: a practitioner calls, and not during a stay or an emergency.

    The encounter of the call's context decides where the chart has it, else those that go on now.
    """
    if not (call.request.context.user_id or "").startswith(_WHO_ORDERS):
        return False
    return all(map(_is_ambulatory, _visits_now(call)))


def is_moment_for_reminder(call: ServiceInput) -> bool:
    """Whether a reminder (vaccines, preventive services) has its place: a practitioner calls in an ambulatory visit.

    A chart whose visits are all over is only looked into. Where the chart has no visit at all, nobody can know whether
    one goes on: a reminder has its place then.
    """
    has_other_purpose = not is_check_up(call) and any(map(_OTHER_PURPOSE.search, _purposes(call)))
    return not has_other_purpose and is_moment_for_talk(call)


def is_moment_for_talk(call: ServiceInput) -> bool:
    """Whether the patient may be there to talk with: a practitioner calls, and the visits are not all over."""
    is_looked_into = not (_visits_now(call) or call.request.context.encounter_id) and bool(_charted_visits(call))
    return not is_looked_into and is_moment_for_review(call)


# SNOMED CT: general examination of patient, check-up, well child visit. CPT 99381 to 99397: preventive visits. HCPCS
# G0438, G0439: annual wellness visits. ICD-10-CM Z00: general examination.
_CHECK_UP = re.compile(
    r"check-?\s?up|annual|wellness|well[ -](?:child|adult|wom[ae]n|baby|visit)|preventive|physical exam|general exam"
    r"|general medical exam|health maintenance"
    r"|\|(?:162673000|185349003|410620009|9938[1-7]|9939[1-7]|G043[89]|Z00\.?\w{0,4}) ",
    re.IGNORECASE,
)
_OTHER_PURPOSE = re.compile(
    r"problem|urgent|emergency|symptom|\bsick\b|\bacute|procedure\b(?!\))|surg|dialysis|chemo|infusion|transfusion"
    r"|natal\b|obstetric|hospice|consult|telephone|laborator|injection|therap|follow[ -]up|hospital|dental|death"
    r"|rehabilit|psych|ache\b|\b(?:injur|sprain|strain|fractur|wound|lacerat|burns?\b|pain|sore\b|fever|cough|vomit|diarrh|rash)",
    re.IGNORECASE,
)


def is_check_up(call: ServiceInput) -> bool:
    """Whether the visit is for prevention, by its type, its service or its reason."""
    return any(map(_CHECK_UP.search, _purposes(call)))


def _purposes(call: ServiceInput) -> list[str]:
    """Return what the visits that go on now are for, in the words and codes of the chart."""
    concepts = (
        concept
        for visit in _visits_now(call)
        for concept in (*visit.type, *visit.reasonCode, *((visit.serviceType,) if visit.serviceType else ()))
    )
    return [words_of_concept(concept) for concept in concepts]


def _charted_visits(call: ServiceInput) -> list[Encounter]:
    """Return the visits of which the chart says of what kind they are."""
    return [visit for visit in call.record.facts(Encounter) if visit.class_code in VISIT_CLASSES]


def _visits_now(call: ServiceInput) -> list[Encounter]:
    """Return the visit of the call's context where the chart has it, else those that go on now."""
    charted, encounter_id = _charted_visits(call), call.request.context.encounter_id
    of_context = [visit for visit in charted if visit.id == encounter_id]
    return of_context or [visit for visit in charted if _goes_on(visit, call)]


def kept_for_worklist(call: ServiceInput, subject: str) -> WhyNot:
    """Why a reminder is not shown where it has no place: what is due stands in the worklist."""
    why = "this call does not come from a practitioner during an ambulatory visit"
    if is_moment_for_talk(call):
        why = "this visit is for another purpose"
    return WhyNot(subject, "worklist", f"Kept for the worklist, because {why}.")


def offer(call: ServiceInput, label: str, description: str, order: str, **more: Any) -> Suggestion:
    """Return an option that drafts an order of a service in words: a talk, a visit, a referral."""
    return order_suggestion(label, description, service_order(order, call.record.patient_id, today(call), **more))


def offer_of_test(
    call: ServiceInput, test: OrderableTest, label: str = "", description: str = "Draft order."
) -> Suggestion:
    """Return an option that drafts the order of the test."""
    order = order_of_test(test, call.record.patient_id, today(call))
    return order_suggestion(label or f"Order {test.words}", description, order)


def today(call: ServiceInput) -> str:
    """Return the date on which something is drafted."""
    return call.record.as_of.date().isoformat()


def _test_that_settles(
    call: ServiceInput, charted: RecordInputs, question: EquationQuestion, lacking: tuple[str, ...]
) -> OrderableTest | None:
    """Return the one test that would settle it; None where more is missing, or it is ordered."""
    test = orderable_test_for(lacking)
    if test is None or is_ordered(call.record, test) or not charted.could_reach(question.output, question.reaches):
        return None
    return test


def scores_of_equation(result: EquationResult) -> dict[str, Any]:
    """Return what an equation computed, for the decision record."""
    working = result.working
    return {
        **equation_reference(result.equation),
        "output": result.output.id,
        "value": result.value,
        "link": working.link,
        "base": working.base,
        "parts": {part.input: part.contribution for part in working.contributions},
    }
