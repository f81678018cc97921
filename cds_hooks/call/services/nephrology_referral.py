"""Who may benefit from seeing a nephrologist: the kidney failure risk equation at patient-view.

KDIGO 2024, practice point 2.2.1: a 5-year risk of 3 to 5 % as a threshold for referral, beside eGFR and albumin
criteria; the lower end is taken. Chronic means more than three months, by the eGFR, by albumin
in the urine, or by polycystic kidneys. A rise of creatinine and an eGFR under 15 are of `kidney_failure.py`.
What the chart tells of the course of the kidneys: `fhir/mapping/kidney_course.py`.
"""

from functools import partial
from typing import Final

from cards.card import FOR_PLANNING, TOPICS, CardText, Suggestion
from cards.compose.equation import people_in_100
from cards.extension import Fact
from cards.new_orders import OrderableTest
from cards.rules.patient.measurements import measurement_fact, rival
from cards.text import escape, format_number, plain
from cds_hooks.call.hold_back.visit import VisitRank
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import PATIENT_VIEW
from cds_hooks.call.services._equation import (
    EquationQuestion,
    advise_by_equation,
    advise_by_guideline,
    fact_of_condition,
)
from cds_hooks.call.services._exclusions import NOT_AT_HOME, Exclusion, declined, named, on_record
from cds_hooks.call.services._nephrology import (
    DIALYSIS,
    END_STAGE,
    KDIGO_2024,
    NO_REFERRAL,
    REFERRED_WORDS,
    referral,
    repeat,
)
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput, no_card
from fhir.mapping.conditions import ConditionHit, find_condition, find_confirmed
from fhir.mapping.kidney import KidneyEstimate
from fhir.mapping.kidney_course import (
    REFER_EGFR,
    Egfr,
    acute_rise,
    is_chronic,
    kidney_failure,
    low_egfr,
    recent_albumin,
    severe_albuminuria,
    sustained_fall,
)
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord
from models_onnx.equations.calculate import EquationResult, RecordInputs, features_of, inputs_from_record
from models_onnx.equations.declaration import get_equation

EQUATION = get_equation("kfre_4")
FEATURES = features_of(EQUATION)
OUTPUT = "5y"
_REFERRAL_RISK: Final = 0.03
"""The 5-year risk of kidney failure from which a referral is discussed: the lower end of KDIGO's 3 to 5 %."""
_text = partial(CardText, topic=TOPICS["nephrology"], guideline=KDIGO_2024)
# What tells of a chronic kidney disease: where one of these did not come, that there is none is not known.
_KIDNEY_SOURCES = {
    "Condition": "the problem list",
    "creatinine": "creatinine and eGFR",
    "uacr": "albumin in the urine",
}


async def find(call: ServiceInput) -> Advice:
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
        return advise_by_guideline(call, _of_low_egfr(call, low))
    albumin, fall = severe_albuminuria(record), sustained_fall(record)
    advice = advise_by_equation(call, charted, _question(call, asks_for_tests=not (albumin or fall)))
    if advice.cards:
        return advice
    if albumin:
        return advise_by_guideline(call, _of_albumin(call, albumin))
    if fall:
        return advise_by_guideline(call, _of_fall(call, fall))
    inherited = find_confirmed(record, "polycystic_kidney")
    return advise_by_guideline(call, _of_inherited(call, inherited)) if inherited is not None else advice


def _of_no_chronic_disease(call: ServiceInput) -> Advice:
    record = call.record
    if find_condition(record, "kidney_transplant") is not None:
        return no_card(EQUATION.id, "excluded", "A kidney transplant is on record: its team follows the kidney.")
    low = low_egfr(record) if _active_injury(record) is None else None
    if low is not None and not low.disputed:
        return advise_by_guideline(call, _of_low_egfr(call, low, is_chronic=False))
    if albumin := severe_albuminuria(record):
        return advise_by_guideline(call, _of_albumin(call, albumin))
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


# What a guideline says without a score: the text of each card


def _of_inherited(call: ServiceInput, inherited: ConditionHit) -> CardText:
    """An inherited kidney disease is a reason to refer, whatever the eGFR."""
    words = plain(inherited.words, 60)
    return _text(
        about="hereditary_kidney_disease",
        summary=f"{words}, no nephrologist found: consider a referral to nephrology.",
        opening=(
            f"**{escape(words)}** is on record. KDIGO 2024 names hereditary kidney disease as a reason to refer, "
            f"whatever the eGFR. {NO_REFERRAL}"
        ),
        facts=(fact_of_condition("polycystic_kidney", inherited),),
        offers=(referral(call, words),),
    )


def _of_fall(call: ServiceInput, fall: tuple[Egfr, ...]) -> CardText:
    """A fall that stays, with the ratio of albumin where there is none of this year."""
    (first, before), *_, (newest, now) = fall
    trend = ", ".join(f"{egfr:.0f} ({value.time.date})" for value, egfr in fall)
    change = f"eGFR {before:.0f} to {now:.0f} mL/min/1.73 m²"
    ratio = () if recent_albumin(call.record) is not None else repeat(call, "uacr")
    return _text(
        about="sustained_fall",
        summary=f"{change} since {first.time.date}, a fall that stays: consider a referral to nephrology.",
        opening=(
            f"**eGFR in mL/min/1.73 m²: {trend}** (CKD-EPI 2021). KDIGO 2024 asks for a referral after a sustained "
            "fall of over 20 %, or of over 30 % after the start of a drug that lowers eGFR. "
            f"{NO_REFERRAL}"
        ),
        facts=(measurement_fact(newest),),
        offers=(referral(call, f"{change.replace('²', '2')} since {first.time.date}"), *ratio),
    )


