"""Who with atrial fibrillation may benefit from talking about an anticoagulant: CHA2DS2-VASc at patient-view.

2023 ACC/AHA guideline: a yearly risk of stroke of 2 % as threshold, which by the rates of Friberg 2012 is 2 points.
HAS-BLED stands beside it: what it names can be changed; it is no reason to withhold.
"""

from typing import Any

from cards.compose_equation import Offer, Said, extension_of
from cards.orderable_tests import service_order
from cards.topics import TOPICS
from cds_hooks.advising import Question, answer, nobody_to_advise, silent, talk_planned, today
from cds_hooks.prefetch import Needs
from cds_hooks.protocol.hooks import PATIENT_VIEW
from cds_hooks.service import Advice, Service, Situation
from fhir.mapping.condition_groups import has_group
from fhir.mapping.features import features_named
from fhir.mapping.vector import map_features
from models_onnx.calculation.calculate import Result
from models_onnx.calculation.chart import Charted, features_of, read_chart
from models_onnx.calculation.errors import EquationRefused
from models_onnx.calculation.finding import get_equation

EQUATION = get_equation("cha2ds2_vasc")
BESIDE = get_equation("has_bled")
FEATURES = (*features_of(EQUATION, BESIDE), *features_named(("takes_anticoagulant",)))
OUTPUT = "score"
TALK = "Shared decision: anticoagulation in atrial fibrillation"
_OVER_65 = "age over 65"


async def decide(situation: Situation) -> Advice:
    """One card where the yearly risk of stroke is 2 % or more and no anticoagulant is active, else the reason."""
    record = situation.record
    past = nobody_to_advise(record, EQUATION.id) or talk_planned(record, EQUATION.id, TALK)
    if past is not None:
        return past
    vector = map_features(record, FEATURES)
    taken = vector.evidence[-1]
    if taken is None:
        return silent(EQUATION.id, "input-missing", "Whether an anticoagulant is active is not known: nothing is said.")
    if taken.value or has_group(record, "anticoagulant_long_term") is not None:
        return silent(EQUATION.id, "already-done", "An anticoagulant is active.")
    charted = read_chart(EQUATION, record, vector=vector)
    return answer(situation, charted, _question(situation, read_chart(BESIDE, record, vector=vector)))


def _question(situation: Situation, bleeding: Charted) -> Question:
    def said(_: Charted, result: Result) -> Said:
        return _said(situation, result, bleeding)

    # Nothing to order: every input is age, sex or a condition.
    return Question(OUTPUT, _reaches, "CHA2DS2-VASc is under 2 points: under 2 strokes in 100 a year.", said)


def _reaches(result: Result) -> bool:
    return result.band is not None and result.band.id == "treat"


def _said(situation: Situation, result: Result, bleeding: Charted) -> Said:
    record = situation.record
    score = int(result.number)
    rates, yearly = result.rates()[0]
    people = f"{yearly:g} in 100"
    line, more = _bleeding(bleeding)
    return Said(
        summary=(
            f"Atrial fibrillation, CHA2DS2-VASc {score}: about {yearly:.0f} in 100 have a stroke in a year; no "
            "anticoagulant found. Consider talking about one."
        ),
        opening=(
            f"**CHA2DS2-VASc {score} of 9.** Of untreated people with {score} points about **{people}** had an "
            f"ischaemic stroke within a year ({_paper(rates.source)}). The 2023 ACC/AHA guideline speaks "
            "of treatment from 2 in 100 a year. No active anticoagulant was found."
        ),
        topic=TOPICS["anticoagulation"],
        offers=(
            Offer(
                "Plan a talk about anticoagulation",
                "Draft order for a talk about benefits, bleeding and wishes concerning an anticoagulant.",
                service_order(TALK, record.patient_id, today(situation)),
            ),
        ),
        beside=(line,),
        more=more,
        closing="Not for emergencies.",
    )


def _paper(source: str) -> str:
    """Author and year of 'Friberg L, et al. Eur Heart J 2012;33:1500-1510': 'Friberg 2012'."""
    return f"{source.split()[0]} {source.split(';')[0][-4:]}"


def _bleeding(bleeding: Charted) -> tuple[str, dict[str, Any]]:
    """The line about HAS-BLED, and the same as a result in the extension."""
    try:
        result = bleeding.calculate()
    except EquationRefused as refused:
        return f"**HAS-BLED** could not be worked out: {refused.text}", {}
    counted = [bleeding.equation.input(part.input).words for part in result.working.contributions if part.contribution]
    items = f" ({', '.join(_OVER_65 if words == 'Age' else words.lower() for words in counted)})" if counted else ""
    known = "".join(f", about {rate:.1f} major bleeds in 100 people a year" for _, rate in result.rates())
    line = (
        f"**HAS-BLED {int(result.number)} of 9**{items}{known}; what is not in the chart counts as no. It shows what "
        "can be changed; it is no reason to withhold."
    )
    return line, {"beside": [extension_of(bleeding, result)]}


SERVICE = Service(
    id="anticoagulation-discussion",
    hooks=(PATIENT_VIEW,),
    title="Who with atrial fibrillation may benefit from talking about an anticoagulant",
    description=(
        "CHA2DS2-VASc of adults with atrial fibrillation, HAS-BLED beside it: where the yearly risk of stroke is 2 in "
        "100 or more and no anticoagulant is active, suggests talking about one."
    ),
    usage_requirements="For physicians, nurses and pharmacists at an outpatient visit; never shown to patients.",
    needs=Needs.of(features=FEATURES, resources=("Condition", "Encounter", "MedicationRequest", "ServiceRequest")),
    decide=decide,
)
