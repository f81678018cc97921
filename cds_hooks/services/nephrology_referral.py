"""Who may benefit from seeing a nephrologist: the kidney failure risk equation at patient-view.

KDIGO 2024, practice point 2.2.1: a 5-year risk of 3 to 5 % as a threshold for referral, beside eGFR and albumin
criteria; the site chooses the number (CDS_REFERRAL_RISK). Chronic means more than three months.
"""

from functools import partial

from msgspec.structs import replace

from cards.card import TOPICS
from cards.compose.equation import EquationCardContent, GuidelineCardContent, people_in_100
from cards.compose.identity import OrderSuggestion
from cards.extension import Fact
from cards.new_orders import OrderableTest, is_ordered, orderable_test_for, service_order
from cards.text import format_number
from cds_hooks.prefetch.needs import Needs
from cds_hooks.protocol.hooks import PATIENT_VIEW
from cds_hooks.services._equation import (
    EquationQuestion,
    advise_by_equation,
    advise_by_guideline,
    find_confirmed,
    find_named_in_chart,
    reason_not_to_advise,
    suggestion_of_test,
    today,
)
from cds_hooks.services._service import Advice, Service, ServiceInput, no_card
from fhir.mapping.conditions import find_condition
from fhir.mapping.equations import AGE_YEARS, ckd_epi_2021
from fhir.mapping.features.egfr import CKD_EPI_2021_LOINC
from fhir.mapping.kidney import KidneyEstimate, egfr_best
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord
from models_onnx.equations.calculate import EquationResult
from models_onnx.equations.declaration import get_equation
from models_onnx.equations.record_inputs import RecordInputs, features_of, inputs_from_record

EQUATION = get_equation("kfre_4")
FEATURES = features_of(EQUATION)
OUTPUT = "5y"
REFERRED_WORDS = ("nephrolog", " renal clinic", "kidney clinic", " renal medicine")  # " ": no adrenal clinic
DIALYSIS_WORDS = ("dialysis", "hemofiltration", "haemofiltration")
_REFERRED_DAYS = 365.0
_CHRONIC_DAYS = 90.0  # KDIGO: chronic for more than three months
_CHRONIC_EGFR = 60.0
_REFER_EGFR = 30.0  # KDIGO 2024 (2012 too): refer under 30 mL/min/1.73 m2
_END_STAGE = frozenset({"N186", "5856", "46177005"})  # ICD-10-CM, ICD-9-CM, SNOMED CT: end-stage kidney disease


async def decide(call: ServiceInput) -> Advice:
    """One card where the 5-year risk reaches the site's threshold and nobody was asked yet, else the reason."""
    record = call.record
    past = reason_not_to_advise(record, EQUATION.id)
    if past is not None:
        return past
    referred = find_named_in_chart(record, REFERRED_WORDS, _REFERRED_DAYS)
    if referred is not None:
        return no_card(EQUATION.id, "already-done", f"Nephrology is on the chart of the last 12 months ({referred}).")
    dialysed = find_named_in_chart(record, DIALYSIS_WORDS, _CHRONIC_DAYS)
    if dialysed is not None:
        return no_card(EQUATION.id, "excluded", f"Dialysis is on the chart of the last three months ({dialysed}).")
    if find_condition(record, "pregnancy"):
        text = "A pregnancy is on record: an eGFR by CKD-EPI 2021 is not for it."
        return no_card(EQUATION.id, "outside-population", text)
    if not is_chronic(record):
        return no_card(
            EQUATION.id,
            "outside-population",
            "No chronic kidney disease: none is confirmed on the problem list, and no eGFR by CKD-EPI 2021 of over "
            "three months ago was under 60.",
        )
    charted = inputs_from_record(EQUATION, record, {"calibration": call.kfre_region})
    low = _low_kidney_function(record) if charted.excluded is None else None
    if _is_end_stage(record) and charted.excluded is None:
        return no_card(
            EQUATION.id, "excluded", "End-stage kidney disease is on the problem list: nephrology is at work."
        )
    if low is not None:
        return advise_by_guideline(call, _low_content(call, low))
    return advise_by_equation(call, charted, _question(call))


def _low_kidney_function(record: PatientRecord) -> KidneyEstimate | None:
    """An eGFR of this year under 30 that is not changing, or stage 4 or 5 on the list without one; else None."""
    egfr = egfr_best(record)
    if not isinstance(egfr, KidneyEstimate) or egfr.stale or egfr.unstable:
        return None
    if egfr.side is not None:
        return egfr if egfr.side in ("<", "<=") and egfr.value <= _REFER_EGFR else None
    return egfr if 0 < egfr.value < _REFER_EGFR else None


def _is_end_stage(record: PatientRecord) -> bool:
    """Whether the stage on the list is end-stage kidney disease: chronic dialysis or a transplant belongs to it."""
    hit = find_condition(record, "ckd5_or_dialysis")
    return hit is not None and hit.code.replace(".", "") in _END_STAGE


def _low_content(call: ServiceInput, kidney: KidneyEstimate) -> GuidelineCardContent:
    day = kidney.time.date if kidney.time is not None else ""
    dated = f" ({day})" if day else ""
    fact = Fact(
        name="egfr",
        value=kidney.value,
        unit=kidney.unit,
        effective=kidney.time.text if kidney.time is not None else None,
        source=kidney.sources[0] if kidney.sources else None,
    )
    if kidney.is_diagnosis:
        return _stage_content(call, kidney, dated, fact)
    number = format_number(kidney.value, [_REFER_EGFR] if kidney.side is None else [], 0)
    value = f"eGFR {number}" if kidney.side is None else f"eGFR under {number}"
    return _referral_content(
        call,
        summary=f"Kidney disease with {value} mL/min/1.73 m²{dated}: consider a referral to nephrology.",
        opening=(
            f"**{value} mL/min/1.73 m²**{dated}: KDIGO 2024 refers to nephrology under 30, whatever the urine shows. "
            "No referral was found in the last 12 months."
        ),
        reason=f"{value} mL/min/1.73 m2{dated}",
        fact=fact,
    )


