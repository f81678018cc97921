"""Who may benefit from a planning conversation: the 5-year mortality model at patient-view."""

from typing import Any

from cards.card import Card
from cards.compose_model import Planned, model_card
from cards.rules.finding import Silence
from cds_hooks.advising import named_in_chart
from cds_hooks.estimating import Estimated, estimate
from cds_hooks.prefetch import Needs
from cds_hooks.protocol.hooks import PATIENT_VIEW
from cds_hooks.service import Advice, Service, Situation
from cds_hooks.storage.identifiers import suggestion_uuid
from fhir.mapping.conditions import has_condition
from fhir.mapping.features import features_named
from fhir.mapping.vector import map_features
from fhir.record.record import PatientRecord
from fhir.record.refusal import Refusal
from fhir.record.resources import Encounter
from fhir.record.time import parse_time
from models_onnx.eligibility import not_in_population
from models_onnx.registry import load_model

MODEL, TWIN = load_model("mortality_5y"), load_model("mortality_5y_small")
FEATURES = features_named(MODEL.features)
SUMMARY = (
    "Death within 5 years: about {people} in 100 (higher than {higher} in 100 of US adults of 40 and over). "
    "Consider planning ahead."
)
SMALL_PANEL = "**The small panel speaks**: too many of the 11 laboratory values are missing for the full one."
_TALK = "Planning conversation"
_A_YEAR_DAYS = 365.0
_IN_HOSPITAL = frozenset({"IMP", "ACUTE", "NONAC", "EMER", "OBSENC"})
_GOING_ON = frozenset({"in-progress", "arrived", "triaged", "onleave"})


async def decide(situation: Situation) -> Advice:
    """One info card where the estimate is among the highest of the reference cohort, else the reason for none."""
    record = situation.record
    outside = _outside_population(record)
    if outside is not None:
        return Advice(silences=[outside])
    situation.prefetch.require("labs")
    vector = map_features(record, FEATURES)
    record.let_go()
    found = await estimate(situation.predict, vector, MODEL, TWIN)
    advice = Advice(features=vector, models=(found.reference,))
    if found.is_recorded:
        advice.scores = found.scores
    if found.refused is not None:
        advice.silences.append(_silence(found.refused.reason, found.refused.text))
        return advice
    if found.prediction.percentile < 100 * (1 - situation.alert_share):
        advice.silences.append(_below_threshold(situation, found))
    else:
        advice.cards.append(_card(situation, found))
    return advice


def _outside_population(record: PatientRecord) -> Silence | None:
    population = MODEL.manifest.population
    if record.deceased:
        return _silence("deceased", "The patient has died.")
    outside = not_in_population(MODEL.manifest, record.age_years())
    if outside is not None:
        return _silence(outside.reason, outside.text)
    for key in population.exclude_conditions:
        if has_condition(record, key):
            return _silence("outside-population", f"The model is for {population.words}; {key} is on record.")
    if has_condition(record, "palliative_or_hospice"):
        return _silence("already-done", "Palliative or hospice care is on record: the conversation has been held.")
    planned = named_in_chart(record, (_TALK.lower(),), _A_YEAR_DAYS)
    if planned is not None:
        return _silence("already-done", f"The conversation is planned or was held ({planned}).")
    if any(stay.class_ is not None and stay.class_.code in _IN_HOSPITAL for stay in _open_encounters(record)):
        return _silence("outside-population", "The patient is in hospital now; the model is for people living at home.")
    return None


def _open_encounters(record: PatientRecord) -> list[Encounter]:
    """Those going on; one that nobody closed but that has an end in the past is over."""
    return [stay for stay in record.encounters if stay.status in _GOING_ON and not _is_over(stay, record)]


def _is_over(stay: Encounter, record: PatientRecord) -> bool:
    end = parse_time(stay.period.end) if stay.period is not None and stay.period.end else None
    return end is not None and end.age_days(record.as_of_epoch) > (0.0 if end.precision == "instant" else 1.0)


def _silence(reason: str, text: str) -> Silence:
    return Silence(MODEL.manifest.id, reason, text)


def _below_threshold(situation: Situation, found: Estimated) -> Silence:
    share = round(situation.alert_share * 100)
    text = f"The estimate is not among the highest {share} in 100 of {found.manifest.reference.words}."
    return Silence(found.manifest.id, "below-threshold", text)


def _card(situation: Situation, found: Estimated) -> Card:
    record = situation.record
    uuid = situation.card_uuid()
    return model_card(
        found.manifest,
        found.prediction,
        found.vector,
        Planned(
            summary=SUMMARY,
            label="Order a planning conversation",
            description="Draft order for a planning conversation: goals, screening, prevention, advance care planning.",
            order=planning_order(record.patient_id, record.as_of.date().isoformat()),
            remark=SMALL_PANEL if found.model is TWIN else "",
        ),
        uuid,
        lambda number: suggestion_uuid(uuid, number),
        situation.explain_url,
        situation.model_url(found.manifest.id),
        [refusal for refusal in record.refusals if _is_a_result(refusal)],
    )


def _is_a_result(refusal: Refusal) -> bool:
    """Whether it is about a value that a reader of the chart would see; what cannot even be read is not dated."""
    return refusal.subject.startswith("Observation/") and refusal.reason not in ("unreadable", "other-subject")


def planning_order(patient_id: str, date: str) -> dict[str, Any]:
    """A draft ServiceRequest (FHIR R4) for the conversation; text only, because no code with a source is at hand."""
    return {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "order",
        "code": {"text": f"{_TALK}: goals, screening and prevention, advance care planning"},
        "subject": {"reference": f"Patient/{patient_id}"},
        "authoredOn": date,
    }


SERVICE = Service(
    id="planning-conversation",
    hooks=(PATIENT_VIEW,),
    title="Who may benefit from a planning conversation",
    description=(
        "Estimates the risk of death within 5 years from ordinary results of adults of 40 and over and, where it is "
        "among the highest, suggests a planning conversation. For planning, not for emergencies."
    ),
    usage_requirements="For physicians, nurses and care managers at an outpatient visit; never shown to patients.",
    needs=Needs.of(features=FEATURES, resources=("Condition", "Encounter", "ServiceRequest"), required=("labs",)),
    decide=decide,
)
