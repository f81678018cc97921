"""Who may benefit from a planning conversation: the 5-year mortality model at patient-view.

With metastatic cancer, severe dementia or dialysis on record the model does not speak: the talk is offered by the
guideline of the illness, without a number.
"""

from functools import partial
from typing import Final

from msgspec.structs import replace

from cards.card import TOPICS, CardText, Source
from cards.text import escape, plain
from cds_hooks.call.hold_back.visit import VisitRank
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import PATIENT_VIEW
from cds_hooks.call.services._equation import advise_by_guideline, fact_of_condition, offer
from cds_hooks.call.services._exclusions import (
    DECEASED,
    OPTED_OUT,
    SHORT_OUTLOOK,
    Exclusion,
    declined,
    first_reason,
    limited_outlook,
    named,
    named_by_problem,
    names_one_of,
    of_population,
    on_record,
)
from cds_hooks.call.services._model import ChartModel, ModelEstimate
from cds_hooks.call.services._outlook import OUTLOOK, OUTLOOK_FEATURES, outlook_inputs
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput, advise_by_model
from cds_hooks.call.trusted_models import served_model
from fhir.mapping.conditions import ConditionHit, condition_status, find_condition, find_confirmed
from fhir.mapping.stays import is_in_hospital
from fhir.record.measurement import USABLE_STATUS
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot
from fhir.record.resources import Condition, Observation

MODEL, TWIN = OUTLOOK, served_model("mortality_5y_small")
SUMMARY = "Planning ahead: 5-year outlook worse than for {higher} in 100 US adults of 40+. Discuss goals of care."
"""The number of deaths is not a headline: it stands in the detail, behind the reason."""
CARD = CardText(summary=SUMMARY, topic=TOPICS["planning"], seen="died", opening="Why: ")
"""The words of the card."""
_TALK_OFFER = (
    "Order a planning conversation",
    "Draft order: goals, screening, prevention, advance care planning.",
    "Planning conversation: goals, screening and prevention, advance care planning",
)
"""In words only, because no code with a source is available."""
SMALL_PANEL = "**The small panel is used**: too many of the 11 laboratory values are missing for the full one."
# What a reader should know beside the number, which knows none of it.
_BESIDE = ("cancer_any", "dementia", "heart_failure", "liver_severe", "cirrhosis", "dialysis", "copd")
_CPT = "http://www.ama-assn.org/go/cpt"
TALKED_ABOUT = (
    "planning conversation",
    # CPT 99497 and 99498: advance care planning, first and further 30 minutes (AMA; Palmetto GBA 2020).
    f"{_CPT}|99497 ",
    f"{_CPT}|99498 ",
    # SNOMED CT as in tables/condition_groups.csv: not for resuscitation.
    "http://snomed.info/sct|304253006 ",
    # HL7 consentcategorycodes, as in the PACIO guide on portable medical orders.
    "consentcategorycodes|dnr ",
    "consentcategorycodes|polst ",
    "advance care plan",
    "advance directive",
    "goals of care",
    "goals-of-care",
    "serious illness conversation",
    "do not resuscitate",
    "polst",
    "molst",
    "living will",
    "health care proxy",
    "healthcare proxy",
    "health-care proxy",
)
WISHES = frozenset({"75773-2"})
"""LOINC: goals, preferences and priorities for medical treatment (PACIO, advance directive interoperability)."""


def find(call: ServiceInput) -> Advice:
    """One info card for a serious illness or an estimate among the highest, else the reason for none."""
    record = call.record
    illness = _serious_illness(record)
    if illness is not None:
        return _without_number(call, *illness)
    dominated = first_reason((_DOMINATED,), MODEL.manifest.id, record)
    if dominated is not None:
        return Advice(silences=[dominated])
    call.prefetch.require("labs")
    vector = outlook_inputs(record)
    diagnoses = _diagnoses_beside(record)
    advice = advise_by_model(call, OF_CHART, vector, partial(_text, call, diagnoses))
    advice.features = vector  # what the full panel was asked of, where the small one is used
    return advice


_SERIOUS_ILLNESSES: Final = {
    "cancer_metastatic": (
        "advanced cancer",
        Source(
            label="ASCO, Palliative care for patients with cancer, 2024, recommendation 1: clarification of treatment "
            "goals",
            url="https://doi.org/10.1200/JCO.24.00542",
        ),
    ),
    "dementia_severe": (
        "severe dementia",
        Source(
            label="NICE QS184, Dementia, 2019, quality statement 3: advance care planning at each review",
            url="https://www.nice.org.uk/guidance/qs184/chapter/Quality-statement-3-Advance-care-planning",
        ),
    ),
    "dialysis": (
        "dialysis",
        Source(
            label="Renal Physicians Association, Shared decision-making in dialysis, 2nd edition, 2010: advance care "
            "planning",
            url="https://pmc.ncbi.nlm.nih.gov/articles/PMC4921274",
        ),
    ),
}
"""Illnesses for which a guideline asks for the talk, whatever an estimate says: what each is called, the guideline."""


