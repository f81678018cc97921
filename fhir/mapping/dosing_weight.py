"""Which weight a creatinine clearance takes: the actual one, or the adjusted one of a patient far over ideal weight."""

from typing import Literal, TypeAlias

from fhir.mapping.kidney_equations import WEIGHT_KG, adjusted_weight_kg, ideal_weight_kg
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord

WeightRule: TypeAlias = Literal["actual", "adjusted"]

_OVERWEIGHT = 1.30


def newest_weight(record: PatientRecord) -> Measurement | None:
    """The newest weight that the equation is for (30 to 300 kg), however old; None when there is none."""
    low, high = WEIGHT_KG
    weight = record.newest("body_weight")
    return weight if weight is not None and low <= weight.value <= high else None


def dosing_weight(record: PatientRecord, weight: Measurement, rule: WeightRule) -> tuple[float, WeightRule, str]:
    """Kilograms to use, which weight that is, and a note for the reader ("" for none).

    The adjusted weight is used when the actual one is over 130 % of ideal (renal rules, table kidney_function).
    """
    if rule == "actual":
        return weight.value, "actual", ""
    height, sex = record.newest("body_height"), record.sex
    if height is None or sex is None:
        return weight.value, "actual", "Height is missing: actual weight used, which may be too high."
    ideal = ideal_weight_kg(sex, height.value)
    if ideal <= 0 or weight.value <= _OVERWEIGHT * ideal:
        return weight.value, "actual", ""
    return adjusted_weight_kg(weight.value, ideal), "adjusted", "Adjusted body weight: actual is over 130 % of ideal."
