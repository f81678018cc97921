"""What the patient goes home with: the rules for orders over the active medications.

A planning estimate has no place here: its population lives at home (models_onnx/models/mortality_5y.py). What can be
decided at discharge with available sources is the dose of what goes home, by the kidney function of this stay.
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import timedelta
from itertools import compress, groupby
from typing import Any, Final, TypeAlias

from msgspec import structs

from cards.card import HEADLINE_LENGTH, SEVERITY, TOPICS, Action, Card, CardText, Source
from cards.compose.equation import guideline_card
from cards.compose.preventive import results_card
from cards.extension import Fact
from cards.preventive.abnormal import FollowUp, missing_at_home, open_results
from cards.preventive.abnormal_rows import ABNORMAL_RESULTS, AbnormalResult
from cards.preventive.chart import cultures_under_way, marked_critical
from cards.preventive.entries import Done
from cards.rules.engine.rule_book import rule_book
from cards.rules.patient.orders import DraftOrder, read_draft
from cards.text import capitalized, escape, plain
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import ENCOUNTER_DISCHARGE, EncounterDischargeContext
from cds_hooks.call.protocol.originals import OriginalOrders
from cds_hooks.call.services._anticoagulation import NO_TALK, very_low
from cds_hooks.call.services._current_medications import taken_medications
from cds_hooks.call.services._exclusions import PALLIATIVE, first_reason
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput
from fhir.mapping.conditions import ConditionHit, find_condition
from fhir.mapping.medications.active import ActiveMedication, held_medications
from fhir.mapping.medications.identity import MedicationIdentity, identify
from fhir.mapping.stays import discharge_destination
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot
from fhir.record.repair import objects_in
from fhir.record.resources import MedicationRequest, MedicationStatement
from models_onnx.equations.calculate import features_of, inputs_from_record
from models_onnx.equations.declaration import get_equation
from models_onnx.errors import EquationRefused

NEEDS = rule_book().needs
CHA2DS2_VASC: Final = get_equation("cha2ds2_vasc")
_NOT_READ = frozenset({"Device"})  # only rules about imaging ask for implants
# FHIR R4, value set medicationrequest-category: what is only `inpatient` ends with the stay.
CATEGORIES: Final = "http://terminology.hl7.org/CodeSystem/medicationrequest-category"
_COMFORT: Final = "Palliative care or discharge to a hospice is on record: only critical findings are shown."
_COMFORT_RESULT: Final = "Palliative care or discharge to a hospice is on record: an abnormal result is not shown."
_Active: TypeAlias = tuple[ActiveMedication, DraftOrder]
"""An active order: what it is, and the client's own JSON of it where that came with the call."""
_AT_HOME: Final = frozenset({"discharge", "community", "outpatient"})


def find(call: ServiceInput) -> Advice:
    """One card for each order that goes home and has a finding, and a reason for everything that says nothing."""
    record = call.record
    destination = discharge_destination(record)
    ends_in = destination[0].key if destination is not None else ""
    if record.deceased or ends_in == "died":
        return Advice(silences=[WhyNot("patient", "deceased", "The patient has died.")])
    charted = OriginalOrders(call.sent)
    # What two drugs do together is told of the one by mouth: what is injected ends with the stay before that one does.
    active = sorted(_active_orders(call, charted), key=lambda order: order[0].identity.is_injected)
    call.require_at_most(active, "prefetch.medications")
    judged = [(medication, draft) for medication, draft in active if _goes_home(draft.resource)]
    drafts = [draft for _, draft in active]
    names = [draft.name for _, draft in judged]
    advice, judged_drafts = call.advise_on_orders(drafts, names, signing=True, active_orders=True, originals=charted)
    is_for_comfort = PALLIATIVE.find(record) is not None or ends_in == "hospice"
    if is_for_comfort:
        milder = [card.indicator != "critical" for card in advice.cards]
        held = compress(judged_drafts, milder)
        advice.silences += [WhyNot(drafted.medication.name, "palliative", _COMFORT) for drafted in held]
    shown = (card for card in advice.cards if not is_for_comfort or card.indicator == "critical")
    advice.cards = [_at_discharge(card, call) for card in shown]
    results = list(_critical_results(record))
    if is_for_comfort:
        advice.silences += [WhyNot(result.row.id, "palliative", _COMFORT_RESULT) for result in results]
    else:
        advice.cards += _on_what_is_missing(call, judged, results)
    advice.silences += _not_judged(active, judged, call)
    advice.orders = {
        "drafts": {"resourceType": "Bundle", "entry": [{"resource": draft.resource} for draft in drafts]},
        "judged": names,
    }
    return advice


