"""Who may benefit from seeing a nephrologist: the kidney failure risk equation at patient-view.

KDIGO 2024, practice point 2.2.1: a 5-year risk of 3 to 5 % as a threshold for referral, beside eGFR and albumin
criteria; the lower end is taken. Chronic means more than three months, by the eGFR, by albumin
in the urine, or by polycystic kidneys. A creatinine that has risen as in acute injury is asked about first.
"""

from collections.abc import Sequence
from functools import partial
from itertools import islice

from msgspec.structs import replace

from cards.card import TOPICS, Card, OrderSuggestion, Source
from cards.compose.equation import EquationCardContent, guideline_card, people_in_100
from cards.extension import Fact
from cards.new_orders import OrderableTest, is_ordered, orderable_test_for, service_order
from cards.text import escape, format_number, plain
from cds_hooks.call.hold_back.visit import VisitRank
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import PATIENT_VIEW
from cds_hooks.call.services._equation import (
    EquationQuestion,
    advise_by_equation,
    advise_by_guideline,
    fact_of_condition,
    suggestion_of_test,
    today,
)
from cds_hooks.call.services._exclusions import NOT_AT_HOME, declined, find_confirmed, named, on_record
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput, no_card
from fhir.mapping.conditions import ConditionHit, find_condition
from fhir.mapping.equations import AGE_YEARS, ckd_epi_2021
from fhir.mapping.features.measured import CKD_EPI_2021_LOINC
from fhir.mapping.kidney import KidneyEstimate, egfr_best, sexes_of
from fhir.record.datatypes import DAY_SECONDS
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord
from models_onnx.equations.calculate import EquationResult, RecordInputs, features_of, inputs_from_record
from models_onnx.equations.declaration import get_equation

EQUATION = get_equation("kfre_4")
FEATURES = features_of(EQUATION)
OUTPUT = "5y"
REFERRED_WORDS = (
    *("nephrolog", "néphrolog", "nefrolog", "nefroloog", "nyremed", "njurmed"),
    *(" renal clinic", "kidney clinic", " renal medicine"),  # " ": no adrenal clinic
)
DIALYSIS_WORDS = ("dialysis", "dialyse", "dialisi", "diálisi", "dialys", "hemofiltration", "haemofiltration")
_REFERRED_DAYS = 365.0
_CHRONIC_DAYS = 90.0  # KDIGO: chronic for more than three months
_CHRONIC_EGFR = 60.0
_REFER_EGFR = 30.0  # KDIGO 2024 (2012 too): refer under 30 mL/min/1.73 m2
# KDIGO 2024, table of albumin categories: from 30 mg/g a marker of kidney damage, from 300 severely increased, of which
# a consistent finding is a reason to refer.
_ALBUMINURIA, _SEVERE_ALBUMINURIA = 30.0, 300.0
# KDIGO 2012, table of categories (reprinted as table 11 of PMC10200071): a protein/creatinine ratio over 500 mg/g is
# the same category; it is used where no albumin/creatinine ratio of the year is on the chart.
_SEVERE_PROTEINURIA = 500.0
_ALBUMIN_DAYS, _ALBUMIN_BEFORE_DAYS = 365, 3 * 365
# KDIGO 2012 (acute kidney injury, 2.1.1): 1.5 times the baseline, known or presumed to have occurred within 7 days.
_ACUTE_SHARE, _ACUTE_DAYS, _BASELINE_DAYS = 1.5, 30.0, 365.0
_WEEK = 7 * DAY_SECONDS
_KDIGO_2024 = Source(
    label="KDIGO 2024 guideline on chronic kidney disease",
    url="https://doi.org/10.1016/j.kint.2023.10.018",
    topic=TOPICS["nephrology"],
)
_TREND_VALUES = 4
# KDIGO 2024, circumstances for referral: a sustained fall of the GFR by over 20 %, or over 30 % where a drug was begun
# that lowers it; the larger holds for both. KDIGO 2012, 2.1.3: rapid progression is a sustained decline of over 5
# mL/min/1.73 m2 a year. Sustained: an earlier value, over three months before the newest, shows it too (here).
_FALL_SHARE, _FALL_A_YEAR = 0.3, 5.0
_FALL_DAYS = 3 * 365.25
# What tells of a chronic kidney disease: where one of these did not come, that there is none is not known.
_TELLS_OF_KIDNEYS = {
    "Condition": "the problem list",
    "creatinine": "creatinine and eGFR",
    "uacr": "albumin in the urine",
}
_END_STAGE = frozenset({"N186", "5856", "46177005"})  # ICD-10-CM, ICD-9-CM, SNOMED CT: end-stage kidney disease


