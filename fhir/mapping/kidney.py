"""Kidney function as the rules use it: the best eGFR and the creatinine clearance, each with its evidence.

Source: shared/data/medications/rules/renal.json, table kidney_function, and rules/CLARIFICATIONS.md. An answer is
either a `KidneyEstimate` or a `KidneyAbsence` that says why there is none; a value too old to be used stands in the
absence."""

import math
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from fhir.mapping.conditions import find_condition
from fhir.mapping.equations import (
    AGE_YEARS,
    CKD_EPI_UNIT,
    COCKCROFT_GAULT_UNIT,
    SHARE_SECONDS,
    WeightRule,
    ckd_epi_2021,
    cockcroft_gault,
    dosing_weight,
    is_creatinine_unstable,
    newest_weight,
)
from fhir.mapping.stays import is_inpatient
from fhir.record.datatypes import DAY_SECONDS, FhirTime
from fhir.record.measurement import Measurement, OneSidedResult, Side
from fhir.record.record import PatientRecord
from fhir.record.refusals import Refusal

Method: TypeAlias = Literal[
    "reported", "reported, unit unclear", "CKD-EPI 2021", "Cockcroft-Gault", "dialysis", "CKD stage 5", "CKD stage 4"
]
Reason: TypeAlias = Literal["under-18", "no-age", "missing", "stale"]

MAX_AGE_DAYS = 365
MAX_AGE_DAYS_INPATIENT = 30
_DISPUTE_SHARE = 0.30
_UNIT_UNCLEAR = "The eGFR is reported in mL/min: it may not be per 1.73 m2, and no creatinine is there to check it."
# A result of one side only is refused as a number for these reasons.
_NO_NUMBER = frozenset({"not-exact", "no-quantity"})
_ADULT_YEARS = 18
# KDIGO 2024, table of GFR categories: G5 is an eGFR under 15, G4 one of 15 to 29.
_STAGES: tuple[tuple[str, Method, float], ...] = (
    ("ckd5_or_dialysis", "CKD stage 5", 15.0),
    ("ckd4", "CKD stage 4", 30.0),
)


class KidneyValue(Struct, frozen=True, gc=False):
    """One eGFR of a day: reported by the laboratory, or estimated from a creatinine."""

    value: float
    method: Method
    measurement: Measurement

    @property
    def is_reported(self) -> bool:
        """Whether the laboratory reported it."""
        return self.method != "CKD-EPI 2021"


class KidneyEstimate(Struct, frozen=True, gc=False):
    """Kidney function: `value` in `unit`, not rounded.

    `time` is that of the laboratory value (of the condition for dialysis); `sources` are the resources it rests on;
    `inputs` the measurements; `stale`: older than allowed; `disputed`: the values of that day (`conflicting_values`)
    differ by over 30 % and the lowest is given; `side`: the laboratory reported only ">60", so the value is a limit
    that lies below (or above) the truth; `unstable`: creatinine is changing or acute kidney injury is active, so no
    dose may be derived; `instead_of_clearance`: why an eGFR stands where a clearance was asked for.
    """

    value: float
    unit: str
    method: Method
    time: FhirTime | None
    sources: tuple[str, ...]
    inputs: tuple[Measurement, ...] = ()
    conflicting_values: tuple[KidneyValue, ...] = ()
    side: Side | None = None
    stale: bool = False
    unstable: bool = False
    weight_used: WeightRule | None = None
    instead_of_clearance: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def disputed(self) -> bool:
        """Whether the values of that day contradict each other."""
        return bool(self.conflicting_values)

    @property
    def is_diagnosis(self) -> bool:
        """Whether nothing was measured: the stage of kidney disease on the problem list sets an upper limit."""
        return self.method in ("CKD stage 5", "CKD stage 4")


class KidneyAbsence(Struct, frozen=True, gc=False):
    """Why there is no kidney function: a reason code, a sentence, the value that is too old, what was refused."""

    reason: Reason
    text: str
    old: KidneyEstimate | None = None
    refused: tuple[Refusal, ...] = ()


KidneyFunction: TypeAlias = KidneyEstimate | KidneyAbsence


def egfr_best(record: PatientRecord) -> KidneyFunction:
    """Find the best eGFR in mL/min/1.73 m2: the newest of reported eGFR and CKD-EPI 2021, on one day the reported one.

    Dialysis counts as 0. None under 18; none older than 365 days (30 in hospital). Where no such value is there, stage
    4 or 5 of chronic kidney disease on the problem list gives the upper limit, unless a kidney was transplanted.
    """
    return record.derive(_egfr_best)