def _on_what_is_missing(call: ServiceInput, judged: list[_Active], results: list[FollowUp]) -> Iterator[Card]:
    """Yield what does not go home, the critical results that nothing has followed, and the cultures that are open."""
    record = call.record
    missing = missing_at_home(record, _going_home(record, judged))
    asked_for = ((row, disease) for row, disease in missing if _is_asked_for(row, record))
    for _, of_disease in groupby(asked_for, lambda pair: pair[0].screening):
        yield _omitted([*of_disease], call)
    if results:
        yield results_card(results, call.card_identity(), record.patient_id, record.as_of.date())
    told = {fact.source for result in results for fact in result.facts}
    yield from filter(None, [_cultures_not_final(call, told)])


def _critical_results(record: PatientRecord) -> Iterator[FollowUp]:
    """Yield what nothing has followed: results that a row or the laboratory calls critical, and rows of a discharge."""
    since = (record.as_of.date() - _LAST_DAYS).isoformat()
    marked = {entry.source for entry in record.derive(marked_critical)}
    for result in record.derive(open_results):
        row = result.row
        is_critical = row.indicator == "critical" or any(fact.source in marked for fact in result.facts)
        if row.discharge != "no" or (is_critical and (result.when >= since or row.settled_by_course)):
            yield structs.replace(result, text=row.needed_in_hospital or result.text)


# The active orders


def _active_orders(call: ServiceInput, charted: OriginalOrders) -> Iterator[_Active]:
    for medication, draft in taken_medications(call.record, charted):
        if isinstance(medication.order, MedicationRequest):
            read = read_draft(draft.resource).order or draft.read
            yield medication, structs.replace(draft, read=read, goes_home=_goes_home(draft.resource))


def _goes_home(resource: dict[str, Any]) -> bool:
    # Epic sends one concept where R4 has a list
    codings = [
        coding for concept in objects_in(resource.get("category")) for coding in objects_in(concept.get("coding"))
    ]
    codes = [coding.get("code") for coding in codings]
    return "inpatient" not in codes or any(code in codes for code in _AT_HOME)


def _not_judged(active: Iterable[_Active], judged: list[_Active], call: ServiceInput) -> Iterator[WhyNot]:
    names = {draft.name for _, draft in judged}
    for _, draft in active:
        if draft.name not in names:
            text = f"{draft.name} is ordered for the stay only and was not checked."
            yield WhyNot(draft.name, "inpatient-order", text)
    if not judged:
        yield WhyNot("medications", "nothing-to-judge", "No active medication order goes home: nothing was checked.")
    stated = len(call.record.facts(MedicationStatement))
    if stated:
        what = "1 medication is" if stated == 1 else f"{stated} medications are"
        yield WhyNot("statements", "stated-only", f"{what} taken but not ordered here, and not checked.")


# What does not go home

_LAST_DAYS: Final = timedelta(days=2)
"""So old a critical number is still told at discharge, the project's own choice; what a culture shows stays."""


def _going_home(record: PatientRecord, orders: Iterable[_Active]) -> list[MedicationIdentity]:
    """Return the medications that are ordered or stated."""
    stated = (identify(statement, record.medications) for statement in record.facts(MedicationStatement))
    return [*(medication.identity for medication, _ in orders), *stated]


def _omitted(missing: list[tuple[AbnormalResult, ConditionHit]], call: ServiceInput) -> Card:
    """Return what a disease asks for and does not go home with the patient."""
    row, disease = missing[0]
    words = plain(disease.words, 60)
    held = _held_anticoagulants(call.record) if row.on_hold else []
    act = row.title.format(held=capitalized(", ".join(plain(drug.name, 40) for drug in held)))
    headline = f": no {' and no '.join(row.missing for row, _ in missing)} ordered for home."
    headline += f" {act}" if len(words) + len(headline) + len(act) < HEADLINE_LENGTH else ""
    needed = row.needed.format(act="" if act in headline else f" {act}")
    card = _omission(
        call,
        about=row.screening,
        summary=f"{capitalized(plain(words, max(24, HEADLINE_LENGTH - len(headline))))}{headline}",
        opening=f"**{escape(words)}**{disease.in_brackets}: {needed}",
        guideline=Source(label=row.document, url=row.url),
        facts=(
            Fact("disease", text=words, source=disease.source),
            *(Fact("held", text=plain(drug.name, 40), source=drug.source) for drug in held),
        ),
    )
    return structs.replace(card, indicator=max((one.indicator for one, _ in missing), key=SEVERITY.__getitem__))