async def find(call: ServiceInput) -> Advice:
    """One card where the 5-year risk reaches the site's threshold and nobody was asked yet, else the reason."""
    record = call.record
    albumin = severe_albuminuria(record)
    acute = acute_rise(record)
    if not is_chronic(record):
        if acute is not None and _is_low(record, acute[0]):
            return advise_by_guideline(_acute_card(call, *acute))
        if find_condition(record, "kidney_transplant") is not None:
            return no_card(EQUATION.id, "excluded", "A kidney transplant is on record: its team follows the kidney.")
        low = _low_kidney_function(record) if _active_injury(record) is None else None
        if low is not None and not low.disputed:
            return advise_by_guideline(_low_card(call, low, is_chronic=False))
        if albumin:
            return advise_by_guideline(_albumin_card(call, albumin))
        unknown = [words for kind, words in _TELLS_OF_KIDNEYS.items() if not record.was_requested(kind)]
        if unknown:
            text = f"Whether there is a chronic kidney disease is not known: not available: {', '.join(unknown)}."
            return no_card(EQUATION.id, "input-missing", text)
        return no_card(
            EQUATION.id,
            "outside-population",
            "No chronic kidney disease: none is confirmed on the problem list, no eGFR by CKD-EPI 2021 of over three "
            "months ago was under 60, and no albumin in the urine was raised.",
        )
    if acute is not None:
        return advise_by_guideline(_acute_card(call, *acute))
    injury = _active_injury(record)
    if injury is not None:
        words = plain(injury.words, 60)
        text = f"{words} is on record: KFRE and a routine referral are not for kidneys that change."
        return no_card(EQUATION.id, "excluded", text)
    charted = inputs_from_record(EQUATION, record, {"calibration": call.kfre_region})
    low = _low_kidney_function(record) if charted.excluded is None else None
    if _is_end_stage(record) and charted.excluded is None:
        return no_card(
            EQUATION.id, "excluded", "End-stage kidney disease is on the problem list: nephrology is at work."
        )
    if low is not None:
        return advise_by_guideline(_low_card(call, low))
    fall = sustained_fall(record)
    if (albumin or fall) and charted.excluded is None:
        advice = advise_by_equation(call, charted, replace(_question(call), content_for_missing=None))
        if advice.cards:
            return advice
        return advise_by_guideline(_albumin_card(call, albumin) if albumin else _fall_card(call, fall))
    advice = advise_by_equation(call, charted, _question(call))
    inherited = find_confirmed(record, "polycystic_kidney")
    if inherited is None or advice.cards or charted.excluded is not None:
        return advice
    return advise_by_guideline(_inherited_card(call, inherited))


def acute_rise(record: PatientRecord) -> tuple[Measurement, Measurement] | None:
    """Return the creatinine of the last weeks and the one before it, if it has risen as in acute injury; else None."""
    values = record.measurements("creatinine")
    if not values or values[0].whole_days(record.as_of_epoch) > _ACUTE_DAYS:
        return None
    newest = values[0]
    earlier = (value for value in values[1:] if newest.time.instant - value.time.instant >= _WEEK)
    baseline = next(earlier, None)
    if baseline is None or newest.time.instant - baseline.time.instant > _BASELINE_DAYS * DAY_SECONDS:
        return None
    return (newest, baseline) if newest.value >= _ACUTE_SHARE * baseline.value else None


