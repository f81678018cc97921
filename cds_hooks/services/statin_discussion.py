"""Who may benefit from talking about a statin: PREVENT-ASCVD at patient-view, where none is active.

Bands: 2026 ACC/AHA multisociety dyslipidemia guideline, intermediate from 5 %, high from 10 % (PREVENT-ASCVD, ages 30
to 79). It speaks from intermediate on.
"""

from cards.compose_equation import Offer, Said, people_in_100
from cards.orderable_tests import LIPIDS, OrderableTest, order_of_test, service_order
from cards.topics import TOPICS
from cds_hooks.advising import Question, answer, nobody_to_advise, offer_of, silent, talk_planned, today
from cds_hooks.prefetch import Needs
from cds_hooks.protocol.hooks import PATIENT_VIEW
from cds_hooks.service import Advice, Service, Situation
from fhir.mapping.allergies import allergy_to_class
from fhir.mapping.condition_groups import has_group
from fhir.mapping.conditions import has_condition
from models_onnx.calculation.calculate import Result
from models_onnx.calculation.chart import Charted, features_of, read_chart
from models_onnx.calculation.finding import get_equation

EQUATION = get_equation("prevent_base")
FEATURES = features_of(EQUATION)
OUTPUT = "ascvd|10y"
TALK = "Shared decision: statin for primary prevention"
_SPOKEN = frozenset({"intermediate", "high"})
_LIPIDS_OLD_DAYS = 365
_FROM = {"intermediate": "5 to under 10 in 100", "high": "10 in 100 or more"}


async def decide(situation: Situation) -> Advice:
    """One card where the risk is intermediate or high and no statin is active, else the reason for none."""
    record = situation.record
    past = nobody_to_advise(record, EQUATION.id) or talk_planned(record, EQUATION.id, TALK)
    if past is not None:
        return past
    if has_condition(record, "pregnancy"):
        return silent(EQUATION.id, "contraindicated", "A pregnancy is on record: a statin is not discussed.")
    if has_group(record, "liver_severe") is not None:
        return silent(EQUATION.id, "contraindicated", "Severe liver disease is on record: a statin is not discussed.")
    allergy = allergy_to_class(record, "statin")
    if allergy is not None:
        return silent(EQUATION.id, "contraindicated", "A reaction to a statin is on record.")
    charted = read_chart(EQUATION, record)
    taken = charted.evidence.get("statin")
    if taken is not None and taken.value:
        return silent(EQUATION.id, "already-done", "A statin is active.")
    if taken is None:
        return silent(EQUATION.id, "input-missing", "Whether a statin is active is not known: nothing is said.")
    return answer(situation, charted, _question(situation))


def _question(situation: Situation) -> Question:
    def said(_: Charted, result: Result) -> Said:
        return _said(situation, result)

    def asks(charted: Charted, test: OrderableTest) -> Said:
        return _asks(situation, charted, test)

    return Question(OUTPUT, _reaches, "The 10-year risk is below the intermediate band (5 %).", said, asks)


def _reaches(result: Result) -> bool:
    return result.band is not None and result.band.id in _SPOKEN


def _said(situation: Situation, result: Result) -> Said:
    assert result.band is not None and result.table is not None  # noqa: S101, PT018 - this output has bands for everyone
    people = people_in_100(result)
    band = result.band.id
    return Said(
        summary=(
            f"Heart attack or stroke within 10 years: about {people} in 100 ({band} risk, PREVENT); no statin found. "
            "Consider talking about one."
        ),
        opening=(
            f"**About {people} in 100** people like this {result.output.words}; {100 - people} do not (PREVENT). "
            f"That is **{band}** risk: {_FROM[band]} ({result.table.source})."
        ),
        topic=TOPICS["statin"],
        offers=(
            Offer(
                "Plan a talk about a statin",
                "Draft order for a talk about benefits, harms and wishes concerning a statin.",
                service_order(TALK, situation.record.patient_id, today(situation)),
            ),
            *_lipid_offer(situation),
        ),
        closing="For prevention, not for emergencies; the chart shows no active statin.",
    )


def _lipid_offer(situation: Situation) -> tuple[Offer, ...]:
    """New lipids where the ones used are more than a year old."""
    record = situation.record
    if record.newest("cholesterol_total", _LIPIDS_OLD_DAYS) is not None:
        return ()
    order = order_of_test(LIPIDS, record.patient_id, today(situation))
    return (Offer("Order new lipids first", "Draft order for a lipid panel: the one used is over a year old.", order),)


def _asks(situation: Situation, charted: Charted, test: OrderableTest) -> Said:
    age = charted.given.get("age")
    return Said(
        summary=f"Risk of heart attack and stroke cannot be estimated: no {test.words}. Consider ordering it.",
        opening=(
            f"Everything that PREVENT asks for at {age:g} is there but the **{test.words}**; with it the 10-year risk "
            "may turn out intermediate or high."
        ),
        topic=TOPICS["statin"],
        offers=(offer_of(test, situation),),
        closing="No estimate is given without it: nothing is assumed in its place.",
    )


SERVICE = Service(
    id="statin-discussion",
    hooks=(PATIENT_VIEW,),
    title="Who may benefit from talking about a statin",
    description=(
        "Estimates the 10-year risk of heart attack and stroke with PREVENT for adults of 30 to 79 without known heart "
        "or vessel disease and, where it is intermediate or high and no statin is active, suggests talking about one."
    ),
    usage_requirements="For physicians, nurses and pharmacists at an outpatient visit; never shown to patients.",
    needs=Needs.of(
        features=FEATURES,
        resources=("Condition", "Encounter", "AllergyIntolerance", "MedicationRequest", "ServiceRequest"),
    ),
    decide=decide,
)