def _serious_illness(record: PatientRecord) -> tuple[str, ConditionHit] | None:
    """Return the first of these illnesses that is on record and no tentative diagnosis; None where there is none.

    Words count beside a code that names only the organ: "Metastatic ovarian cancer" with C56.9.
    """
    hits = [(group, find_confirmed(record, group)) for group in _SERIOUS_ILLNESSES]
    hits += [(group, named_by_problem(record, group)) for group in _SERIOUS_ILLNESSES if group in SHORT_OUTLOOK]
    return next(((group, hit) for group, hit in hits if hit is not None), None)


def _without_number(call: ServiceInput, group: str, hit: ConditionHit) -> Advice:
    """Build the card of one so ill that an estimate from ordinary results would mislead: the illness and the offer."""
    words, (illness, guideline) = plain(hit.words, 60), _SERIOUS_ILLNESSES[group]
    card_text = CardText(
        about="planning_conversation",
        summary=plain(f"Planning ahead: {illness} on record{hit.in_brackets}. Discuss goals of care.", 139),
        opening=f"**{escape(words, 60)}**{hit.in_brackets}. No talk about goals of care is on record within a year. "
        f"No estimate is shown: with {illness} one from ordinary results would mislead.",
        guideline=guideline,
        topic=TOPICS["planning"],
        facts=(fact_of_condition(group, hit),),
        offers=(offer(call, *_TALK_OFFER),),
    )
    advice = advise_by_guideline(call, card_text)
    text = f"{words} is on record: an estimate from ordinary results would mislead, so none is given."
    advice.silences = [WhyNot(MODEL.manifest.id, "outside-population", text)]
    return advice


def _wishes_charted(record: PatientRecord) -> str | None:
    """Return the problem or Observation that tells of a talk or of what the patient wants; None where there is none."""
    for problem in record.facts(Condition):
        words = problem.code.words if problem.code is not None else ""
        if condition_status(problem, record.as_of_epoch) != "past" and names_one_of((words, TALKED_ABOUT)):
            return f"Condition/{problem.id}"
    for observation in record.facts(Observation):
        is_answered = observation.valueCodeableConcept is not None or observation.valueString
        if not is_answered or observation.status not in USABLE_STATUS:
            continue
        if any(coding.code in WISHES for coding in observation.code.coding):
            return f"Observation/{observation.id}"
    return None


_DOMINATED: Final = Exclusion(
    "outside-population",
    "{found} is on record, and the model uses no diagnoses: its estimate would mislead, so none is given.",
    limited_outlook,
)
_NO_TALK: Final = (
    DECEASED,
    OPTED_OUT,
    of_population(MODEL),
    on_record(
        "already-done",
        "Palliative or hospice care or a resuscitation decision is on record.",
        "palliative_or_hospice",
        "palliative_or_dnr",
        "advance_care_planning",
    ),
    named("already-done", "The conversation is planned or was held ({found}).", TALKED_ABOUT),
    Exclusion("already-done", "The conversation is planned or was held ({found}).", _wishes_charted),
    declined(TALKED_ABOUT),
    Exclusion(
        "outside-population",
        "The patient is in hospital now; the model is for people living at home.",
        is_in_hospital,
    ),
)


def _diagnoses_beside(record: PatientRecord) -> str:
    hits = [hit for group in _BESIDE if (hit := find_condition(record, group)) is not None]
    words = list(dict.fromkeys(plain(hit.words, 40) for hit in hits))
    if not words:
        return ""
    listed = escape("; ".join(words), 120)
    return f"**This estimate uses no diagnoses.** On record: {listed}{'' if listed.endswith('…') else '.'}\n\n"


def _text(call: ServiceInput, diagnoses: str, estimated: ModelEstimate) -> CardText:
    small = (SMALL_PANEL,) if estimated.model is TWIN else ()
    return replace(CARD, offers=(offer(call, *_TALK_OFFER),), opening=f"{diagnoses}{CARD.opening}", beside=small)


OF_CHART = ChartModel(MODEL, TWIN, (*_NO_TALK, _DOMINATED), outlook_inputs)

ADVISOR = Advisor(
    id="planning-conversation",
    hooks=(PATIENT_VIEW,),
    title="Who may benefit from a planning conversation",
    description=(
        "Estimates the risk of death within 5 years from ordinary results of adults of 40 and over and, where it is "
        "among the highest, suggests a planning conversation. For planning, not for emergencies."
    ),
    usage_requirements="For physicians, nurses and care managers at an outpatient visit; never shown to patients.",
    needs=Needs.of(
        features=OUTLOOK_FEATURES,
        resources=(
            "CarePlan",
            "Condition",
            "DocumentReference",
            "Encounter",
            "MedicationRequest",
            "Procedure",
            "ServiceRequest",
        ),
        required=("labs",),
        lab_codes=WISHES,
    ),
    exclusions=_NO_TALK,
    subject="mortality_5y",
    requires_at_once=False,
    find=find,
    rank=VisitRank.TALK,
    models=(MODEL, TWIN),
    of_chart=OF_CHART,
)