def _held_anticoagulants(record: PatientRecord) -> list[ActiveMedication]:
    """Return the anticoagulants by mouth that are on hold with a disease that asks for one."""
    is_asked_for = find_condition(record, "afib", "mechanical_valve", "vte") is not None
    return [drug for drug in held_medications(record) if is_asked_for and drug.identity.classes & {"doac", "vka"}]


def _is_asked_for(row: AbnormalResult, record: PatientRecord) -> bool:
    is_anticoagulant = "anticoagulant" in row.settled_by_medications
    is_held = bool(_held_anticoagulants(record))
    if is_anticoagulant and (is_held != row.on_hold or (very_low(record) and not row.on_hold)):
        return False
    return not row.by_score or (first_reason(NO_TALK, row.id, record) is None and _reaches_score(record))


def _reaches_score(record: PatientRecord) -> bool:
    try:
        return inputs_from_record(CHA2DS2_VASC, record).calculate("score").band_id == "treat"
    except EquationRefused:
        return False


def _cultures_not_final(call: ServiceInput, told: Collection[str | None]) -> Card | None:
    """Return the cultures that are open at discharge: without a result, or of blood with a positive first one."""
    found = (entry for entry in cultures_under_way(call.record) if entry.source not in told)
    cultures = [entry for entry in found if not entry.result or _is_positive_blood_culture(entry)]
    if not cultures:
        return None
    told_words = (plain(f"{entry.words}: {entry.result}".removesuffix(": "), 60) for entry in cultures)
    names = ", ".join(dict.fromkeys(told_words))
    return _omission(
        call,
        about="culture-not-final",
        summary=f"Not final at discharge: {plain(names, 70)}. Write who looks at the result.",
        opening=(
            f"**{escape(plain(names, 160))}**: no final result is on record. Of 2,033 results that came after the "
            "discharge 191 called for a possible action, and physicians were unaware of 65 of the 105 asked about."
        ),
        guideline=Source(label="Roy 2005", url="https://doi.org/10.7326/0003-4819-143-2-200507190-00011"),
        facts=tuple(Fact("culture", text=entry.words, source=entry.source) for entry in cultures),
    )


def _is_positive_blood_culture(entry: Done) -> bool:
    rows = (row for row in ABNORMAL_RESULTS.rows if entry.test == "blood_culture" and entry.test in row.tests)
    return any(row.finding_in(entry) is not None for row in rows)


def _omission(call: ServiceInput, **words: Any) -> Card:
    card_text = CardText(topic=TOPICS["discharge"], closing="", **words)
    return guideline_card(card_text, call.card_identity())


# The cards


def _at_discharge(card: Card, call: ServiceInput) -> Card:
    """Return the card of an order that goes home; what it offers anew is ordered here and now."""
    suggestions = (
        structs.replace(suggestion, actions=tuple(_ordered_now(action, call) for action in suggestion.actions))
        for suggestion in card.suggestions
    )
    return structs.replace(
        card,
        detail=(card.detail or "").replace("Cancel this order", "Stop this order").replace("cancel this", "stop this"),
        source=structs.replace(card.source, topic=TOPICS["discharge"]),
        suggestions=tuple(suggestions),
    )


def _ordered_now(action: Action, call: ServiceInput) -> Action:
    """Return a new order of this encounter, for the time after it; every other action as it is."""
    if action.type != "create":
        return action
    context = call.request.context
    assert isinstance(context, EncounterDischargeContext)  # noqa: S101 - the only hook of this service
    resource = {
        **(action.resource or {}),
        "encounter": {"reference": f"Encounter/{context.encounter_id}"},
        "authoredOn": call.record.as_of.date().isoformat(),
    }
    if context.user_id:
        resource["requester"] = {"reference": context.user_id}
    if resource["resourceType"] == "MedicationRequest":
        resource["category"] = [{"coding": [{"system": CATEGORIES, "code": "discharge"}]}]
    return structs.replace(action, resource=resource)


ADVISOR = Advisor(
    id="discharge-medications",
    hooks=(ENCOUNTER_DISCHARGE,),
    title="Medications at discharge checked against this patient",
    description=(
        "Checks the active medication orders that go home against kidney function, each other, age, pregnancy, "
        "allergies, opioid load and overdue tests, as the stay has left them, and offers the corrected order."
    ),
    usage_requirements="For prescribers and pharmacists at discharge; not signed off by a human pharmacist.",
    warns_of_harm=True,
    needs=Needs.of(
        features=features_of(CHA2DS2_VASC),
        analytes=(*NEEDS.analytes, *ABNORMAL_RESULTS.analytes),
        resources=(NEEDS.resources - _NOT_READ) | {"DiagnosticReport"},
        required=("medications",),
        named_results=20,
    ),
    find=find,
    returns_resources=frozenset({"MedicationRequest"}),
)