def _of_albumin(call: ServiceInput, albumin: tuple[Measurement, ...]) -> CardText:
    """Albumin from 300 mg/g: a referral where it is consistent, a repeat first where it was measured once."""
    measured, limit, equals = "albumin", 300, ""
    if albumin[0].analyte != "uacr":
        measured, limit, equals = "protein", 500, " (the category of 300 mg/g or more of albumin)"
    values = " and ".join(f"{value.value:,.0f} mg/g ({value.time.date})" for value in albumin)
    advice, once, first = "consider a referral to nephrology", "", tuple[Suggestion, ...]()
    if len(albumin) == 1:
        advice, first = "consider a repeat, then a referral", repeat(call, "uacr")
        once = " One value is not a consistent finding yet: infection, fever or exercise raise it."
    return _text(
        about="albumin_from_300",
        summary=f"Urine {measured}/creatinine {values}: {advice}.",
        opening=(
            f"**Urine {measured}/creatinine {values}.** KDIGO 2024 names a consistent finding of {limit} mg/g or "
            f"more{equals} as a reason to refer, whatever the eGFR.{once} {NO_REFERRAL}"
        ),
        facts=(measurement_fact(albumin[0]),),
        offers=(*first, referral(call, f"urine {measured}/creatinine {values}")),
    )


def _of_low_egfr(call: ServiceInput, kidney: KidneyEstimate, *, is_chronic: bool = True) -> CardText:
    """The referral under an eGFR of 30; where nothing shows that it is chronic, a repeat comes first."""
    time = kidney.time
    dated = f" ({time.date})" if time is not None else ""
    effective, source = time.text if time is not None else None, kidney.sources[0] if kidney.sources else None
    fact = Fact("egfr", value=kidney.value, unit=kidney.unit, effective=effective, source=source)
    text = partial(_text, about="egfr_under_30", facts=(fact,))
    if kidney.is_diagnosis:  # KDIGO 2012, 5.1.1, refers "GFR categories G4-G5", which are an eGFR under 30
        number = kidney.method[-1]
        stage, listed = f"stage {number}", f"on the problem list{dated}"
        return text(
            summary=f"Kidney disease {stage} {listed}, no recent eGFR: consider a referral to nephrology.",
            opening=(
                f"**Chronic kidney disease {stage}** is {listed}; no eGFR of the last 12 months is on the chart. "
                "KDIGO 2024 refers to nephrology under an eGFR of 30 (stages 4 and 5), whatever the urine shows. "
                f"{NO_REFERRAL} Repeat creatinine where the stage may be out of date."
            ),
            facts=(Fact("ckd_stage", value=float(number), effective=effective, source=source),),
            offers=(
                referral(call, f"chronic kidney disease {stage}, {listed}"),
                *repeat(call, "creatinine"),
            ),
        )
    if kidney.disputed:
        values = sorted(round(value.value) for value in kidney.conflicting_values)
        value = f"eGFR {values[0]} to {values[-1]} mL/min/1.73 m²{dated}, disputed"
        rivals = ", ".join(dict.fromkeys(rival(value) for value in kidney.conflicting_values))
        return text(
            about="egfr_disputed",
            summary=f"Kidney disease with {value}: repeat before a referral.",
            opening=(
                f"Results in mL/min/1.73 m²{dated}: {rivals}. A repeat will show which is right. KDIGO 2024 refers to "
                "nephrology under 30."
            ),
            offers=repeat(call, "creatinine"),
        )
    number = format_number(kidney.value, [REFER_EGFR] if kidney.side is None else [], 0)
    value = f"eGFR {number}" if kidney.side is None else f"eGFR under {number}"
    advice, once, first = "consider a referral to nephrology", "", tuple[Suggestion, ...]()
    if not is_chronic:
        advice, first = "repeat it soon, then consider nephrology", repeat(call, "creatinine")
        once = "Nothing shows yet that it is chronic: it may be acute. "
    return text(
        summary=f"Kidney disease with {value} mL/min/1.73 m²{dated}: {advice}.",
        opening=(
            f"**{value} mL/min/1.73 m²**{dated}: KDIGO 2024 refers to nephrology under 30, whatever the urine shows. "
            + " ".join([f"{once}{NO_REFERRAL}", *kidney.notes])
        ),
        offers=(*first, referral(call, f"{value} mL/min/1.73 m2{dated}")),
        closing=FOR_PLANNING,
    )


# The equation


def _question(call: ServiceInput, *, asks_for_tests: bool = True) -> EquationQuestion:
    below = f"The 5-year risk of kidney failure is under {100 * _REFERRAL_RISK:g} in 100."
    return EquationQuestion(OUTPUT, _REFERRAL_RISK, below, partial(_risk, call), _missing if asks_for_tests else None)


def _risk(call: ServiceInput, result: EquationResult) -> CardText:
    people = people_in_100(result)
    threshold = f"{100 * _REFERRAL_RISK:g}"
    return _text(
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
    return _text(
        summary=f"Kidney disease: risk of kidney failure not known, no {test.words}. Consider ordering it.",
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