def severe_albuminuria(record: PatientRecord) -> tuple[Measurement, ...]:
    """Find the newest ratio of the year that is severely increased and an earlier one that confirms it; () for none."""
    for analyte, limit in (("uacr", _SEVERE_ALBUMINURIA), ("upcr", _SEVERE_PROTEINURIA)):
        values = record.measurements(analyte)
        if values and values[0].whole_days(record.as_of_epoch) <= _ALBUMIN_DAYS:
            return _confirmed_ratio(values, limit)
    return ()


def _confirmed_ratio(values: Sequence[Measurement], limit: float) -> tuple[Measurement, ...]:
    newest, *before = values
    if newest.value < limit:
        return ()
    confirming = (
        value
        for value in before
        if value.value >= limit and newest.time.instant - value.time.instant > _CHRONIC_DAYS * DAY_SECONDS
    )
    return (newest, *islice(confirming, 1))


def sustained_fall(record: PatientRecord) -> tuple[tuple[Measurement, float], ...]:
    """Return creatinine and eGFR before, in between and now, where the eGFR has fallen for good; () where it has not.

    The newest eGFR is under 60. Of the values before it the one of three months ago has to show the fall as well.
    """
    age, values = record.age_years(), record.measurements("creatinine")
    if age is None or not AGE_YEARS[0] <= age <= AGE_YEARS[1] or record.sex is None or not values:
        return ()
    egfrs = [(value, ckd_epi_2021(age, record.sex, value.value)) for value in values]
    newest, now = egfrs[0]
    if now >= _CHRONIC_EGFR or newest.whole_days(record.as_of_epoch) > _CHRONIC_DAYS:
        return ()
    between = next((item for item in egfrs if _days_between(newest, item[0]) > _CHRONIC_DAYS), None)
    for before in reversed(egfrs):
        if between is None or _days_between(before[0], between[0]) >= 0:
            break
        is_recent = _days_between(newest, before[0]) <= _FALL_DAYS
        if is_recent and all(_has_fallen(before, later) for later in (between, egfrs[0])):
            return before, between, egfrs[0]
    return ()


def _has_fallen(before: tuple[Measurement, float], later: tuple[Measurement, float]) -> bool:
    years = _days_between(later[0], before[0]) / 365.25
    is_fast = years >= 1 and (before[1] - later[1]) / years > _FALL_A_YEAR
    return is_fast or later[1] < (1 - _FALL_SHARE) * before[1]


def _days_between(later: Measurement, before: Measurement) -> float:
    return (later.time.instant - before.time.instant) / DAY_SECONDS


def _fall_card(call: ServiceInput, fall: tuple[tuple[Measurement, float], ...]) -> Card:
    """Build the card of a fall that stays, with the ratio of albumin where there is none of this year."""
    (_, before), *_, (newest, now) = fall
    trend = ", ".join(f"{egfr:.0f} ({value.time.date})" for value, egfr in fall)
    change = f"eGFR {before:.0f} to {now:.0f} mL/min/1.73 m²"
    ratios = call.record.measurements("uacr")
    is_measured = ratios and ratios[0].whole_days(call.record.as_of_epoch) <= _ALBUMIN_DAYS
    offers = () if is_measured else _repeat(call, "uacr")
    return _referral_card(
        call,
        summary=f"{change} since {fall[0][0].time.date}, a fall that stays: consider a referral to nephrology.",
        opening=(
            f"**eGFR in mL/min/1.73 m²: {trend}** (CKD-EPI 2021). KDIGO 2024 names a sustained fall of over 20 % (over "
            "30 % where a drug that lowers it was begun) as a reason to refer, KDIGO 2012 one of over 5 a year. No "
            "referral was found in the last 12 months."
        ),
        reason=f"{change.replace('²', '2')} since {fall[0][0].time.date}",
        fact=_fact_of(newest, "mg/dL"),
        also=offers,
        name="sustained_fall",
    )


def _fact_of(result: Measurement, unit: str) -> Fact:
    return Fact(result.analyte, value=result.value, unit=unit, effective=result.time.text, source=result.source)


