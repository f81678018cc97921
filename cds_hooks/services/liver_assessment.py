"""Who with risk factors may benefit from a second test of the liver: FIB-4 at patient-view.

AASLD 2023: from 1.30 a second test (2.0 at 65 and over, McPherson 2017), over 2.67 high. Only for people who have a
reason for liver disease: diabetes, obesity, alcohol, or a liver disease without cirrhosis.
"""

from itertools import pairwise

from cards.compose_equation import Offer, Said
from cards.markdown import escape
from cards.orderable_tests import OrderableTest, service_order
from cards.topics import TOPICS
from cds_hooks.advising import Question, answer, named_in_chart, nobody_to_advise, offer_of, silent, today
from cds_hooks.prefetch import Needs
from cds_hooks.protocol.hooks import PATIENT_VIEW
from cds_hooks.service import Advice, Service, Situation
from fhir.mapping.condition_groups import has_group
from fhir.mapping.conditions import ConditionHit
from fhir.record.record import PatientRecord
from fhir.record.time import DAY_SECONDS, parse_time
from models_onnx.calculation.calculate import Result
from models_onnx.calculation.chart import Charted, features_of, read_chart
from models_onnx.calculation.finding import get_equation

EQUATION = get_equation("fib4")
FEATURES = features_of(EQUATION)
OUTPUT = "index"
ASSESSED_WORDS = ("elastograph", "fibroscan", "hepatolog", "liver biopsy", "liver clinic")
_ASSESSED_DAYS = 3 * 365.25
_RISKS = ("liver_mild", "alcohol_use", "diabetes", "obesity")
_LABS = ("ast", "alt", "platelets")
_APART_DAYS = 92.0  # labs of one day, or at most 3 months apart


async def decide(situation: Situation) -> Advice:
    """One card where FIB-4 is not low in somebody with a reason for it and nobody looked further, else the reason."""
    record = situation.record
    past = nobody_to_advise(record, EQUATION.id)
    if past is not None:
        return past
    if has_group(record, "cirrhosis", "liver_severe") is not None:
        return silent(EQUATION.id, "already-done", "Cirrhosis is on record: FIB-4 has nothing to add.")
    risk = has_group(record, *_RISKS)
    if risk is None:
        text = (
            "No diabetes, obesity, alcohol use disorder or liver disease is on record: FIB-4 is not for screening all."
        )
        return silent(EQUATION.id, "outside-population", text)
    assessed = named_in_chart(record, ASSESSED_WORDS, _ASSESSED_DAYS)
    if assessed is not None:
        return silent(
            EQUATION.id, "already-done", f"A liver assessment of the last 3 years is on the chart ({assessed})."
        )
    charted = read_chart(EQUATION, record)
    if _is_apart(charted):
        return silent(
            EQUATION.id, "input-missing", "AST, ALT and platelets are more than 3 months apart: not combined."
        )
    return answer(situation, charted, _question(situation, risk))


def _is_apart(charted: Charted) -> bool:
    times = [parse_time(charted.evidence[name].effective) for name in _LABS if name in charted.evidence]
    instants = sorted(time.instant for time in times if time is not None)
    return any(later - earlier > _APART_DAYS * DAY_SECONDS for earlier, later in pairwise(instants))


def _question(situation: Situation, risk: ConditionHit) -> Question:
    def said(_: Charted, result: Result) -> Said:
        return _said(situation.record, result, risk, today(situation))

    def asks(_: Charted, test: OrderableTest) -> Said:
        return _asks(situation, test, risk)

    return Question(OUTPUT, _reaches, "FIB-4 is low for this age.", said, asks)


def _reaches(result: Result) -> bool:
    return result.band is not None and result.band.id != "low"


def _said(record: PatientRecord, result: Result, risk: ConditionHit, date: str) -> Said:
    assert result.band is not None and result.table is not None  # noqa: S101, PT018 - FIB-4 has bands at every age
    band = result.band.words
    limits = "over 2.67" if result.band.id == "high" else f"{result.table.bands[1].low:g} to 2.67"
    return Said(
        summary=f"FIB-4 {result.number:.2f}: {band} for liver fibrosis. Consider a second test (elastography).",
        opening=(
            f"**FIB-4 {result.number:.2f}** is **{band}** ({limits}; {result.table.source}). It sorts people for a "
            f"second test; by itself it finds nothing. On record: {_risk_words(risk)}."
        ),
        topic=TOPICS["liver"],
        offers=(
            Offer(
                "Order liver elastography",
                "Draft order for an elastography of the liver.",
                service_order("Elastography of the liver", record.patient_id, date),
            ),
            Offer(
                "Refer to hepatology",
                "Draft referral to hepatology.",
                service_order("Referral to hepatology", record.patient_id, date),
            ),
        ),
        closing="Not in acute hepatitis, nor where platelets are low for another cause.",
    )


def _asks(situation: Situation, test: OrderableTest, risk: ConditionHit) -> Said:
    return Said(
        summary=f"FIB-4 for liver fibrosis cannot be worked out: no {test.words}. Consider ordering it.",
        opening=f"On record: {_risk_words(risk)}. Everything that FIB-4 asks for is there but the **{test.words}**.",
        topic=TOPICS["liver"],
        offers=(offer_of(test, situation),),
        closing="No index is given without it: nothing is assumed in its place.",
    )


def _risk_words(risk: ConditionHit) -> str:
    return escape(risk.words or risk.key, 60)


SERVICE = Service(
    id="liver-assessment",
    hooks=(PATIENT_VIEW,),
    title="Who may benefit from a second test of the liver",
    description=(
        "FIB-4 of adults of 35 and over with diabetes, obesity, alcohol use or liver disease: where it is not low and "
        "nobody looked further, suggests elastography."
    ),
    usage_requirements="For physicians and nurses at an outpatient visit; never shown to patients.",
    needs=Needs.of(features=FEATURES, resources=("Condition", "Encounter", "Procedure", "ServiceRequest")),
    decide=decide,
)
