"""Who with atrial fibrillation may benefit from talking about an anticoagulant: CHA2DS2-VASc at patient-view.

2023 ACC/AHA guideline: a yearly risk of stroke of 2 % as threshold, which by the rates of Friberg 2012 is 2 points.
HAS-BLED stands beside it: what it names can be changed; it is no reason to withhold.

What is a reason against a talk about an anticoagulant, and which anticoagulant was stopped: facts with their dates.
"""

import re
from functools import partial
from typing import Final

from cards.card import TOPICS
from cards.compose.equation import EquationCardContent, GuidelineCardContent, extension_of
from cards.compose.identity import OrderSuggestion
from cards.extension import CardExtension
from cards.new_orders import service_order
from cards.rules.engine.finding import Silence
from cards.text import decapitalized, escape, format_number, plain
from cds_hooks.prefetch.needs import Needs
from cds_hooks.protocol.hooks import PATIENT_VIEW
from cds_hooks.services._current_medications import declined
from cds_hooks.services._equation import (
    EquationQuestion,
    advise_by_equation,
    advise_by_guideline,
    fact_of_condition,
    find_named_in_chart,
    reason_already_planned,
    reason_not_to_advise,
    today,
)
from cds_hooks.services._service import Advice, Service, ServiceInput, no_card
from fhir.mapping.conditions import ConditionHit, condition_status, doubt_of, find_condition
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import map_features
from fhir.mapping.medications.active import active_medications, ended_medications, orders_not_active
from fhir.mapping.medications.presence import presence_of
from fhir.record.record import PatientRecord
from fhir.record.resources import Condition
from fhir.terminology.condition_words import is_of_patient
from models_onnx.equations.calculate import EquationResult
from models_onnx.equations.declaration import get_equation
from models_onnx.equations.record_inputs import RecordInputs, features_of, inputs_from_record
from models_onnx.errors import EquationRefused

# RE-LY (Connolly 2009) left out people with gastrointestinal bleeding within a year: table 5 of PMC3956385.
_BLEEDING_DAYS: Final = 365.0
_NEWEST_DAYS: Final = 90.0
_VERY_LOW: Final = (("hemoglobin", "Haemoglobin", 8.0, "g/dL"), ("platelets", "Platelets", 50.0, "×10³/µL"))
"""Below these: grade 3 of CTCAE 5.0 (2017), for haemoglobin with 'transfusion indicated'."""
_STOPPED_DAYS: Final = 365.0
_ANTICOAGULANTS: Final = frozenset({"anticoagulant"})
_BY_MOUTH: Final = frozenset({"vka", "doac"})
_CALLED: Final = re.compile(r"anti-?coag|blood thinner|warfarin|\b(?:doac|noac)s?\b|xaban|dabigatran", re.IGNORECASE)
# CPT: closure of the left atrial appendage with an implant (33340), exclusion of it in surgery (33267 to 33269).
_CLOSED: Final = (
    *(f"http://www.ama-assn.org/go/cpt|{code}" for code in ("33340", "33267", "33268", "33269")),
    "appendage clos",
    "appendage occlu",
    "appendage exclu",
    "appendage ligat",
    "closure of left atrial appendage",
    "occlusion of left atrial appendage",
    "exclusion of left atrial appendage",
    "closure of the left atrial appendage",
    "occlusion of the left atrial appendage",
    "watchman",
)
_CLOSED_WORDS: Final = re.compile(r"watchman|appendage (?:clos|occlu|exclu|ligat)", re.IGNORECASE)
_EVER: Final = 200 * 365.25