def _acute_card(call: ServiceInput, newest: Measurement, baseline: Measurement) -> Card:
    """Build the card of the rise, which comes before any referral: when it happened and why."""
    values = call.record.measurements("creatinine")[:_TREND_VALUES]
    trend = ", ".join(f"{format_number(value.value)} ({value.time.date})" for value in reversed(values))
    rise = f"{format_number(newest.value)} mg/dL ({newest.time.date}), {format_number(baseline.value)} before"
    return guideline_card(
        call.card_identity(),
        output="acute_rise",
        summary=f"Creatinine {rise}: possible acute kidney injury. Consider a repeat now and a look for the cause.",
        opening=(
            f"**Creatinine in mg/dL: {trend}.** A rise to 1.5 times the baseline or more is acute kidney injury where "
            "it is known or presumed to have occurred within 7 days (KDIGO 2012). It is not a matter of a routine "
            "referral, and no risk of kidney failure is worked out from it."
        ),
        source=Source(
            label="KDIGO 2012 guideline on acute kidney injury",
            url="https://kdigo.org/guidelines/acute-kidney-injury/",
            topic=TOPICS["nephrology"],
        ),
        facts=(_fact_of(newest, "mg/dL"),),
        offers=_repeat(call, "creatinine"),
        closing="Symptoms, high potassium or little urine: see the patient now.",
    )


def _inherited_card(call: ServiceInput, inherited: ConditionHit) -> Card:
    """Build the card of an inherited kidney disease, which is a reason to refer, whatever the eGFR."""
    words = plain(inherited.words, 60)
    return _referral_card(
        call,
        summary=f"{words}, no nephrologist found: consider a referral to nephrology.",
        opening=(
            f"**{escape(words)}** is on record. KDIGO 2024 names hereditary kidney disease as a reason to refer, "
            "whatever the eGFR. No referral was found in the last 12 months."
        ),
        reason=words,
        fact=fact_of_condition("polycystic_kidney", inherited),
        name="hereditary_kidney_disease",
    )


def _albumin_card(call: ServiceInput, albumin: tuple[Measurement, ...]) -> Card:
    """Albumin from 300 mg/g: a referral where it is consistent, a repeat first where it was measured once."""
    newest = albumin[0]
    measured, limit = ("albumin", 300) if newest.analyte == "uacr" else ("protein", 500)
    values = " and ".join(f"{value.value:,.0f} mg/g ({value.time.date})" for value in albumin)
    is_consistent = len(albumin) > 1
    equals = "" if measured == "albumin" else " (the category of 300 mg/g or more of albumin)"
    offers = () if is_consistent else _repeat(call, "uacr")
    advice = "consider a referral to nephrology" if is_consistent else "consider a repeat, then a referral"
    once = "" if is_consistent else " One value is not a consistent finding yet: infection, fever or exercise raise it."
    return _referral_card(
        call,
        summary=f"Urine {measured}/creatinine {values}: {advice}.",
        opening=(
            f"**Urine {measured}/creatinine {values}.** KDIGO 2024 names a consistent finding of {limit} mg/g or "
            f"more{equals} as a reason to refer, whatever the eGFR.{once} No referral was found in the last 12 months."
        ),
        reason=f"urine {measured}/creatinine {values}",
        fact=_fact_of(newest, "mg/g"),
        also=offers,
        name="albumin_from_300",
        is_test_first=not is_consistent,
    )


def _active_injury(record: PatientRecord) -> ConditionHit | None:
    injury = find_condition(record, "aki")
    return injury if injury is not None and injury.status == "active" and not injury.doubt else None


def _low_kidney_function(record: PatientRecord) -> KidneyEstimate | None:
    """Return an eGFR of this year under 30 that is not changing, or stage 4 or 5 on the list without one; else None."""
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


