"""Kidneys that fail now: a creatinine that rises as in acute injury, or an eGFR under 15, at patient-view.

KDIGO 2012 (acute kidney injury, 2.1.1): 1.5 times the baseline. KDIGO 2024: under an eGFR of 15 kidney failure (G5).
Nephrology's own patients are told too, unless it is on the chart after the finding began. In hospital it is silent:
creatinine is measured every day there, and alerts on it have not helped (Wilson, BMJ 2021, doi.org/10.1136/bmj.m4786).
An opt-out from estimates does not silence it.
"""

from functools import partial
from typing import Final

from cards.card import TOPICS, CardText, Source, Suggestion
from cards.extension import Fact
from cards.rules.patient.measurements import measurement_fact
from cards.text import format_number
from cds_hooks.call.hold_back.visit import VisitRank
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import PATIENT_VIEW
from cds_hooks.call.services._equation import advise_by_guideline
from cds_hooks.call.services._exclusions import (
    A_YEAR_DAYS,
    DECEASED,
    IN_HOSPITAL,
    PALLIATIVE,
    Exclusion,
    find_declined,
    find_named_in_chart,
    find_named_since,
    first_reason,
    on_record,
)
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
from fhir.mapping.conditions import find_condition
from fhir.mapping.kidney import KidneyEstimate
from fhir.mapping.kidney_course import KIDNEY_FAILURE_EGFR, AcuteRise, acute_rise, is_chronic, kidney_failure
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot

_ID: Final = "kidney-failure"
_KDIGO_2012 = Source(
    label="KDIGO 2012 guideline on acute kidney injury", url="https://kdigo.org/guidelines/acute-kidney-injury/"
)
_text = partial(
    CardText, topic=TOPICS["kidneys"], closing="Symptoms, high potassium or little urine: see the patient now."
)
_TREND_VALUES = 4
_SEVERE_MG_DL, _SEVERE_TIMES = 4.0, 3.0
"""Stage 3 of an acute kidney injury (KDIGO 2012, table 2)."""


def _seen_since_rise(record: PatientRecord) -> str | None:
    rise = acute_rise(record)
    return find_named_since(record, REFERRED_WORDS, rise.since) if rise is not None else None


def _seen_since_failure(record: PatientRecord) -> str | None:
    failure = kidney_failure(record)
    return find_named_since(record, REFERRED_WORDS, failure[1]) if failure is not None else None


def _declined_since_failure(record: PatientRecord) -> str | None:
    failure = kidney_failure(record)
    return find_declined(record, REFERRED_WORDS, failure[1]) if failure is not None else None


_NOT_OF_RISE: Final = (
    Exclusion("already-done", "Nephrology is on the chart after the rise of creatinine ({found}).", _seen_since_rise),
)
_NOT_OF_FAILURE: Final = (
    on_record("excluded", "A kidney transplant is on record: its team follows the kidney.", "kidney_transplant"),
    Exclusion("already-done", "Nephrology is on the chart since eGFR is under 15 ({found}).", _seen_since_failure),
    Exclusion("declined", "Nephrology was declined since eGFR is under 15 ({found}).", _declined_since_failure),
)


def find(call: ServiceInput) -> Advice:
    """One card for a rise of creatinine or an eGFR under 15 that nephrology has not seen, else the reason."""
    record = call.record
    rise, failure = acute_rise(record), kidney_failure(record)
    reasons: list[WhyNot] = []
    if rise is not None:
        why = first_reason(_NOT_OF_RISE, _ID, record)
        if why is None:
            return advise_by_guideline(call, _of_rise(call, rise))
        reasons.append(why)
    if failure is not None:
        why = first_reason(_NOT_OF_FAILURE, _ID, record)
        if why is None:
            return advise_by_guideline(call, _of_failure(call, failure[0]))
        reasons.append(why)
    if reasons:
        return Advice(silences=reasons)
    if not record.was_requested("creatinine"):
        return no_card(_ID, "input-missing", "Kidney failure cannot be judged: creatinine and eGFR did not come.")
    return no_card(_ID, "within-limits", "No rise of creatinine to 1.5 times, and no eGFR under 15.")


