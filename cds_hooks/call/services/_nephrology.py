"""What the advisors of the kidneys share: who sees a nephrologist already, what a guideline says, the offers."""

from functools import partial
from typing import Final

from cards.card import FOR_PLANNING, TOPICS, CardText, Source, Suggestion
from cards.compose.model import WHY
from cards.extension import Fact
from cards.new_orders import is_ordered, orderable_test_for
from cards.rules.patient.measurements import measurement_fact, rival
from cards.text import escape, format_number, plain
from cds_hooks.call.services._equation import fact_of_condition, offer, offer_of_test
from cds_hooks.call.services._exclusions import Exclusion, named
from cds_hooks.call.services._service import ServiceInput
from fhir.mapping.conditions import ConditionHit, find_condition
from fhir.mapping.kidney import KidneyEstimate
from fhir.mapping.kidney_course import REFER_EGFR, Egfr, recent_albumin
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord

KDIGO_2024: Final = Source(
    label="KDIGO 2024 guideline on chronic kidney disease", url="https://doi.org/10.1016/j.kint.2023.10.018"
)
NO_REFERRAL: Final = "No referral was found in the last 12 months."
REFERRED_WORDS: Final = (
    *("nephrolog", "néphrolog", "nefrolog", "nefroloog", "nyremed", "njurmed"),
    *(" renal clinic", "kidney clinic", " renal medicine"),  # " ": no adrenal clinic
)
_DIALYSIS_WORDS = ("dialysis", "dialyse", "dialisi", "diálisi", "dialys", "hemofiltration", "haemofiltration")
_END_STAGE = frozenset({"N186", "5856", "46177005"})  # ICD-10-CM, ICD-9-CM, SNOMED CT: end-stage kidney disease


def _end_stage(record: PatientRecord) -> ConditionHit | None:
    """Return the end-stage kidney disease of the list: chronic dialysis or a transplant belongs to it."""
    hit = find_condition(record, "ckd5_or_dialysis")
    return hit if hit is not None and hit.code.replace(".", "") in _END_STAGE else None


DIALYSIS: Final = named(
    "excluded", "Dialysis is on the chart of the last three months ({found}).", _DIALYSIS_WORDS, 90.0
)
END_STAGE: Final = Exclusion(
    "excluded", "End-stage kidney disease is on the problem list: nephrology is at work.", _end_stage
)


def referral(call: ServiceInput, reason: str) -> Suggestion:
    """Return the draft of a referral to nephrology."""
    words = ("Refer to nephrology", "Draft referral to nephrology with the reason.", "Referral to nephrology")
    return offer(call, *words, reasonCode=[{"text": reason}])


def repeat(call: ServiceInput, analyte: str) -> tuple[Suggestion, ...]:
    """Return the order of the test, or nothing where it is ordered already."""
    test = orderable_test_for((analyte,))
    return () if test is None or is_ordered(call.record, test) else (offer_of_test(call, test),)


# What a guideline says without a score: the text of each card

nephrology_text = partial(CardText, topic=TOPICS["nephrology"], guideline=KDIGO_2024)


def text_of_inherited(call: ServiceInput, inherited: ConditionHit) -> CardText:
    """An inherited kidney disease is a reason to refer, whatever the eGFR."""
    words = plain(inherited.words, 60)
    return nephrology_text(
        about="hereditary_kidney_disease",
        summary=f"{words}, no nephrologist found: consider a referral to nephrology.",
        opening=(
            f"**{escape(words)}** is on record. KDIGO 2024 names hereditary kidney disease as a reason to refer, "
            f"whatever the eGFR. {NO_REFERRAL}"
        ),
        facts=(fact_of_condition("polycystic_kidney", inherited),),
        offers=(referral(call, words),),
    )


def text_of_fall(call: ServiceInput, fall: tuple[Egfr, ...]) -> CardText:
    """A fall that stays, with the ratio of albumin where there is none of this year."""
    (first, before), *_, (newest, now) = fall
    trend = ", ".join(f"{egfr:.0f} ({value.time.date})" for value, egfr in fall)
    change = f"eGFR {before:.0f} to {now:.0f} mL/min/1.73 m²"
    ratio = () if recent_albumin(call.record) is not None else repeat(call, "uacr")
    return nephrology_text(
        about="sustained_fall",
        summary=f"{change} since {first.time.date}, a fall that stays: consider a referral to nephrology.",
        opening=(
            f"**eGFR in mL/min/1.73 m²: {trend}** (CKD-EPI 2021). {NO_REFERRAL}\n\n{WHY} KDIGO 2024 asks for a "
            "referral after a sustained fall of over 20 %, or of over 30 % after the start of a drug that lowers eGFR."
        ),
        facts=(measurement_fact(newest),),
        offers=(referral(call, f"{change.replace('²', '2')} since {first.time.date}"), *ratio),
    )


def text_of_albumin(call: ServiceInput, albumin: tuple[Measurement, ...]) -> CardText:
    """Albumin from 300 mg/g: a referral where it is consistent, a repeat first where it was measured once."""
    measured, limit, equals = "albumin", 300, ""
    if albumin[0].analyte != "uacr":
        measured, limit, equals = "protein", 500, " (the category of 300 mg/g or more of albumin)"
    values = " and ".join(f"{value.value:,.0f} mg/g ({value.time.date})" for value in albumin)
    newest = values.partition(" and ")[0]
    advice, once, first = "consider a referral to nephrology", "", tuple[Suggestion, ...]()
    if len(albumin) == 1:
        advice, first = "consider a repeat, then a referral", repeat(call, "uacr")
        once = " One value is not a consistent finding yet: infection, fever or exercise raise it."
    return nephrology_text(
        about="albumin_from_300",
        summary=f"Urine {measured}/creatinine {newest}: {advice}.",
        opening=(
            f"**Urine {measured}/creatinine {values}.**{once} {NO_REFERRAL}\n\n{WHY} KDIGO 2024 names a consistent "
            f"finding of {limit} mg/g or more{equals} as a reason to refer, whatever the eGFR."
        ),
        facts=(measurement_fact(albumin[0]),),
        offers=(*first, referral(call, f"urine {measured}/creatinine {values}")),
    )


def text_of_low_egfr(call: ServiceInput, kidney: KidneyEstimate, *, is_chronic: bool = True) -> CardText:
    """The referral under an eGFR of 30; where nothing shows that it is chronic, a repeat comes first."""
    time = kidney.time
    dated = f" ({time.date})" if time is not None else ""
    effective, source = time.text if time is not None else None, kidney.sources[0] if kidney.sources else None
    fact = Fact("egfr", value=kidney.value, unit=kidney.unit, effective=effective, source=source)
    text = partial(nephrology_text, about="egfr_under_30", facts=(fact,))
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