def _egfr_best(record: PatientRecord) -> KidneyFunction:
    special = _dialysis(record, CKD_EPI_UNIT) or _child(record)
    if special is not None:
        return special
    measured = _measured(record)
    return measured if isinstance(measured, KidneyEstimate) else _of_stage(record) or measured


def _of_stage(record: PatientRecord) -> KidneyEstimate | None:
    if find_condition(record, "kidney_transplant") is not None:
        return None
    for key, method, limit in _STAGES:
        hit = find_condition(record, key)
        if hit is not None:
            note = f"{method} is on the problem list without a recent value: repeat creatinine; no dose is derived."
            return KidneyEstimate(limit, CKD_EPI_UNIT, method, hit.time, (hit.source,), side="<", notes=(note,))
    return None


def _measured(record: PatientRecord) -> KidneyFunction:
    values = _newest_values(record)
    most = _most_days(record)
    fresh = [value for value in values if value.measurement.whole_days(record.as_of_epoch) <= most]
    bound = _newer_bound(record, fresh or values, is_fresh=bool(fresh))
    if bound is not None:
        return _judged(record, _of_bound(bound))
    if not values:
        return _nothing(record)
    return _judged(record, _of_best_day(record, fresh or values))


def _newer_bound(record: PatientRecord, values: list[KidneyValue], *, is_fresh: bool) -> OneSidedResult | None:
    """Return a reported ">60" that is of a later day than every number; "<15" only if it says more than the numbers."""
    if not _has_one_sided_result(record):
        return None
    for bound in record.one_sided_results("egfr"):
        limit = bound.limit
        # In mL/min it may not be per 1.73 m2: only where there is nothing else.
        if values and not _is_per_area(limit):
            continue
        if values and limit.time.date <= values[0].measurement.time.date:
            return None
        if bound.side in (">", ">=") or not is_fresh or limit.value <= min(value.value for value in values):
            return bound
    return None


def _has_one_sided_result(record: PatientRecord) -> bool:
    """Whether a reported eGFR that is newer than the newest number may be one of one side, such as ">60"."""
    return any(refusal.reason in _NO_NUMBER for refusal in record.lookup("egfr").refused)


def _of_bound(bound: OneSidedResult) -> KidneyEstimate:
    limit = bound.limit
    notes = [f"The laboratory reports eGFR only as {bound.side}{limit.value:g}."]
    method: Method = "reported"
    if not _is_per_area(limit):
        method = "reported, unit unclear"
        notes.append(_UNIT_UNCLEAR)
    source = (limit.source,)
    return KidneyEstimate(
        limit.value, CKD_EPI_UNIT, method, limit.time, source, (limit,), side=bound.side, notes=tuple(notes)
    )


def crcl_cockcroft_gault(record: PatientRecord, weight_rule: WeightRule) -> KidneyFunction:
    """Creatinine clearance in mL/min from the newest creatinine and the newest weight, however old the weight.

    `weight_rule` "actual" is for anticoagulants and dofetilide; "adjusted" takes adjusted body weight when the
    actual one is over 130 % of ideal. Without weight or creatinine the best eGFR stands in and says so.
    """
    special = _dialysis(record, COCKCROFT_GAULT_UNIT) or _child(record)
    if special is not None:
        return special
    creatinine = _newest_creatinine(record)
    weight = newest_weight(record)
    age = record.age_years()
    if creatinine is None or weight is None or age is None or age > AGE_YEARS[1]:
        missing = "creatinine" if creatinine is None else "weight" if weight is None else "age"
        return _instead(egfr_best(record), missing)
    kilograms, kind, note = dosing_weight(record, weight, weight_rule)
    clearances = [cockcroft_gault(age, sex, kilograms, creatinine.value) for sex in sexes_of(record)]
    clearance = KidneyEstimate(
        min(clearances),
        COCKCROFT_GAULT_UNIT,
        "Cockcroft-Gault",
        creatinine.time,
        (creatinine.source, weight.source),
        (creatinine, weight),
        weight_used=kind,
        notes=(*([note] if note else ()), *_sex_note(record, clearances)),
    )
    if _is_stale(record, creatinine):
        best = egfr_best(record)
        if isinstance(best, KidneyEstimate):
            return _instead(best, "recent creatinine")
    return _judged(record, clearance)


