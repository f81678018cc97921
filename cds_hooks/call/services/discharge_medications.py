"""What the patient goes home with: the rules for orders over the active medications.

A planning estimate has no place here: its population lives at home (models_onnx/models/mortality_5y.py). What can be
decided at discharge with available sources is the dose of what goes home, by the kidney function of this stay.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import compress
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, structs

from cards.card import TOPICS, Action, Card, CardText, Source, WebAddress
from cards.compose.equation import guideline_card
from cards.compose.preventive import results_card
from cards.extension import Fact
from cards.preventive.abnormal import ABNORMAL_RESULTS, open_results
from cards.rules.engine.rule_book import rule_book
from cards.rules.patient.orders import DraftOrder, read_draft
from cards.text import capitalized, escape, plain
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import ENCOUNTER_DISCHARGE, EncounterDischargeContext
from cds_hooks.call.protocol.originals import OriginalOrders
from cds_hooks.call.services._anticoagulation import NO_TALK, very_low
from cds_hooks.call.services._current_medications import taken_medications
from cds_hooks.call.services._exclusions import A_YEAR_DAYS, PALLIATIVE, find_named_in_chart, first_reason
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput
from fhir.mapping.allergies import allergy_to_class
from fhir.mapping.conditions import find_condition
from fhir.mapping.declined import declined_medicine
from fhir.mapping.medications.active import ActiveMedication, held_medications, presence_of
from fhir.mapping.medications.identity import identify
from fhir.mapping.stays import discharge_destination
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot
from fhir.record.repair import objects_in
from fhir.record.resources import MedicationRequest, MedicationStatement
from fhir.record.site_file import read_toml_as
from models_onnx.equations.calculate import features_of, inputs_from_record
from models_onnx.equations.declaration import get_equation
from models_onnx.errors import EquationRefused

NEEDS = rule_book().needs
CHA2DS2_VASC: Final = get_equation("cha2ds2_vasc")
_NOT_READ = frozenset({"Device"})  # only rules about imaging ask for implants
# FHIR R4, value set medicationrequest-category: what is only `inpatient` ends with the stay.
CATEGORIES: Final = "http://terminology.hl7.org/CodeSystem/medicationrequest-category"
_COMFORT: Final = "Palliative care or discharge to a hospice is on record: only critical findings are shown."
_AT_HOME: Final = frozenset({"discharge", "community", "outpatient"})


class _Active(Struct, frozen=True):
    """An active order: what it is, and the client's own JSON of it where that came with the call."""

    medication: ActiveMedication
    draft: DraftOrder


def find(call: ServiceInput) -> Advice:
    """One card for each order that goes home and has a finding, and a reason for everything that says nothing."""
    record = call.record
    destination = discharge_destination(record)
    ends_in = destination[0].key if destination is not None else ""
    if record.deceased or ends_in == "died":
        return Advice(silences=[WhyNot("patient", "deceased", "The patient has died.")])
    charted = OriginalOrders(call.sent)
    active = list(_active_orders(call, charted))
    call.require_at_most(active, "prefetch.medications")
    judged = [order for order in active if _goes_home(order.draft.resource)]
    drafts = [order.draft for order in active]
    names = [order.draft.name for order in judged]
    advice, judged_drafts = call.advise_on_orders(drafts, names, signing=True, active_orders=True, originals=charted)
    is_for_comfort = PALLIATIVE.find(record) is not None or ends_in == "hospice"
    if is_for_comfort:
        milder = [card.indicator != "critical" for card in advice.cards]
        held = compress(judged_drafts, milder)
        advice.silences += [WhyNot(drafted.medication.name, "palliative", _COMFORT) for drafted in held]
    shown = (card for card in advice.cards if not is_for_comfort or card.indicator == "critical")
    advice.cards = [_at_discharge(card, call) for card in shown]
    if not is_for_comfort:
        going_home = _classes(record, judged)
        on_hold = _anticoagulant_on_hold(call)
        rows = (row for row in OMISSIONS if on_hold is None or "anticoagulant" not in row.wanted)
        omitted = (_omitted(row, call, going_home) for row in rows)
        advice.cards += filter(None, (_after_infarction(call, _classes(record, active)), on_hold, *omitted))
    today, since = record.as_of.date(), (record.as_of.date() - _LAST_DAYS).isoformat()
    recent = (result for result in record.derive(open_results) if result.when >= since)
    results = [result for result in recent if result.row.indicator == "critical" or result.row.marked_critical]
    if results:
        advice.cards.append(results_card(results, call.card_identity(), record.patient_id, today))
    advice.silences += _not_judged(active, judged, call)
    advice.orders = {
        "drafts": {"resourceType": "Bundle", "entry": [{"resource": draft.resource} for draft in drafts]},
        "judged": [order.draft.name for order in judged],
    }
    return advice


# The active orders