def _of_rise(call: ServiceInput, rise: AcuteRise) -> CardText:
    """Ask when the rise happened and why, which comes before any referral."""
    newest, baseline = rise.newest, rise.baseline
    values = call.record.measurements("creatinine")[:_TREND_VALUES]
    trend = ", ".join(f"{format_number(value.value)} ({value.time.date})" for value in reversed(values))
    is_severe = newest.value >= min(_SEVERE_MG_DL, _SEVERE_TIMES * baseline.value)
    change = f"{format_number(newest.value)} mg/dL ({newest.time.date}), {format_number(baseline.value)} before"
    return _text(
        about="acute_rise",
        summary=f"Creatinine {change}: possible acute kidney injury. Repeat it now.",
        opening=(
            f"**Creatinine in mg/dL: {trend}.** A rise to 1.5 times the baseline or more, known or presumed within 7 "
            f"days, is acute kidney injury (KDIGO 2012). Look for the cause. {_known(call.record)}"
        ).rstrip(),
        guideline=_KDIGO_2012,
        indicator="warning" if is_severe else "info",
        facts=(measurement_fact(newest),),
        offers=repeat(call, "creatinine"),
    )


def _of_failure(call: ServiceInput, kidney: KidneyEstimate) -> CardText:
    """Refer, or tell the nephrologist; where it is changing or nothing shows that it is chronic, repeat first."""
    record, time = call.record, kidney.time
    assert time is not None  # noqa: S101 - it was measured
    number = format_number(kidney.value, [KIDNEY_FAILURE_EGFR] if kidney.side is None else [], 0)
    value = f"eGFR {'' if kidney.side is None else 'under '}{number} mL/min/1.73 m²"
    known = _known(record)
    advice, doubt, first = "kidney failure (KDIGO G5), refer to nephrology", "", tuple[Suggestion, ...]()
    if known:
        advice = "kidney failure (KDIGO G5), tell nephrology"
    if kidney.unstable or not is_chronic(record):
        advice, first = "repeat it soon, then consider nephrology", repeat(call, "creatinine")
        doubt = "Nothing shows yet that it is chronic: it may be acute."
    if kidney.unstable:
        doubt = "Creatinine is changing, or acute kidney injury is on record: it may be acute."
    pregnant = find_condition(record, "pregnancy") is not None
    of_pregnancy = "A pregnancy is on record: eGFR does not apply, read the creatinine." if pregnant else ""
    sentences = [
        f"**{value}** ({time.date}): KDIGO 2024 calls an eGFR under 15 kidney failure and refers to nephrology.",
        *(doubt, of_pregnancy, known or NO_REFERRAL, *kidney.notes),
    ]
    return _text(
        about="egfr_under_15",
        summary=f"Kidney disease with {value} ({time.date}): {advice}.",
        opening=" ".join(filter(None, sentences)),
        guideline=KDIGO_2024,
        indicator="info" if known else "warning",
        facts=(Fact("egfr", value=kidney.value, unit=kidney.unit, effective=time.text, source=kidney.sources[0]),),
        offers=(*first, referral(call, f"{value.replace('²', '2')} ({time.date})")),
    )


def _known(record: PatientRecord) -> str:
    """Return the sentence for whom nephrology knows, but not this finding; else nothing."""
    if find_named_in_chart(record, REFERRED_WORDS, A_YEAR_DAYS) is None:
        return ""
    return "Nephrology is on the chart of the last 12 months, but no visit or order of it after this result."


ADVISOR = Advisor(
    id=_ID,
    hooks=(PATIENT_VIEW,),
    title="Whose kidneys fail now",
    description=(
        "Shows a creatinine that has risen as in acute kidney injury, or an eGFR under 15, that nephrology "
        "has not seen yet."
    ),
    usage_requirements="For physicians, nurses and pharmacists at an outpatient visit; never shown to patients.",
    needs=Needs.of(
        analytes=("creatinine", "egfr", "uacr"),
        resources=("Condition", "Encounter", "Procedure", "ServiceRequest"),
    ),
    exclusions=(
        DECEASED,
        PALLIATIVE,
        IN_HOSPITAL,
        DIALYSIS,
        END_STAGE,
        on_record("excluded", "Dialysis is on record.", "dialysis"),
    ),
    find=find,
    rank=VisitRank.DANGER,
    warns_of_harm=True,
)