def reason_against(record: PatientRecord, subject: str) -> Silence | None:
    """Why no talk is suggested: bleeding, very low blood counts, a closed appendage; None where nothing is found."""
    inside = find_condition(record, "intracranial_bleeding")
    if inside is not None:
        text = "whether to anticoagulate after it is a decision of its own, so no score is shown."
        return Silence(
            subject, "contraindicated", f"Bleeding inside the skull is on record ({_condition_words(inside)}): {text}"
        )
    bleeding = find_condition(record, "bleeding_major")
    if bleeding is not None and _is_recent(bleeding, record):
        text = f"Major bleeding of the last year is on record ({_condition_words(bleeding)}): no talk is suggested."
        return Silence(subject, "contraindicated", text)
    for analyte, words, limit, unit in _VERY_LOW:
        measurement = record.newest(analyte, _NEWEST_DAYS)
        if measurement is not None and measurement.value < limit:
            value = f"{format_number(measurement.value, [limit])} {unit} ({measurement.time.date})"
            return Silence(
                subject,
                "contraindicated",
                f"{words} {value} is under {limit:g} {unit} (CTCAE 5.0, grade 3): no talk is suggested.",
            )
    closed = find_named_in_chart(record, _CLOSED, _EVER, only_done=True)
    if closed is not None:
        return Silence(subject, "already-done", f"The left atrial appendage is closed ({closed}).")
    device = next((condition for condition in record.conditions if _names_closed_appendage(condition, record)), None)
    if device is not None:
        return Silence(subject, "already-done", f"The left atrial appendage is closed (Condition/{device.id}).")
    if find_condition(record, "pregnancy"):
        text = "A pregnancy is on record: CHA2DS2-VASc was not made for it, and warfarin may harm the child."
        return Silence(subject, "contraindicated", text)
    return None


def _names_closed_appendage(condition: Condition, record: PatientRecord) -> bool:
    """Whether an entry of the problem list says that a device closes it ("Presence of Watchman device")."""
    words = condition.code.words if condition.code is not None else ""
    match = _CLOSED_WORDS.search(words)
    is_fact = match is not None and is_of_patient(words, match.start()) and not doubt_of(condition)
    return is_fact and condition_status(condition, record.as_of_epoch) != "past"


def _is_recent(hit: ConditionHit, record: PatientRecord) -> bool:
    if hit.time is None:
        return hit.status != "past"
    return hit.time.age_days(record.as_of_epoch) <= _BLEEDING_DAYS


def _condition_words(hit: ConditionHit) -> str:
    words = plain(hit.words or hit.code, 60)
    return f"{words}, {hit.time.date}" if hit.time is not None else words


def stopped_anticoagulant(record: PatientRecord) -> str | None:
    """The anticoagulant by mouth that was stopped in the last year, with the date that the chart gives; None for none.

    FHIR R4 does not say when an order was stopped unless its period ends: then the date is that of the order.
    """
    if any(active_medication.identity.classes & _BY_MOUTH for active_medication in active_medications(record)):
        return None
    for ended in ended_medications(record, _STOPPED_DAYS):
        if ended.identity.classes & _BY_MOUTH and ended.ended is not None:
            return f"{plain(ended.name, 40)} ended {ended.ended.date}"
    for order in orders_not_active(record):
        ordered = order.authored
        if order.identity.classes & _BY_MOUTH and ordered is not None and ordered.age_days(record.as_of_epoch) <= 365.0:
            return f"{plain(order.name, 40)} stopped (ordered {ordered.date})"
    return None


EQUATION = get_equation("cha2ds2_vasc")
BESIDE = get_equation("has_bled")
FEATURES = (
    *features_of(EQUATION, BESIDE),
    *features_named(("hemoglobin_g_dl", "platelets_10e3_ul", "takes_anticoagulant")),
)
OUTPUT = "score"
TALK = "Shared decision: anticoagulation in atrial fibrillation"
_OVER_65 = "age over 65"


