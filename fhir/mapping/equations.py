"""Published equations of kidney function and dosing weight: CKD-EPI 2021, Cockcroft-Gault, ideal and adjusted weight.

Inputs outside the range of an equation are refused with ValueError, never clamped. Results are not rounded: a
threshold is compared with the value itself. The formulas and their coefficients stand here and nowhere else;
`models_onnx/equations/published` declares bands, population and test vectors of the same equations around them.

Which inputs of a record they may use is here too: the weight for dosing, and whether creatinine is changing.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from fhir.record.datatypes import DAY_SECONDS
from fhir.record.measurement import Measurement
from fhir.record.record import PatientRecord

Sex: TypeAlias = Literal["male", "female"]

CKD_EPI_UNIT = "mL/min/{1.73_m2}"
COCKCROFT_GAULT_UNIT = "mL/min"

CKD_EPI_KAPPA_MG_DL: Mapping[str, float] = {"female": 0.7, "male": 0.9}
"""The creatinine at which the curve of CKD-EPI 2021 turns."""
_CKD_EPI_ALPHA: Mapping[str, float] = {"female": -0.241, "male": -0.302}

# shared/data/equations: valid_range of the inputs.
AGE_YEARS = (18, 120)
CREATININE_MG_DL = (0.1, 20.0)
WEIGHT_KG = (30.0, 300.0)

_CM_PER_INCH = 2.54
_FIVE_FEET_INCHES = 60.0


def ckd_epi_2021(age_years: float, sex: Sex, creatinine_mg_dl: float) -> float:
    """eGFR in mL/min/1.73 m2, without race (Inker 2021, doi 10.1056/NEJMoa2102953).

    >>> round(ckd_epi_2021(55, "male", 1.5))
    55
    """
    _check("age", age_years, AGE_YEARS)
    _check("creatinine", creatinine_mg_dl, CREATININE_MG_DL)
    ratio = creatinine_mg_dl / CKD_EPI_KAPPA_MG_DL[sex]
    value: float = 142.0 * min(ratio, 1.0) ** _CKD_EPI_ALPHA[sex] * max(ratio, 1.0) ** -1.2 * 0.9938**age_years
    return value * 1.012 if sex == "female" else value


def cockcroft_gault(age_years: float, sex: Sex, weight_kg: float, creatinine_mg_dl: float) -> float:
    """Creatinine clearance in mL/min (Cockcroft 1976, doi 10.1159/000180580); which weight is the caller's choice.

    >>> cockcroft_gault(30, "male", 90.0, 1.1)
    125.0
    """
    _check("age", age_years, AGE_YEARS)
    _check("weight", weight_kg, WEIGHT_KG)
    _check("creatinine", creatinine_mg_dl, CREATININE_MG_DL)
    value = (140 - age_years) * weight_kg / (72.0 * creatinine_mg_dl)
    return value * 0.85 if sex == "female" else value


def ideal_weight_kg(sex: Sex, height_cm: float) -> float:
    """Ideal body weight (Devine 1974: 50 kg, women 45.5 kg, and 2.3 kg for each inch over five feet)."""
    over = height_cm / _CM_PER_INCH - _FIVE_FEET_INCHES
    return (45.5 if sex == "female" else 50.0) + 2.3 * over


def adjusted_weight_kg(actual_kg: float, ideal_kg: float) -> float:
    """Return adjusted body weight: ideal weight and 0.4 of what is over it (as in the R packages clinPK and cliot)."""
    return ideal_kg + 0.4 * (actual_kg - ideal_kg)


def body_mass_index(weight_kg: float, height_cm: float) -> float:
    """Body mass index in kg/m2.

    >>> round(body_mass_index(70.0, 175.0), 1)
    22.9
    """
    value: float = weight_kg / (height_cm / 100) ** 2
    return value


def mean_arterial_pressure(systolic_mmhg: float, diastolic_mmhg: float) -> float:
    """Mean arterial pressure in mmHg: the diastolic pressure and a third of the pulse pressure.

    >>> mean_arterial_pressure(120.0, 90.0)
    100.0
    """
    return diastolic_mmhg + (systolic_mmhg - diastolic_mmhg) / 3.0


def _check(name: str, value: float, limits: tuple[float, float]) -> None:
    low, high = limits
    if not low <= value <= high:
        raise ValueError(f"{name} {value:g} is outside the range of the equation ({low:g} to {high:g})")


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
    """Return the newest weight that the equation is for (30 to 300 kg), however old; None when there is none."""
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
