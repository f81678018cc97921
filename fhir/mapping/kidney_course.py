"""The course of the kidneys on a chart: a rise as in acute injury, a fall that stays, albumin, a chronic disease."""

from collections.abc import Sequence
from itertools import islice, takewhile
from typing import Final, TypeAlias

from msgspec import Struct

from fhir.mapping.conditions import find_confirmed
from fhir.mapping.features.measured import CKD_EPI_2021_LOINC
from fhir.mapping.kidney import KidneyEstimate, egfr_best, egfrs_from
from fhir.record.datatypes import DAY_SECONDS, FhirTime
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord

_CHRONIC_DAYS: Final = 90.0  # KDIGO: chronic for more than three months
_CHRONIC_EGFR: Final = 60.0
REFER_EGFR: Final = 30.0
"""KDIGO 2024 (2012 too): refer under 30 mL/min/1.73 m2."""
KIDNEY_FAILURE_EGFR: Final = 15.0
"""KDIGO 2024, table of GFR categories: kidney failure (G5) is an eGFR under 15 mL/min/1.73 m2."""
# KDIGO 2024, table of albumin categories: from 30 mg/g a marker of kidney damage, from 300 severely increased, of which
# a consistent finding is a reason to refer. KDIGO 2012, table of categories (reprinted as table 11 of PMC10200071): a
# protein/creatinine ratio over 500 mg/g is the same category; it is used where no albumin/creatinine ratio of the year
# is on the chart.
_ALBUMINURIA: Final = 30.0
_SEVERE: Final = (("uacr", 300.0), ("upcr", 500.0))
_ALBUMIN_DAYS, _ALBUMIN_BEFORE_DAYS = 365, 3 * 365
# KDIGO 2012 (acute kidney injury, 2.1.1): 1.5 times the baseline, known or presumed to have occurred within 7 days.
_ACUTE_SHARE, _ACUTE_DAYS, _BASELINE_DAYS = 1.5, 30.0, 365.0
_WEEK_DAYS: Final = 7
# KDIGO 2024, circumstances for referral: a sustained fall of the GFR by over 20 %, or over 30 % where a drug was begun
# that lowers it; the larger holds for both. KDIGO 2012, 2.1.3: rapid progression is a sustained decline of over 5
# mL/min/1.73 m2 a year. Sustained: an earlier value, over three months before the newest, shows it too (here).
_FALL_SHARE, _FALL_A_YEAR, _YEAR_DAYS = 0.3, 5.0, 365.25
_FALL_DAYS: Final = 3 * _YEAR_DAYS

Egfr: TypeAlias = tuple[Measurement, float]
"""A creatinine or a reported eGFR, and the eGFR by CKD-EPI 2021 that it says."""


class AcuteRise(Struct, frozen=True):
    """A creatinine that has risen as in acute injury, the one before the rise, and when it was first that high."""

    newest: Measurement
    baseline: Measurement
    since: FhirTime


def acute_rise(record: PatientRecord) -> AcuteRise | None:
    """Return the rise to a creatinine of the last weeks, in kidneys that are diseased or now reduced; else None.

    Who saw an earlier creatinine saw this rise if that one was as far over the baseline and the newest is no such rise
    over it.
    """
    values = record.measurements("creatinine")
    if not values or values[0].whole_days(record.as_of_epoch) > _ACUTE_DAYS:
        return None
    newest = values[0]
    baseline = next((value for value in values[1:] if _days_between(newest, value) >= _WEEK_DAYS), None)
    if baseline is None or _days_between(newest, baseline) > _BASELINE_DAYS or not _has_risen(newest, baseline):
        return None
    if not (is_chronic(record) or is_reduced(record, newest)):
        return None
    same = takewhile(lambda value: _has_risen(value, baseline) and not _has_risen(newest, value), values)
    return AcuteRise(newest, baseline, min((value.time for value in same), key=lambda time: time.instant))


def _has_risen(later: Measurement, before: Measurement) -> bool:
    return later.value >= _ACUTE_SHARE * before.value


def kidney_failure(record: PatientRecord) -> tuple[KidneyEstimate, FhirTime] | None:
    """Return a measured eGFR of this year under 15, and the first of the results in a row that were so low; else None.

    It may be changing. Results of one day that contradict each other are all under 15.
    """
    egfr = egfr_best(record)
    if not isinstance(egfr, KidneyEstimate) or egfr.time is None or not egfr.inputs:
        return None
    highest = max((value.value for value in egfr.conflicting_values), default=egfr.value)
    is_bound = egfr.side in ("<", "<=") and highest <= KIDNEY_FAILURE_EGFR
    if not is_bound and not (egfr.side is None and 0 < highest < KIDNEY_FAILURE_EGFR):
        return None
    before = (time for time, value in takewhile(_is_failure, _egfrs_before(record, egfr.time)))
    return egfr, min((egfr.time, *before), key=lambda time: time.instant)


def _is_failure(result: tuple[FhirTime, float]) -> bool:
    return result[1] < KIDNEY_FAILURE_EGFR