async def decide(call: ServiceInput) -> Advice:
    """One card where the yearly risk of stroke is 2 % or more and no anticoagulant is active, else the reason."""
    record = call.record
    past = reason_not_to_advise(record, EQUATION.id) or reason_already_planned(record, EQUATION.id, TALK)
    if past is not None:
        return past
    if not record.was_requested("Condition"):
        return no_card(
            EQUATION.id, "input-missing", "The problem list is not available: atrial fibrillation is not known."
        )
    vector = map_features(record, FEATURES)
    rhythm = find_condition(record, "afib")
    anticoagulant = vector.evidence[-1]
    if anticoagulant is None and rhythm is not None:
        unreadable = presence_of(record, _ANTICOAGULANTS).unreadable_words
        why = f" (not readable on the medication list: {unreadable})" if unreadable else ""
        return no_card(
            EQUATION.id, "input-missing", f"Whether an anticoagulant is active is not known{why}: nothing is said."
        )
    if (anticoagulant is not None and anticoagulant.value) or find_condition(
        record, "anticoagulant_long_term"
    ) is not None:
        return no_card(EQUATION.id, "already-done", "An anticoagulant is active.")
    unwanted = declined(record, _BY_MOUTH, _CALLED) if rhythm is not None else None
    if unwanted is not None:
        return no_card(EQUATION.id, "declined", unwanted)
    charted = inputs_from_record(EQUATION, record, vector=vector)
    if rhythm is not None and rhythm.doubt:
        text = (
            f"{plain(rhythm.words or rhythm.code, 60)} is on record as {rhythm.doubt} only, which is no diagnosis yet."
        )
        return no_card(EQUATION.id, "outside-population", f"CHA2DS2-VASc: {text}")
    if rhythm is not None:
        against = reason_against(record, EQUATION.id)
        if against is not None:
            return Advice(silences=[against], features=vector)
        valve = find_condition(record, "mechanical_valve", "mitral_stenosis")
        if valve is not None:
            return advise_by_guideline(call, _valve_content(call, valve, rhythm, stopped_anticoagulant(record)))
    bleeding = inputs_from_record(BESIDE, record, vector=vector)
    return advise_by_equation(call, charted, _question(call, rhythm, bleeding))


def _rhythm_in_words(rhythm: ConditionHit | None) -> str:
    """Flutter, which the guideline treats as fibrillation, is called by its name."""
    words = rhythm.words.lower() if rhythm is not None else ""
    return "Atrial flutter" if "flutter" in words and "fibrillation" not in words else "Atrial fibrillation"


def _valve_content(
    call: ServiceInput, valve: ConditionHit, rhythm: ConditionHit, stopped: str | None
) -> GuidelineCardContent:
    """With such a valve no score is asked: the guideline names warfarin, whatever the points."""
    record = call.record
    finding = stopped or "no anticoagulant found"
    if valve.key != "mechanical_valve":
        short = "mitral stenosis"
        degree = " Warfarin is for moderate to severe stenosis (rheumatic): the code does not say more."
    elif valve.source.startswith("Procedure/") or "mechanical" in valve.words.lower():
        short, degree = "a mechanical valve", ""
    else:
        short = "a prosthetic heart valve"
        degree = " The code is also given for valves of tissue, to which this does not apply: see which one it is."
    return GuidelineCardContent(
        id="valvular_af",
        summary=f"{_rhythm_in_words(rhythm)} with {short}: {finding}. Consider warfarin.",
        opening=(
            f"**{escape(valve.words or valve.code)}**{_since(valve)} and **{escape(rhythm.words or rhythm.code)}**"
            f"{_since(rhythm)} are on record; {escape(finding)}. With a mechanical valve or moderate to severe mitral "
            "stenosis warfarin is recommended whatever CHA2DS2-VASc says; a direct oral anticoagulant (DOAC) is not."
            f"{degree}"
        ),
        guideline="2023 ACC/AHA/ACCP/HRS guideline on atrial fibrillation",
        url="https://doi.org/10.1161/CIR.0000000000001193",
        topic=TOPICS["anticoagulation"],
        facts=(fact_of_condition("valve", valve), fact_of_condition("rhythm", rhythm)),
        offers=(
            OrderSuggestion(
                "Plan a talk about warfarin",
                "Draft order for a talk about starting warfarin.",
                service_order(TALK, record.patient_id, today(call)),
            ),
        ),
    )