def _low_card(call: ServiceInput, kidney: KidneyEstimate, *, is_chronic: bool = True) -> Card:
    """Return the referral under an eGFR of 30; where nothing shows that it is chronic, a repeat comes first."""
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
        return _stage_card(call, kidney, dated, fact)
    if kidney.disputed:
        return _disputed_card(call, kidney, dated, fact)
    number = format_number(kidney.value, [_REFER_EGFR] if kidney.side is None else [], 0)
    value = f"eGFR {number}" if kidney.side is None else f"eGFR under {number}"
    advice = "consider a referral to nephrology" if is_chronic else "repeat it soon, then consider nephrology"
    once = "" if is_chronic else "Nothing shows yet that it is chronic: it may be acute. "
    return _referral_card(
        call,
        summary=f"Kidney disease with {value} mL/min/1.73 m²{dated}: {advice}.",
        opening=(
            f"**{value} mL/min/1.73 m²**{dated}: KDIGO 2024 refers to nephrology under 30, whatever the urine shows. "
            + " ".join([f"{once}No referral was found in the last 12 months.", *kidney.notes])
        ),
        reason=f"{value} mL/min/1.73 m2{dated}",
        fact=fact,
        also=() if is_chronic else _repeat(call, "creatinine"),
        is_test_first=not is_chronic,
    )


def _disputed_card(call: ServiceInput, kidney: KidneyEstimate, dated: str, fact: Fact) -> Card:
    """Return the values of one day contradict each other: a repeat, before a referral is thought of."""
    values = sorted(round(value.value) for value in kidney.conflicting_values)
    value = f"eGFR {values[0]} to {values[-1]} mL/min/1.73 m²{dated}, disputed"
    return guideline_card(
        call.card_identity(),
        output="egfr_disputed",
        summary=f"Kidney disease with {value}: repeat before deciding on a referral.",
        opening=(
            f"**{value}**: the values of that day contradict each other. KDIGO 2024 refers to nephrology under 30; "
            "which of them is right, a repeat shows."
        ),
        source=_KDIGO_2024,
        facts=(fact,),
        offers=_repeat(call, "creatinine"),
    )


def _stage_card(call: ServiceInput, kidney: KidneyEstimate, dated: str, fact: Fact) -> Card:
    """Stages 4 and 5 are an eGFR under 30: KDIGO 2012, 5.1.1, refers "GFR categories G4-G5"."""
    number = kidney.method[-1]
    stage, listed = f"stage {number}", f"on the problem list{dated}"
    return _referral_card(
        call,
        summary=f"Kidney disease {stage} {listed}, no recent eGFR: consider a referral to nephrology.",
        opening=(
            f"**Chronic kidney disease {stage}** is {listed}; no eGFR of the last 12 months is on the chart. "
            "KDIGO 2024 refers to nephrology under an eGFR of 30 (stages 4 and 5), whatever the urine shows. No "
            "referral was found in the last 12 months. Repeat creatinine where the stage may be out of date."
        ),
        reason=f"chronic kidney disease {stage}, {listed}",
        fact=replace(fact, name="ckd_stage", value=float(number), unit=None),
        also=_repeat(call, "creatinine"),
    )


def _referral_card(
    call: ServiceInput,
    *,
    summary: str,
    opening: str,
    reason: str,
    fact: Fact,
    also: tuple[OrderSuggestion, ...] = (),
    name: str = "egfr_under_30",
    is_test_first: bool = False,
) -> Card:
    referral = _referral(call, reason)
    return guideline_card(
        call.card_identity(),
        output=name,
        summary=summary,
        opening=opening,
        source=_KDIGO_2024,
        facts=(fact,),
        offers=(*also, referral) if is_test_first else (referral, *also),
    )


def _referral(call: ServiceInput, reason: str) -> OrderSuggestion:
    order = service_order("Referral to nephrology", call.record.patient_id, today(call), reasonCode=[{"text": reason}])
    return OrderSuggestion("Refer to nephrology", "Draft referral to nephrology with the reason.", order)


def _repeat(call: ServiceInput, analyte: str) -> tuple[OrderSuggestion, ...]:
    """Return the order of the test, or nothing where it is ordered already."""
    test = orderable_test_for((analyte,))
    return () if test is None or is_ordered(call.record, test) else (suggestion_of_test(test, call),)