def _egfrs_before(record: PatientRecord, newest: FhirTime) -> list[tuple[FhirTime, float]]:
    """Return the eGFRs of earlier days, newest first: on one day those that the laboratory reported."""
    reported = [(value.time, value.value) for value in record.measurements("egfr")]
    days = {time.date for time, _ in reported}
    derived = [
        (value.time, egfr)
        for value in record.measurements("creatinine")
        for egfr in egfrs_from(record, value)[:1]
        if value.time.date not in days
    ]
    earlier = [result for result in (*reported, *derived) if result[0].date < newest.date]
    return sorted(earlier, key=lambda result: -result[0].instant)


def recent_albumin(record: PatientRecord) -> Measurement | None:
    """Return the newest albumin/creatinine ratio of the year."""
    return record.newest("uacr", _ALBUMIN_DAYS)


def severe_albuminuria(record: PatientRecord) -> tuple[Measurement, ...]:
    """Find the newest ratio of the year that is severely increased and an earlier one that confirms it; () for none."""
    for analyte, limit in _SEVERE:
        values = record.measurements(analyte)
        if values and values[0].whole_days(record.as_of_epoch) <= _ALBUMIN_DAYS:
            if values[0].value < limit:
                return ()
            confirming = (value for value in _months_before(values[0], values) if value.value >= limit)
            return (values[0], *islice(confirming, 1))
    return ()


def sustained_fall(record: PatientRecord) -> tuple[Egfr, ...]:
    """Return the eGFR before, in between and now, where it has fallen for good; () where it has not.

    The newest is under 60. Of the values before it the one of three months ago has to show the fall as well.
    """
    if record.sex is None:
        return ()
    egfrs = _course(record)
    if not egfrs:
        return ()
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


def _course(record: PatientRecord) -> list[Egfr]:
    """Return every eGFR by CKD-EPI 2021, newest first: of a day without a creatinine the one that was reported."""
    derived = [(value, egfr) for value in record.measurements("creatinine") for egfr in egfrs_from(record, value)]
    days = {value.time.date for value, _ in derived}
    reported = record.measurements_with_code("egfr", CKD_EPI_2021_LOINC)
    of_other_days = [(value, value.value) for value in reported if value.time.date not in days]
    return sorted((*derived, *of_other_days), key=lambda result: -result[0].time.instant)


def is_chronic(record: PatientRecord) -> bool:
    """Whether kidney disease is on the problem list, or an eGFR under 60 is more than three months old.

    Albumin in the urine makes it chronic too: raised now and more than three months ago. The eGFR is computed
    from creatinine, or was reported by the laboratory by the same equation.
    """
    if find_confirmed(record, "ckd_any", "polycystic_kidney") is not None or _has_albuminuria(record):
        return True
    reported = record.measurements_with_code("egfr", CKD_EPI_2021_LOINC)
    if any(value.value < _CHRONIC_EGFR and _is_old(value, record) for value in reported):
        return True
    return any(_is_old(value, record) and is_reduced(record, value) for value in record.measurements("creatinine"))


def is_reduced(record: PatientRecord, creatinine: Measurement) -> bool:
    """Whether the eGFR from this creatinine is under 60; False where it cannot be computed."""
    egfrs = egfrs_from(record, creatinine)
    return bool(egfrs) and max(egfrs) < _CHRONIC_EGFR


def low_egfr(record: PatientRecord) -> KidneyEstimate | None:
    """Return an eGFR of this year under 30 that is not changing, or stage 4 or 5 on the list without one; else None."""
    egfr = egfr_best(record)
    if not isinstance(egfr, KidneyEstimate) or egfr.stale or egfr.unstable:
        return None
    if egfr.side is not None:
        return egfr if egfr.side in ("<", "<=") and egfr.value <= REFER_EGFR else None
    return egfr if 0 < egfr.value < REFER_EGFR else None


def _has_fallen(before: Egfr, later: Egfr) -> bool:
    years = _days_between(later[0], before[0]) / _YEAR_DAYS
    is_fast = years >= 1 and (before[1] - later[1]) / years > _FALL_A_YEAR
    return is_fast or later[1] < (1 - _FALL_SHARE) * before[1]


def _has_albuminuria(record: PatientRecord) -> bool:
    raised = [value for value in record.measurements("uacr") if value.value >= _ALBUMINURIA]
    if not raised or raised[0].whole_days(record.as_of_epoch) > _ALBUMIN_DAYS:
        return False
    before = _months_before(raised[0], raised)
    return any(value.whole_days(record.as_of_epoch) <= _ALBUMIN_BEFORE_DAYS for value in before)


def _months_before(newest: Measurement, values: Sequence[Measurement]) -> list[Measurement]:
    return [value for value in values if _days_between(newest, value) > _CHRONIC_DAYS]


def _is_old(measurement: Measurement, record: PatientRecord) -> bool:
    return measurement.whole_days(record.as_of_epoch) > _CHRONIC_DAYS


def _days_between(later: Measurement, before: Measurement) -> float:
    return (later.time.instant - before.time.instant) / DAY_SECONDS