def _dialysis(record: PatientRecord, unit: str) -> KidneyEstimate | None:
    hit = find_condition(record, "dialysis")
    if hit is None:
        return None
    note = "Dialysis is on record: no dose is calculated."
    return KidneyEstimate(0.0, unit, "dialysis", hit.time, (hit.source,), notes=(note,))


def _child(record: PatientRecord) -> KidneyAbsence | None:
    age = record.age_years()
    if age is None or age >= _ADULT_YEARS:
        return None
    return KidneyAbsence("under-18", "Under 18 no kidney function is estimated.")


def _newest_values(record: PatientRecord) -> list[KidneyValue]:
    """Return the eGFR values of the newest day and, where none of it has a clear unit, of the newest day that has one.

    Those of one instant from worst to best, newest first. No other day can become the best value; where the
    laboratory says only ">60", every value is compared with that.
    """
    age = record.age_years()
    can_estimate = age is not None and age <= AGE_YEARS[1]
    newest = [
        measurement
        for measurement in (record.newest("creatinine") if can_estimate else None, record.newest("egfr"))
        if measurement
    ]
    compares_all = _has_one_sided_result(record)
    # A day as it is charted can lie a day off in another zone.
    since = -math.inf if compares_all or not newest else min(map(_instant, newest)) - 2 * DAY_SECONDS
    clear = record.measurements_since("creatinine", since) if can_estimate else []
    unclear: list[Measurement] = []
    for measurement in record.measurements_since("egfr", since):
        (clear if _is_per_area(measurement) else unclear).append(measurement)
    wanted = [*clear, *unclear]
    if not compares_all:
        days = {max(measurements, key=_instant).time.date for measurements in (wanted, clear) if measurements}
        wanted = [measurement for measurement in wanted if measurement.time.date in days]
    # One result may arrive under two prefetch keys. Of two values with one timestamp the worse for the drug comes
    # first (CLARIFICATIONS).
    values = dict.fromkeys(_value_of(record, measurement) for measurement in wanted)
    return sorted(values, key=lambda value: (-value.measurement.time.instant, value.value))


def _value_of(record: PatientRecord, measurement: Measurement) -> KidneyValue:
    if measurement.analyte == "egfr":
        return KidneyValue(
            measurement.value, "reported" if _is_per_area(measurement) else "reported, unit unclear", measurement
        )
    return KidneyValue(min(egfrs_from(record, measurement)), "CKD-EPI 2021", measurement)


def sexes_of(record: PatientRecord) -> tuple[Literal["male", "female"], ...]:
    """Return the sex with which an equation is worked out; both where it is not known."""
    sex = record.sex
    return (sex,) if sex is not None else ("female", "male")


def egfrs_from(record: PatientRecord, creatinine: Measurement) -> list[float]:
    """Return the eGFR from a creatinine, that of both sexes where the sex is not known; nothing outside its ages."""
    age = record.age_years()
    if age is None or not AGE_YEARS[0] <= age <= AGE_YEARS[1]:
        return []
    return [ckd_epi_2021(age, sex, creatinine.value) for sex in sexes_of(record)]


def _sex_note(record: PatientRecord, values: Sequence[float]) -> tuple[str, ...]:
    """Return which sex was used, where the administrative gender does not say it: the range of both if unknown."""
    if len(values) > 1:
        low, high = min(values), max(values)
        return (f"The sex is not known: {low:.0f} (female) to {high:.0f} (male); the lower is used.",)
    return tuple(filter(None, (charted_sex_note(record),)))


def charted_sex_note(record: PatientRecord) -> str:
    """Return which sex was used, where the administrative gender does not say it; else nothing."""
    gender = record.patient.gender if record.patient is not None else None
    return f"Worked out with the charted sex: {record.sex}." if record.sex != gender else ""


def _instant(measurement: Measurement) -> float:
    return measurement.time.instant


def _is_per_area(reported: Measurement) -> bool:
    # labs.csv: a unit of mL/min "may not be per 1.73 m2".
    return "1.73" in reported.charted_unit


