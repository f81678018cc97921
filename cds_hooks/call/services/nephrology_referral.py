"""Who may benefit from seeing a nephrologist: the kidney failure risk equation at patient-view.

KDIGO 2024, practice point 2.2.1: a 5-year risk of 3 to 5 % as a threshold for referral, beside eGFR and albumin
criteria; the lower end is taken. Chronic means more than three months, by the eGFR, by albumin
in the urine, or by polycystic kidneys. A rise of creatinine and an eGFR under 15 are of `kidney_failure.py`.
What the chart tells of the course of the kidneys: `fhir/mapping/kidney_course.py`.
"""

from functools import partial
from typing import Final

from cards.card import FOR_PLANNING, CardText
from cards.compose.equation import people_in_100
from cards.text import plain
from cds_hooks.call.hold_back.visit import VisitRank
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import PATIENT_VIEW
from cds_hooks.call.services._equation import (
    EquationQuestion,
    advise_by_equation,
    advise_by_guideline,
)
from cds_hooks.call.services._exclusions import NOT_AT_HOME, Exclusion, declined, named, on_record
from cds_hooks.call.services._nephrology import (
    DIALYSIS,
    END_STAGE,
    REFERRED_WORDS,
    nephrology_text,
    referral,
    text_of_albumin,
    text_of_fall,
    text_of_inherited,
    text_of_low_egfr,
)
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput, no_card
from fhir.mapping.conditions import ConditionHit, find_condition, find_confirmed
from fhir.mapping.kidney_course import (
    acute_rise,
    is_chronic,
    kidney_failure,
    low_egfr,
    severe_albuminuria,
    sustained_fall,
)
from fhir.mapping.study_words import OrderableTest
from fhir.record.record import PatientRecord
from models_onnx.equations.calculate import EquationResult, RecordInputs, features_of, inputs_from_record
from models_onnx.equations.declaration import get_equation

EQUATION = get_equation("kfre_4")
FEATURES = features_of(EQUATION)
OUTPUT = "5y"
_REFERRAL_RISK: Final = 0.03
"""The 5-year risk of kidney failure from which a referral is discussed: the lower end of KDIGO's 3 to 5 %."""
# What tells of a chronic kidney disease: where one of these did not come, that there is none is not known.
_KIDNEY_SOURCES = {
    "Condition": "the problem list",
    "creatinine": "creatinine and eGFR",
    "uacr": "albumin in the urine",
}


def find(call: ServiceInput) -> Advice:
    """One card where the 5-year risk reaches the site's threshold and nobody was asked yet, else the reason."""
    record = call.record
    if not is_chronic(record):
        return _of_no_chronic_disease(call)
    injury = _active_injury(record)
    if injury is not None:
        text = f"{plain(injury.words, 60)} is on record: KFRE and a routine referral are not for kidneys that change."
        return no_card(EQUATION.id, "excluded", text)
    charted = inputs_from_record(EQUATION, record, {"calibration": call.kfre_region})
    if charted.excluded is not None:
        return advise_by_equation(call, charted, _question(call))
    low = low_egfr(record)
    if low is not None:
        return advise_by_guideline(call, text_of_low_egfr(call, low))
    albumin, fall = severe_albuminuria(record), sustained_fall(record)
    advice = advise_by_equation(call, charted, _question(call, asks_for_tests=not (albumin or fall)))
    if advice.cards:
        return advice
    if albumin:
        return advise_by_guideline(call, text_of_albumin(call, albumin))
    if fall:
        return advise_by_guideline(call, text_of_fall(call, fall))
    inherited = find_confirmed(record, "polycystic_kidney")
    return advise_by_guideline(call, text_of_inherited(call, inherited)) if inherited is not None else advice


