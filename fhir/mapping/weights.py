"""The weight that doses are judged by, and which weights cannot be right for the age or beside those before.

The bounds by age (tables/weight_bounds.csv) are what WHO and CDC call implausible, for both sexes together. A weight is
out of line with the others where it is three times one of the 90 days before it or more. One that is a third is used:
of the two it is the one that no dose is too large for.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from fhir.record.datatypes import DAY_SECONDS
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord
from fhir.record.refusals import Refusal
from fhir.terminology.medications import table_rows

_ADULT_YEARS: Final = 18
_CHILD_WEIGHT_DAYS: Final = 90.0
_DAYS_A_MONTH: Final = 30.4375
_JUMP: Final = 3.0


class WeightBounds(Struct, frozen=True):
    """From which age in months on weights are plausible between `least_kg` and `most_kg`."""

    age_months: float
    least_kg: float
    most_kg: float


BOUNDS: Final = tuple(
    WeightBounds(float(row["age_months"]), float(row["least_kg"]), float(row["most_kg"]))
    for row in table_rows("weight_bounds.csv")
)
"""The bounds by age, the youngest first."""


class JudgedWeight(Struct, frozen=True):
    """The newest weight that can be right, or the newer one that was not used for its value or its age."""

    used: Measurement | None
    implausible: Measurement | None = None
    too_old: Measurement | None = None


def judged_weight(record: PatientRecord) -> JudgedWeight:
    """Return the newest weight that can be right: of an adult however old, of a child of the last 90 days."""
    return record.derive(_judge)


def _judge(record: PatientRecord) -> JudgedWeight:
    age = record.age_years()
    weights = record.measurements("body_weight")
    possible = [weight for weight in weights if _is_plausible(weight, record)]
    used = next(
        (weight for count, weight in enumerate(possible, 1) if not _is_out_of_line(weight, possible[count:])), None
    )
    newest = weights[0] if weights else None
    implausible = newest if newest is not None and newest is not used else None
    is_child = age is not None and age < _ADULT_YEARS
    too_old = (
        used if used is not None and is_child and used.whole_days(record.as_of_epoch) > _CHILD_WEIGHT_DAYS else None
    )
    return JudgedWeight(used if too_old is None else None, implausible, too_old)


def refused_weights(record: PatientRecord) -> tuple[Refusal, ...]:
    """Return the newest weight where it cannot be right."""
    weight = judged_weight(record).implausible
    if weight is None:
        return ()
    text = f"weight {format_kg(weight)} of {weight.time.text[:10]} cannot be right at this age or beside the others"
    return (Refusal(weight.source, "implausible-weight", f"{text}: not used.", "body_weight"),)


def format_kg(weight: Measurement) -> str:
    """Return "14.2 kg"."""
    return f"{weight.value:.4g} kg"


def largest_plausible_kg(record: PatientRecord) -> float | None:
    """Return the largest plausible weight of a child of this age today; None for an adult and without an age.

    Where the last plausible weight is too old to be used, it grows as the bounds of the age have grown since then.
    """
    age = record.age_years()
    if age is None or age >= _ADULT_YEARS:
        return None
    months = _age_months(record, record.as_of_epoch)
    if months is None:
        return None
    most, last = _most_kg(months), judged_weight(record).too_old
    months_then = _age_months(record, last.time.instant) if last is not None else None
    return most if last is None or months_then is None else min(most, last.value * most / _most_kg(months_then))


def _age_months(record: PatientRecord, instant: float) -> float | None:
    born = record.birth_date
    return born.whole_days(instant) / _DAYS_A_MONTH if born is not None else None


def _is_plausible(weight: Measurement, record: PatientRecord) -> bool:
    months = _age_months(record, weight.time.instant)
    if months is None:
        return True
    least = next(bounds for bounds in reversed(BOUNDS) if bounds.age_months <= months)
    is_child = months < _ADULT_YEARS * 12
    return weight.value >= least.least_kg and (not is_child or weight.value <= _most_kg(months))


def _most_kg(months: float) -> float:
    """Return the upper bound of the next age in the table, so that nobody between two ages is left out."""
    return next((bounds.most_kg for bounds in BOUNDS if bounds.age_months > months), BOUNDS[-1].most_kg)


def _is_out_of_line(weight: Measurement, older: Sequence[Measurement]) -> bool:
    for before in older:
        if (weight.time.instant - before.time.instant) / DAY_SECONDS > _CHILD_WEIGHT_DAYS:
            return False
        if weight.value / before.value >= _JUMP:
            return True
    return False
