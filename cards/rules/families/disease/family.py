"""Diseases and values that forbid a drug: the placeholders and conditions that only these rules use."""

from collections.abc import Sequence

from cards.rules.engine.family import Family, Placeholder, lab_placeholder
from cards.rules.patient.context import RuleContext

_RECENT_DAYS = 30
_GLUCOSE_DAYS = 7
_GAS_DAYS = 30
_CALCIUM_DAYS = 90
_BMI_DAYS = 365


def _gas(analyte: str, limits: Sequence[float]) -> Placeholder:
    """Return the value after " with ", and nothing where no value is known."""
    word = lab_placeholder(analyte, limits, _GAS_DAYS)

    def describe(context: RuleContext) -> str | None:
        value = word(context)
        return f" with {value}" if value is not None else ""

    return describe


FAMILY = Family(
    "disease",
    placeholders={
        "potassium": lab_placeholder("potassium", [3.0, 3.3, 3.5, 5.0, 5.5, 6.0], _RECENT_DAYS),
        "sodium": lab_placeholder("sodium", [120, 125, 130, 135, 145], _RECENT_DAYS),
        "platelets": lab_placeholder("platelets", [25, 50, 100, 150], _RECENT_DAYS),
        "hemoglobin": lab_placeholder("hemoglobin", [8, 9, 11], _RECENT_DAYS),
        "neutrophils_abs": lab_placeholder("neutrophils_abs", [0.5, 1, 1.5, 1.6, 2], _RECENT_DAYS),
        "lymphocytes_abs": lab_placeholder("lymphocytes_abs", [0.5], _RECENT_DAYS),
        "creatinine": lab_placeholder("creatinine", [3], _RECENT_DAYS),
        "digoxin_level": lab_placeholder("digoxin_level", [2.0], _RECENT_DAYS),
        "qtc": lab_placeholder("qtc", [450, 500], _RECENT_DAYS),
        "glucose": lab_placeholder("glucose", [54, 70], _GLUCOSE_DAYS),
        "heart_rate": lab_placeholder("heart_rate", [50, 60], _RECENT_DAYS),
        "sbp": lab_placeholder("sbp", [90, 180], _RECENT_DAYS),
        "dbp": lab_placeholder("dbp", [105], _RECENT_DAYS),
        "calcium": lab_placeholder("calcium", [8.4, 10.62], _CALCIUM_DAYS),
        "creatine_kinase": lab_placeholder("creatine_kinase", [2000], _RECENT_DAYS),
        "bilirubin_total": lab_placeholder("bilirubin_total", [1.2], _RECENT_DAYS),
        "inr": lab_placeholder("inr", [1.7], _RECENT_DAYS),
        "alt": lab_placeholder("alt", [80, 100, 120], _RECENT_DAYS),
        "tsh": lab_placeholder("tsh", [0.1], _RECENT_DAYS),
        "lactate": lab_placeholder("lactate", [5], _RECENT_DAYS),
        "phenytoin_level": lab_placeholder("phenytoin_level", [20], _RECENT_DAYS),
        "carbamazepine_level": lab_placeholder("carbamazepine_level", [12], _RECENT_DAYS),
        "bmi": lab_placeholder("bmi", [18], _BMI_DAYS),
        "pco2": _gas("pco2_arterial", [48.75]),
        "po2": _gas("po2_arterial", [60]),
    },
    longest={
        "potassium": "potassium 5.05 mmol/L on 2026-11-20",
        "sodium": "sodium 124.5 mmol/L on 2026-11-20",
        "platelets": "platelets 49.95 ×10³/µL on 2026-11-20",
        "hemoglobin": "hemoglobin 11.05 g/dL on 2026-11-20",
        "neutrophils_abs": "neutrophils 1.995 ×10³/µL on 2026-11-20",
        "lymphocytes_abs": "lymphocytes 0.495 ×10³/µL on 2026-11-20",
        "creatinine": "creatinine 2.95 mg/dL on 2026-11-20",
        "digoxin_level": "Digoxin level 2.01 ng/mL on 2026-11-20",
        "qtc": "QTc 500.5 ms on 2026-11-20",
        "glucose": "glucose 69.95 mg/dL on 2026-11-20",
        "heart_rate": "heart rate 49.5 /min on 2026-11-20",
        "sbp": "systolic pressure 180.5 mm[Hg] on 2026-11-20",
        "dbp": "diastolic pressure 105.5 mm[Hg] on 2026-11-20",
        "calcium": "calcium 10.625 mg/dL on 2026-11-20",
        "creatine_kinase": "creatine kinase 12,000.5 U/L on 2026-11-20",
        "bilirubin_total": "bilirubin total 12.25 mg/dL on 2026-11-20",
        "inr": "INR 1.705 on 2026-11-20",
        "alt": "ALT 1,200.5 U/L on 2026-11-20",
        "tsh": "TSH 0.055 mIU/L on 2026-11-20",
        "lactate": "lactate 10.05 mmol/L on 2026-11-20",
        "phenytoin_level": "Phenytoin level 20.05 ug/mL on 2026-11-20",
        "carbamazepine_level": "Carbamazepine level 12.05 ug/mL on 2026-11-20",
        "bmi": "BMI 17.95 kg/m2 on 2026-11-20",
        "pco2": " with pCO2 48.755 mm[Hg] on 2026-11-20",
        "po2": " with pO2 59.95 mm[Hg] on 2026-11-20",
    },
)