def _of_no_chronic_disease(call: ServiceInput) -> Advice:
    record = call.record
    if find_condition(record, "kidney_transplant") is not None:
        return no_card(EQUATION.id, "excluded", "A kidney transplant is on record: its team follows the kidney.")
    low = low_egfr(record) if _active_injury(record) is None else None
    if low is not None and not low.disputed:
        return advise_by_guideline(call, text_of_low_egfr(call, low, is_chronic=False))
    if albumin := severe_albuminuria(record):
        return advise_by_guideline(call, text_of_albumin(call, albumin))
    if _active_injury(record) is None and (fall := sustained_fall(record)):
        return advise_by_guideline(call, text_of_fall(call, fall))
    unknown = [words for kind, words in _KIDNEY_SOURCES.items() if not record.was_requested(kind)]
    if unknown:
        text = f"Chronic kidney disease cannot be judged, because these did not come: {', '.join(unknown)}."
        return no_card(EQUATION.id, "input-missing", text)
    return no_card(
        EQUATION.id,
        "outside-population",
        "No chronic kidney disease: none is confirmed on the problem list, no eGFR older than three "
        "months was under 60, and no urine albumin was raised.",
    )


def _active_injury(record: PatientRecord) -> ConditionHit | None:
    injury = find_confirmed(record, "aki")
    return injury if injury is not None and injury.status == "active" else None


def _question(call: ServiceInput, *, asks_for_tests: bool = True) -> EquationQuestion:
    below = f"The 5-year risk of kidney failure is under {100 * _REFERRAL_RISK:g} in 100."
    return EquationQuestion(OUTPUT, _REFERRAL_RISK, below, partial(_risk, call), _missing if asks_for_tests else None)


def _risk(call: ServiceInput, result: EquationResult) -> CardText:
    people = people_in_100(result)
    threshold = f"{100 * _REFERRAL_RISK:g}"
    return nephrology_text(
        summary=f"Kidney failure within 5 years: about {people:g} in 100 (KFRE). Consider a referral to nephrology.",
        figure=f"{people:g} in 100",
        opening=(
            f"**About {people:g} in 100** people like this {result.output.words}; {100 - people:g} do not. KDIGO 2024 "
            f"gives 3 to 5 in 100 as the point from which to refer; this site uses {threshold}. No referral was found."
        ),
        offers=(referral(call, f"5-year risk of kidney failure {result.number:.1%} (KFRE, 4 variables)"),),
        closing=f"{FOR_PLANNING} Death from other causes is not counted: too high in the very old.",
    )


def _missing(charted: RecordInputs, test: OrderableTest) -> CardText:
    egfr = charted.given.get("egfr")
    egfr_text = f" eGFR is {egfr:.0f}." if isinstance(egfr, float) else ""
    return nephrology_text(
        summary=f"Kidney failure risk is not known: no {test.words} on record. Consider one.",
        opening=(
            f"With the **{test.words}** the risk of kidney failure can be estimated (KFRE, 4 variables); all else is "
            f"there.{egfr_text} KDIGO 2024 asks for the risk to decide on a referral."
        ),
    )


ADVISOR = Advisor(
    id="nephrology-referral",
    hooks=(PATIENT_VIEW,),
    title="Who may benefit from seeing a nephrologist",
    description=(
        "Estimates the 5-year risk of kidney failure (KFRE, 4 variables) of adults with chronic kidney disease and, "
        "where it reaches the site's threshold and no referral is on the chart, suggests one."
    ),
    usage_requirements="For physicians, nurses and pharmacists at an outpatient visit; never shown to patients.",
    needs=Needs.of(
        features=FEATURES,
        analytes=("creatinine", "egfr", "uacr", "upcr"),
        resources=("Condition", "Encounter", "MedicationRequest", "Procedure", "ServiceRequest"),
    ),
    exclusions=(
        *NOT_AT_HOME,
        named("already-done", "Nephrology is on the chart of the last 12 months ({found}).", REFERRED_WORDS),
        declined(REFERRED_WORDS),
        DIALYSIS,
        END_STAGE,
        on_record(
            "outside-population", "A pregnancy is on record: the CKD-EPI 2021 equation does not apply.", "pregnancy"
        ),
        Exclusion("excluded", "Creatinine has risen as in acute injury: no routine referral.", acute_rise),
        Exclusion("excluded", "eGFR is under 15: no card for planning (`kidney-failure`).", kidney_failure),
    ),
    subject=EQUATION.id,
    find=find,
    rank=VisitRank.UNTREATED,
)