def _active_orders(call: ServiceInput, charted: OriginalOrders) -> Iterator[_Active]:
    for medication, draft in taken_medications(call.record, charted):
        if isinstance(medication.order, MedicationRequest):
            read = read_draft(draft.resource).order or draft.read
            yield _Active(medication, structs.replace(draft, read=read, goes_home=_goes_home(draft.resource)))


def _goes_home(resource: dict[str, Any]) -> bool:
    # Epic sends one concept where R4 has a list
    codings = [
        coding for concept in objects_in(resource.get("category")) for coding in objects_in(concept.get("coding"))
    ]
    codes = [coding.get("code") for coding in codings]
    return "inpatient" not in codes or any(code in codes for code in _AT_HOME)


def _not_judged(active: Iterable[_Active], judged: list[_Active], call: ServiceInput) -> Iterator[WhyNot]:
    names = {order.draft.name for order in judged}
    for order in active:
        if order.draft.name not in names:
            text = f"{order.draft.name} is ordered for the stay only and was not checked."
            yield WhyNot(order.draft.name, "inpatient-order", text)
    if not judged:
        yield WhyNot("medications", "nothing-to-judge", "No active medication order goes home: nothing was checked.")
    stated = len(call.record.facts(MedicationStatement))
    if stated:
        what = "1 medication is" if stated == 1 else f"{stated} medications are"
        yield WhyNot("statements", "stated-only", f"{what} taken but not ordered here, and not checked.")


# What does not go home

_LAST_DAYS: Final = timedelta(days=2)
"""So old a critical result is still told at discharge; the project's own choice."""
_INFARCTION_DAYS: Final = 30
_STATIN: Final = frozenset({"statin"})
_ANTIPLATELETS: Final = frozenset({"antiplatelet", "asa_or_antiplatelet", "salicylate"})
_ASPIRIN: Final = frozenset({"salicylate"})
_GUIDELINE: Final = Source(
    label="2025 ACC/AHA guideline on acute coronary syndromes", url="https://doi.org/10.1161/CIR.0000000000001309"
)
_CALLED: Final = re.compile(r"statin|aspirin|antiplatelet|clopidogrel|ticagrelor|prasugrel", re.IGNORECASE)


def _classes(record: PatientRecord, orders: Iterable[_Active]) -> frozenset[str]:
    """Return the classes of the medications that are ordered or stated."""
    stated = (identify(statement, record.medications).classes for statement in record.facts(MedicationStatement))
    return frozenset[str]().union(*(order.medication.identity.classes for order in orders), *stated)