def _of_best_day(record: PatientRecord, values: list[KidneyValue]) -> KidneyEstimate:
    best = _best(values)
    day = [value for value in values if value.measurement.time.date == best.measurement.time.date]
    conflicting_values: tuple[KidneyValue, ...] = ()
    if any(kidney_value.is_reported for kidney_value in day) and _disagree(kidney_value.value for kidney_value in day):
        conflicting_values = tuple(day)
        best = min(day, key=lambda kidney_value: kidney_value.value)
    notes: tuple[str, ...] = ()
    if best.method == "reported, unit unclear":
        notes = (_UNIT_UNCLEAR,)
    if conflicting_values:
        notes = ("They contradict each other; the lowest is used. Repeat the test.",)
    if not best.is_reported:
        notes += _sex_note(record, egfrs_from(record, best.measurement) if record.sex is None else ())
    return KidneyEstimate(
        best.value,
        CKD_EPI_UNIT,
        best.method,
        best.measurement.time,
        tuple(dict.fromkeys(conflicting_value.measurement.source for conflicting_value in (best, *conflicting_values))),
        (best.measurement,),
        conflicting_values,
        notes=notes,
    )


def _best(values: list[KidneyValue]) -> KidneyValue:
    newest = values[0].measurement.time.date
    day = [value for value in values if value.measurement.time.date == newest]
    # On the same day the reported one; one in mL/min never while there is a creatinine to estimate from.
    for method in ("reported", "CKD-EPI 2021"):
        for kidney_value in day:
            if kidney_value.method == method:
                return kidney_value
    return next((value for value in values if value.method != "reported, unit unclear"), values[0])


def _disagree(values: Iterable[float]) -> bool:
    value_list = list(values)
    return max(value_list) - min(value_list) > _DISPUTE_SHARE * max(value_list)


def _judged(record: PatientRecord, estimate: KidneyEstimate) -> KidneyFunction:
    estimate = replace(estimate, unstable=_is_unstable(record, estimate.inputs[0]))
    if not _is_stale(record, estimate.inputs[0]):
        return estimate
    months = "30 days (in hospital)" if is_inpatient(record) else "12 months"
    text = f"No kidney function in the last {months}; the last one is of {estimate.inputs[0].time.date}."
    return KidneyAbsence("stale", text, replace(estimate, stale=True), _refused(record))


def _is_unstable(record: PatientRecord, used: Measurement) -> bool:
    acute = find_condition(record, "aki")
    if acute is not None and acute.status == "active":
        return True
    # A change of creatinine long before the value that is used says nothing about it.
    since = used.time.instant - SHARE_SECONDS
    newest = record.newest("creatinine")
    if newest is None or newest.time.instant < since:
        return False
    return is_creatinine_unstable(record.measurements_since("creatinine", newest.time.instant - SHARE_SECONDS))


def _is_stale(record: PatientRecord, measurement: Measurement) -> bool:
    return measurement.whole_days(record.as_of_epoch) > _most_days(record)


def _most_days(record: PatientRecord) -> int:
    """How many days old a value may be."""
    return MAX_AGE_DAYS_INPATIENT if is_inpatient(record) else MAX_AGE_DAYS


def _nothing(record: PatientRecord) -> KidneyAbsence:
    refused = _refused(record)
    if record.measurements("creatinine"):
        text = "Kidney function cannot be estimated from creatinine without the patient's age."
        return KidneyAbsence("no-age", text, refused=refused)
    if refused:
        reasons = " ".join(refusal.text for refusal in refused[:2])
        return KidneyAbsence("missing", f"No usable kidney function. {reasons}", refused=refused)
    return KidneyAbsence("missing", "No creatinine or eGFR is on record.")


def _refused(record: PatientRecord) -> tuple[Refusal, ...]:
    """Return the values of creatinine and eGFR that are newer than the ones that can be used."""
    return (*record.lookup("creatinine").refused, *record.lookup("egfr").refused)


def _newest_creatinine(record: PatientRecord) -> Measurement | None:
    return max(record.newest_together("creatinine"), key=lambda measurement: measurement.value, default=None)


def _instead(best: KidneyFunction, missing: str) -> KidneyFunction:
    """Return the eGFR where a clearance was asked for: labels mean Cockcroft-Gault, and the reader must know."""
    if isinstance(best, KidneyAbsence):
        return best
    sentence = f"No {missing}: eGFR is used in place of creatinine clearance."
    return replace(best, instead_of_clearance=missing, notes=(*best.notes, sentence))