def is_chronic(record: PatientRecord) -> bool:
    """Whether kidney disease is on the problem list, or an eGFR under 60 is more than three months old.

    Albumin in the urine makes it chronic too: raised now and more than three months ago. The eGFR is computed
    from creatinine, or was reported by the laboratory by the same equation.
    """
    if find_confirmed(record, "ckd_any", "polycystic_kidney") is not None or _has_albuminuria(record):
        return True
    reported = (measurement for measurement in record.measurements("egfr") if measurement.code == CKD_EPI_2021_LOINC)
    if any(measurement.value < _CHRONIC_EGFR and _is_old(measurement, record) for measurement in reported):
        return True
    old = (measurement for measurement in record.measurements("creatinine") if _is_old(measurement, record))
    return any(_is_low(record, measurement) for measurement in old)


def _is_low(record: PatientRecord, creatinine: Measurement) -> bool:
    """Whether the eGFR from this creatinine is under 60; False where it cannot be computed."""
    age = record.age_years()
    if age is None or not AGE_YEARS[0] <= age <= AGE_YEARS[1]:
        return False
    return all(ckd_epi_2021(age, sex, creatinine.value) < _CHRONIC_EGFR for sex in sexes_of(record))


def _has_albuminuria(record: PatientRecord) -> bool:
    values = [value for value in record.measurements("uacr") if value.value >= _ALBUMINURIA]
    recent = [value for value in values if value.whole_days(record.as_of_epoch) <= _ALBUMIN_DAYS]
    before = (value for value in values if value.whole_days(record.as_of_epoch) <= _ALBUMIN_BEFORE_DAYS)
    newest = recent[0] if recent else None
    if newest is None:
        return False
    apart = _CHRONIC_DAYS * DAY_SECONDS
    return any(newest.time.instant - value.time.instant > apart for value in before)


def _is_old(measurement: Measurement, record: PatientRecord) -> bool:
    return measurement.whole_days(record.as_of_epoch) > _CHRONIC_DAYS


_REFERRAL_RISK = 0.03
"""The 5-year risk of kidney failure from which a referral is discussed: the lower end of KDIGO's 3 to 5 %."""


def _question(call: ServiceInput) -> EquationQuestion:
    def reaches(result: EquationResult) -> bool:
        return result.number >= _REFERRAL_RISK

    below = f"The 5-year risk of kidney failure is under {100 * _REFERRAL_RISK:g} in 100."
    return EquationQuestion(OUTPUT, reaches, below, partial(_content, call), partial(_content_for_missing, call))


def _content(call: ServiceInput, _charted: RecordInputs, result: EquationResult) -> EquationCardContent:
    people = people_in_100(result)
    threshold = f"{100 * _REFERRAL_RISK:g}"
    return EquationCardContent(
        summary=f"Kidney failure within 5 years: about {people:g} in 100 (KFRE). Consider a referral to nephrology.",
        figure=f"{people:g} in 100",
        opening=(
            f"**About {people:g} in 100** people like this {result.output.words}; {100 - people:g} do not. KDIGO 2024 "
            f"gives 3 to 5 in 100 as the point from which to refer; this site uses {threshold}. No referral was found."
        ),
        topic=TOPICS["nephrology"],
        offers=(_referral(call, f"5-year risk of kidney failure {result.number:.1%} (KFRE, 4 variables)"),),
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
        named(
            "already-done",
            "Nephrology is on the chart of the last 12 months ({found}).",
            REFERRED_WORDS,
            _REFERRED_DAYS,
        ),
        declined(REFERRED_WORDS),
        named(
            "excluded", "Dialysis is on the chart of the last three months ({found}).", DIALYSIS_WORDS, _CHRONIC_DAYS
        ),
        on_record(
            "outside-population", "A pregnancy is on record: an eGFR by CKD-EPI 2021 is not for it.", "pregnancy"
        ),
    ),
    subject=EQUATION.id,
    find=find,
    rank=VisitRank.UNTREATED,
)
