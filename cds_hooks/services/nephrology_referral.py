"""Who may benefit from seeing a nephrologist: the kidney failure risk equation at patient-view.

KDIGO 2024, practice point 2.2.1: a 5-year risk of 3 to 5 % as a threshold for referral, beside eGFR and albumin
criteria; the site chooses the number (CDS_REFERRAL_RISK). Chronic means more than three months.
"""

from cards.compose_equation import Offer, Said, people_in_100
from cards.orderable_tests import OrderableTest, service_order
from cards.topics import TOPICS
from cds_hooks.advising import Question, answer, named_in_chart, nobody_to_advise, offer_of, silent, today
from cds_hooks.prefetch import Needs
from cds_hooks.protocol.hooks import PATIENT_VIEW
from cds_hooks.service import Advice, Service, Situation
from fhir.mapping.condition_groups import has_group
from fhir.mapping.kidney_equations import ckd_epi_2021
from fhir.record.record import PatientRecord
from models_onnx.calculation.calculate import Result
from models_onnx.calculation.chart import Charted, features_of, read_chart
from models_onnx.calculation.finding import get_equation

EQUATION = get_equation("kfre_4")
FEATURES = features_of(EQUATION)
OUTPUT = "5y"
REFERRED_WORDS = ("nephrolog", "renal clinic", "kidney clinic", "renal medicine")
_REFERRED_DAYS = 365.0
_CHRONIC_DAYS = 90.0  # KDIGO: chronic for more than three months
_CHRONIC_EGFR = 60.0
_ADULT_YEARS = 18


async def decide(situation: Situation) -> Advice:
    """One card where the 5-year risk reaches the site's threshold and nobody was asked yet, else the reason."""
    record = situation.record
    past = nobody_to_advise(record, EQUATION.id)
    if past is not None:
        return past
    referred = named_in_chart(record, REFERRED_WORDS, _REFERRED_DAYS)
    if referred is not None:
        return silent(EQUATION.id, "already-done", f"Nephrology is on the chart of the last 12 months ({referred}).")
    if not is_chronic(record):
        return silent(
            EQUATION.id,
            "outside-population",
            "No chronic kidney disease: none on the problem list, and no eGFR under 60 more than three months ago.",
        )
    charted = read_chart(EQUATION, record, {"calibration": situation.kfre_region})
    return answer(situation, charted, _question(situation))


def is_chronic(record: PatientRecord) -> bool:
    """Whether kidney disease is on the problem list, or an eGFR under 60 is more than three months old."""
    if has_group(record, "ckd_any") is not None:
        return True
    age, sex = record.age_years(), record.sex
    if age is None or sex is None or age < _ADULT_YEARS:
        return False
    old = (one for one in record.measurements("creatinine") if one.age_days(record.as_of_epoch) > _CHRONIC_DAYS)
    return any(ckd_epi_2021(age, sex, one.value) < _CHRONIC_EGFR for one in old)


def _question(situation: Situation) -> Question:
    def reaches(result: Result) -> bool:
        return result.number >= situation.referral_risk

    def said(_: Charted, result: Result) -> Said:
        return _said(situation, result)

    def asks(charted: Charted, test: OrderableTest) -> Said:
        return _asks(situation, charted, test)

    share = f"{100 * situation.referral_risk:g}"
    return Question(OUTPUT, reaches, f"The 5-year risk of kidney failure is under {share} in 100.", said, asks)


def _said(situation: Situation, result: Result) -> Said:
    people = people_in_100(result)
    threshold = f"{100 * situation.referral_risk:g}"
    record = situation.record
    return Said(
        summary=f"Kidney failure within 5 years: about {people} in 100 (KFRE). Consider a referral to nephrology.",
        opening=(
            f"**About {people} in 100** people like this {result.output.words}; {100 - people} do not. KDIGO 2024 "
            f"gives 3 to 5 in 100 as the point from which to refer; this site uses {threshold}. No referral was found."
        ),
        topic=TOPICS["nephrology"],
        offers=(
            Offer(
                "Refer to nephrology",
                "Draft referral to nephrology with the reason.",
                service_order(
                    "Referral to nephrology",
                    record.patient_id,
                    today(situation),
                    reasonCode=[{"text": f"5-year risk of kidney failure {result.number:.1%} (KFRE, 4 variables)"}],
                ),
            ),
        ),
        closing="For planning, not for emergencies. Death from other causes is not counted: too high in the very old.",
    )


def _asks(situation: Situation, charted: Charted, test: OrderableTest) -> Said:
    egfr = charted.given.get("egfr")
    known = f" eGFR is {egfr:.0f}." if isinstance(egfr, float) else ""
    return Said(
        summary=f"Kidney disease: risk of kidney failure not known, no {test.words}. Consider ordering it.",
        opening=(
            f"With the **{test.words}** the risk of kidney failure can be estimated (KFRE, 4 variables); all else is "
            f"there.{known} KDIGO 2024 asks for the risk to decide on a referral."
        ),
        topic=TOPICS["nephrology"],
        offers=(offer_of(test, situation),),
        closing="No risk is given without it: nothing is assumed in its place.",
    )


SERVICE = Service(
    id="nephrology-referral",
    hooks=(PATIENT_VIEW,),
    title="Who may benefit from seeing a nephrologist",
    description=(
        "Estimates the 5-year risk of kidney failure (KFRE, 4 variables) of adults with chronic kidney disease and, "
        "where it reaches the site's threshold and no referral is on the chart, suggests one."
    ),
    usage_requirements="For physicians, nurses and pharmacists at an outpatient visit; never shown to patients.",
    needs=Needs.of(features=FEATURES, resources=("Condition", "Encounter", "Procedure", "ServiceRequest")),
    decide=decide,
)