def _since(hit: ConditionHit) -> str:
    return f" ({hit.time.date})" if hit.time is not None else ""


def _question(call: ServiceInput, rhythm: ConditionHit | None, bleeding: RecordInputs) -> EquationQuestion:
    # Nothing to order: every input is age, sex or a condition.
    below = "CHA2DS2-VASc is under 2 points: under 2 strokes in 100 a year."
    content = partial(_content, call, _rhythm_in_words(rhythm), bleeding)
    return EquationQuestion(OUTPUT, _reaches, below, content)


def _reaches(result: EquationResult) -> bool:
    return result.band is not None and result.band.id == "treat"


def _content(
    call: ServiceInput, rhythm: str, bleeding: RecordInputs, _charted: RecordInputs, result: EquationResult
) -> EquationCardContent:
    record = call.record
    score = int(result.number)
    rates, yearly = result.rates()[0]
    people = f"{yearly:g} in 100"
    line, other_results = _bleeding(bleeding)
    stopped = stopped_anticoagulant(record)
    statement = "No active anticoagulant was found."
    if stopped is not None:
        statement = f"**{escape(stopped[0].upper() + stopped[1:], 90)}**; ask why before another is begun."
    return EquationCardContent(
        summary=(
            f"{rhythm}, CHA2DS2-VASc {score}: about {yearly:.0f} in 100 have a stroke in a year; "
            f"{stopped or 'no anticoagulant found'}. Consider a talk."
        ),
        opening=(
            f"**CHA2DS2-VASc {score} of 9.** Of untreated people with {score} points about **{people}** had an "
            f"ischaemic stroke within a year ({_paper(rates.source)}). The 2023 ACC/AHA guideline speaks "
            f"of treatment from 2 in 100 a year. {statement}"
        ),
        topic=TOPICS["anticoagulation"],
        offers=(
            OrderSuggestion(
                "Plan a talk about anticoagulation",
                "Draft order for a talk about benefits, bleeding and wishes concerning an anticoagulant.",
                service_order(TALK, record.patient_id, today(call)),
            ),
        ),
        beside=(line,),
        other_results=other_results,
        closing="Not for emergencies.",
    )


def _paper(source: str) -> str:
    """Author and year of 'Friberg L, et al. Eur Heart J 2012;33:1500-1510': 'Friberg 2012'."""
    return f"{source.split()[0]} {source.split(';')[0][-4:]}"


def _bleeding(bleeding: RecordInputs) -> tuple[str, tuple[CardExtension, ...]]:
    """The line about HAS-BLED, and the same as a result in the extension."""
    try:
        result = bleeding.calculate()
    except EquationRefused as refused:
        return f"**HAS-BLED** could not be worked out: {escape(refused.text, 300)}", ()
    counted = [bleeding.equation.input(part.input).words for part in result.working.contributions if part.contribution]
    items = (
        f" ({', '.join(_OVER_65 if words == 'Age' else decapitalized(words) for words in counted)})" if counted else ""
    )
    rates = "".join(f", about {rate:.1f} major bleeds in 100 people a year" for _, rate in result.rates())
    line = (
        f"**HAS-BLED {int(result.number)} of 9**{items}{rates}; what is not in the chart counts as no. It shows what "
        "can be changed; it is no reason to withhold."
    )
    return line, (extension_of(bleeding, result),)


SERVICE = Service(
    id="anticoagulation-discussion",
    hooks=(PATIENT_VIEW,),
    title="Who with atrial fibrillation may benefit from talking about an anticoagulant",
    description=(
        "CHA2DS2-VASc of adults with atrial fibrillation, HAS-BLED beside it: where the yearly risk of stroke is 2 in "
        "100 or more and no anticoagulant is active, suggests talking about one."
    ),
    usage_requirements="For physicians, nurses and pharmacists at an outpatient visit; never shown to patients.",
    needs=Needs.of(
        features=FEATURES, resources=("Condition", "Encounter", "MedicationRequest", "Procedure", "ServiceRequest")
    ),
    decide=decide,
)
