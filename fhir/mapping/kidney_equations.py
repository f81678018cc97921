"""Kidney function from creatinine: CKD-EPI 2021 and Cockcroft-Gault, and the weight that the latter takes.

Inputs outside the range an equation is for are refused with ValueError, never clamped. Results are not rounded: a
threshold is compared on the value itself.
"""

from typing import Literal, TypeAlias

Sex: TypeAlias = Literal["male", "female"]

CKD_EPI_UNIT = "mL/min/{1.73_m2}"
COCKCROFT_GAULT_UNIT = "mL/min"

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
    female = sex == "female"
    kappa, alpha = (0.7, -0.241) if female else (0.9, -0.302)
    ratio = creatinine_mg_dl / kappa
    value: float = 142.0 * min(ratio, 1.0) ** alpha * max(ratio, 1.0) ** -1.2 * 0.9938**age_years
    return value * 1.012 if female else value


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
    """Adjusted body weight: ideal weight and 0.4 of what is over it (as in the R packages clinPK and cliot)."""
    return ideal_kg + 0.4 * (actual_kg - ideal_kg)


def _check(name: str, value: float, limits: tuple[float, float]) -> None:
    low, high = limits
    if not low <= value <= high:
        raise ValueError(f"{name} {value:g} is outside the range of the equation ({low:g} to {high:g})")