class Omission(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of `omissions.toml`, which says what its members mean."""

    id: str
    diseases: tuple[str, ...]
    wanted: frozenset[str]
    called: str
    summary: str
    opening: str
    label: str
    url: WebAddress
    days: int | None = None
    by_score: bool = False
    unless: tuple[str, ...] = ()
    unless_done: tuple[str, ...] = ()
    unless_words: str = "(?!)"


class _Omissions(Struct, forbid_unknown_fields=True):
    omission: tuple[Omission, ...]


OMISSIONS: Final = read_toml_as(Path(__file__).parent / "omissions.toml", _Omissions).omission


def _omitted(row: Omission, call: ServiceInput, classes: frozenset[str]) -> Card | None:
    """Return that the patient goes home without what a disease asks for, if nothing on record says why."""
    record = call.record
    disease = find_condition(record, *row.diseases)
    if disease is None or disease.doubt or classes & row.wanted or not record.was_requested("Condition"):
        return None
    is_old = disease.time is None or disease.time.whole_days(record.as_of_epoch) > (row.days or 0)
    if (row.days is not None and is_old) or re.search(row.unless_words, disease.words, re.IGNORECASE):
        return None
    is_for_blood = "anticoagulant" in row.wanted
    if (is_for_blood and very_low(record)) or find_named_in_chart(record, row.unless_done, A_YEAR_DAYS, only_done=True):
        return None
    if find_condition(record, *row.unless) or declined_medicine(record, row.wanted, re.compile(row.called, re.I)):
        return None
    if row.by_score and (first_reason(NO_TALK, row.id, record) is not None or not _reaches_score(record)):
        return None
    words = plain(disease.words, 60)
    return _omission(
        call,
        about=row.id,
        summary=row.summary.format(disease=capitalized(plain(disease.words, 40))),
        opening=f"**{escape(words)}**{disease.in_brackets}: {row.opening}",
        guideline=Source(label=row.label, url=row.url),
        facts=(Fact("disease", text=words, source=disease.source),),
    )


def _reaches_score(record: PatientRecord) -> bool:
    try:
        return inputs_from_record(CHA2DS2_VASC, record).calculate("score").band_id == "treat"
    except EquationRefused:
        return False


def _after_infarction(call: ServiceInput, all_classes: frozenset[str]) -> Card | None:
    """Return what is not among the medications after a myocardial infarction of this stay: a statin, an antiplatelet.

    Not where the chart says why: a reaction, a refusal. Source: the guideline of 2025 (Rao et al., Circulation 2025;
    top things to know, professional.heart.org): a high-intensity statin and dual antiplatelet therapy for 12 months.
    """
    record = call.record
    infarction = find_condition(record, "infarction_acute")
    if infarction is None or infarction.doubt or infarction.time is None:
        return None
    if infarction.time.whole_days(record.as_of_epoch) > _INFARCTION_DAYS or not record.was_requested("Condition"):
        return None
    missing = []
    if (
        not all_classes & _STATIN
        and allergy_to_class(record, "statin") is None
        and not declined_medicine(record, _STATIN, _CALLED)
    ):
        missing.append("statin")
    is_wanted = not declined_medicine(record, _ANTIPLATELETS, _CALLED)
    if is_wanted and (antiplatelet := _missing_antiplatelet(record, all_classes, is_listed=bool(missing))):
        missing.append(antiplatelet)
    if not missing:
        return None
    words, day = plain(infarction.words, 60), infarction.time.date
    names = " and no ".join(missing)
    beside = "; beside an anticoagulant ask which of the two" if "anticoagulant" in all_classes else ""
    headline = " and no ".join(name.partition(" (")[0] for name in missing)
    return _omission(
        call,
        about="after-infarction",
        summary=f"Heart attack, no {headline} at discharge. Order what fits, or note why not.",
        opening=(
            f"**{words}** ({day}): no **{names}** is ordered or stated. The guideline recommends a high-intensity "
            f"statin and, for 12 months, aspirin with a P2Y12 inhibitor{beside}. Other medications after an "
            "infarction were not looked for. Check for bleeding or intolerance that is not on record."
        ),
        guideline=_GUIDELINE,
        facts=(Fact("infarction", text=words, effective=infarction.time.text, source=infarction.source),),
    )


def _omission(call: ServiceInput, **words: Any) -> Card:
    card_text = CardText(topic=TOPICS["discharge"], closing="Shown once before the discharge.", **words)
    return guideline_card(card_text, call.card_identity())


def _anticoagulant_on_hold(call: ServiceInput) -> Card | None:
    """Return that an anticoagulant by mouth is still on hold with a disease that asks for it, and nothing is instead.

    The label of apixaban: boxed warning, "Premature discontinuation of any oral anticoagulant ... increases the risk of
    thrombotic events".
    """
    record = call.record
    disease = find_condition(record, "afib", "mechanical_valve", "vte")
    held = (drug for drug in held_medications(record) if drug.identity.classes & {"doac", "vka"})
    drug = next(held, None)
    if disease is None or drug is None or presence_of(record, frozenset({"anticoagulant"})).medications:
        return None
    name, words = plain(drug.name, 40), plain(disease.words, 60)
    return _omission(
        call,
        about="anticoagulant-on-hold",
        summary=f"{capitalized(name)} is still on hold at discharge. Write whether and when it is resumed.",
        opening=(
            f"**{escape(words)}**{disease.in_brackets}: no other anticoagulant is active. To stop any oral "
            "anticoagulant early raises the risk of a thrombosis (boxed warning of apixaban). Check why it was held: "
            "bleeding, an operation."
        ),
        guideline=_ANTICOAGULANT_LABEL,
        facts=(Fact("disease", text=words, source=disease.source), Fact("held", text=name, source=drug.source)),
    )


_ANTICOAGULANT_LABEL: Final = Source(
    label="Eliquis (apixaban) label (US), boxed warning",
    url="https://dailymed.nlm.nih.gov/dailymed/drugInfo.cfm?setid=e9481622-7cc6-418a-acb6-c5450daae9b0",
)


def _missing_antiplatelet(record: PatientRecord, classes: frozenset[str], *, is_listed: bool) -> str:
    """Return what of the two is missing; of one alone nothing is said beside an anticoagulant or after a reaction.

    A P2Y12 inhibitor alone has a card after a stent; a card of a missing statin (`is_listed`) names it in any case.
    """
    if not classes & _ANTIPLATELETS:
        return "antiplatelet (aspirin, P2Y12 inhibitor)"
    if "anticoagulant" in classes or (classes & _ASPIRIN and "antiplatelet" in classes):
        return ""
    if not classes & _ASPIRIN:
        return "aspirin" if allergy_to_class(record, "salicylate") is None else ""
    has_stent = find_condition(record, "stent_coronary") is not None
    is_told = has_stent or is_listed
    return "P2Y12 inhibitor" if is_told and allergy_to_class(record, "antiplatelet") is None else ""


# The cards


def _at_discharge(card: Card, call: ServiceInput) -> Card:
    """Return the card of an order that goes home; what it offers anew is ordered here and now."""
    suggestions = (
        structs.replace(suggestion, actions=tuple(_ordered_now(action, call) for action in suggestion.actions))
        for suggestion in card.suggestions
    )
    return structs.replace(
        card,
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