def _stage_content(call: ServiceInput, kidney: KidneyEstimate, dated: str, fact: Fact) -> GuidelineCardContent:
    """Stages 4 and 5 are an eGFR under 30: KDIGO 2012, 5.1.1, refers "GFR categories G4-G5"."""
    number = kidney.method[-1]
    stage, listed = f"stage {number}", f"on the problem list{dated}"
    test = orderable_test_for(("creatinine",))
    offers = () if test is None or is_ordered(call.record, test) else (suggestion_of_test(test, call),)
    return _referral_content(
        call,
        summary=f"Kidney disease {stage} {listed}, no recent eGFR: consider a referral to nephrology.",
        opening=(
            f"**Chronic kidney disease {stage}** is {listed}; no eGFR of the last 12 months is on the chart. "
            "KDIGO 2024 refers to nephrology under an eGFR of 30 (stages 4 and 5), whatever the urine shows. No "
            "referral was found in the last 12 months. Repeat creatinine where the stage may be out of date."
        ),
        reason=f"chronic kidney disease {stage}, {listed}",
        fact=replace(fact, name="ckd_stage", value=float(number), unit=None),
        also=offers,
    )


def _referral_content(
    call: ServiceInput, *, summary: str, opening: str, reason: str, fact: Fact, also: tuple[OrderSuggestion, ...] = ()
) -> GuidelineCardContent:
    order = service_order("Referral to nephrology", call.record.patient_id, today(call), reasonCode=[{"text": reason}])
    referral = OrderSuggestion("Refer to nephrology", "Draft referral to nephrology with the reason.", order)
    return GuidelineCardContent(
        id="egfr_under_30",
        summary=summary,
        opening=opening,
        guideline="KDIGO 2024 guideline on chronic kidney disease",
        url="https://doi.org/10.1016/j.kint.2023.10.018",
        topic=TOPICS["nephrology"],
        facts=(fact,),
        offers=(referral, *also),
    )


def is_chronic(record: PatientRecord) -> bool:
    """Whether kidney disease is on the problem list, or an eGFR under 60 is more than three months old.

    The eGFR is computed from creatinine, or was reported by the laboratory by the same equation.
    """
    if find_confirmed(record, "ckd_any") is not None:
        return True
    reported = (measurement for measurement in record.measurements("egfr") if measurement.code == CKD_EPI_2021_LOINC)
    if any(measurement.value < _CHRONIC_EGFR and _is_old(measurement, record) for measurement in reported):
        return True
    age, sex = record.age_years(), record.sex
    if age is None or sex is None or not AGE_YEARS[0] <= age <= AGE_YEARS[1]:
        return False
    old = (measurement for measurement in record.measurements("creatinine") if _is_old(measurement, record))
    return any(ckd_epi_2021(age, sex, measurement.value) < _CHRONIC_EGFR for measurement in old)


def _is_old(measurement: Measurement, record: PatientRecord) -> bool:
    return measurement.age_days(record.as_of_epoch) > _CHRONIC_DAYS


def _question(call: ServiceInput) -> EquationQuestion:
    def reaches(result: EquationResult) -> bool:
        return result.number >= call.referral_risk

    below = f"The 5-year risk of kidney failure is under {100 * call.referral_risk:g} in 100."
    return EquationQuestion(OUTPUT, reaches, below, partial(_content, call), partial(_content_for_missing, call))


def _content(call: ServiceInput, _charted: RecordInputs, result: EquationResult) -> EquationCardContent:
    people = people_in_100(result)
    threshold = f"{100 * call.referral_risk:g}"
    record = call.record
    return EquationCardContent(
        summary=f"Kidney failure within 5 years: about {people} in 100 (KFRE). Consider a referral to nephrology.",
        opening=(
            f"**About {people} in 100** people like this {result.output.words}; {100 - people} do not. KDIGO 2024 "
            f"gives 3 to 5 in 100 as the point from which to refer; this site uses {threshold}. No referral was found."
        ),
        topic=TOPICS["nephrology"],
        offers=(
            OrderSuggestion(
                "Refer to nephrology",
                "Draft referral to nephrology with the reason.",
                service_order(
                    "Referral to nephrology",
                    record.patient_id,
                    today(call),
                    reasonCode=[{"text": f"5-year risk of kidney failure {result.number:.1%} (KFRE, 4 variables)"}],
                ),
            ),
        ),
        closing="For planning, not for emergencies. Death from other causes is not counted: too high in the very old.",
    )


def _content_for_missing(call: ServiceInput, charted: RecordInputs, test: OrderableTest) -> EquationCardContent:
    egfr = charted.given.get("egfr")
    egfr_text = f" eGFR is {egfr:.0f}." if isinstance(egfr, float) else ""
    return EquationCardContent(
        summary=f"Kidney disease: risk of kidney failure not known, no {test.words}. Consider ordering it.",
        opening=(
            f"With the **{test.words}** the risk of kidney failure can be estimated (KFRE, 4 variables); all else is "
            f"there.{egfr_text} KDIGO 2024 asks for the risk to decide on a referral."
        ),
        topic=TOPICS["nephrology"],
        offers=(suggestion_of_test(test, call),),
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
