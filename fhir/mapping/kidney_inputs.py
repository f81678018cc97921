"""What kidney function is computed from: the weight for dosing, and whether creatinine is changing."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from fhir.mapping.equations import WEIGHT_KG, adjusted_weight_kg, ideal_weight_kg
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord
from fhir.record.time import DAY_SECONDS

# KDIGO 2012 acute kidney injury: 0.3 mg/dL within 48 hours, or by half within 7 days.
RISE_MG_DL = 0.3
RISE_SECONDS = 2 * DAY_SECONDS
SHARE = 0.5
SHARE_SECONDS = 7 * DAY_SECONDS
_ROUNDING = 1e-9  # 2.4 − 2.1 is 0.3 on paper, not in binary


def is_creatinine_unstable(creatinine: Sequence[Measurement]) -> bool:
    """Whether the newest creatinine (they come newest first) differs from earlier ones as in acute kidney injury.

    By 0.3 mg/dL within 48 hours, or by half of the earlier value within 7 days, up or down.
    """
    if not creatinine:
        return False
    newest = creatinine[0]
    for earlier in creatinine[1:]:
        seconds = newest.time.instant - earlier.time.instant
        change = abs(newest.value - earlier.value) + _ROUNDING
        if seconds > SHARE_SECONDS:
            return False
        if seconds <= 0:
            continue  # two results of one sample contradict each other, they are no change
        if (seconds <= RISE_SECONDS and change >= RISE_MG_DL) or change >= SHARE * earlier.value:
            return True
    return False


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
