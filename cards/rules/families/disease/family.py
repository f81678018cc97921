"""Declares what the rules about diseases and values that forbid a drug use beside the common words.

The rules are the JSON files beside it, their rows the tables; `cards/rules/engine/family.py` says what a family is.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from cards.rules.conditions.condition import flag
from cards.rules.engine.family import Family, Placeholder, lab_placeholder
from cards.rules.patient.context import RuleContext
from fhir.terminology.analytes import ANALYTES
from fhir.terminology.package_tables import package_rows

_RECENT_DAYS = 30
_LIMITS_OF_RULES: Final = {
    "potassium": (3.0, 3.5, 5.0, 5.5),
    "sodium": (125, 130),
    "platelets": (50,),
    "creatinine": (3,),
    "digoxin_level": (2.0,),
    "qtc": (450, 500),
    "heart_rate": (50, 60),
    "cd4": (250, 400),
    "sbp": (90, 180),
    "dbp": (105,),
}
"""Limits in rules of this family that are files; a test compares. Those of the rows are read from label_values.csv."""
_GLUCOSE_DAYS = 7
_GAS_DAYS = 30
_BMI_DAYS = 365


def _gas(analyte: str, limits: Sequence[float]) -> Placeholder:
    """Return the value after " with ", and nothing where no value is known."""
    word = lab_placeholder(analyte, limits, _GAS_DAYS)

    def describe(context: RuleContext) -> str | None:
        value = word(context)
        return f" with {value}" if value is not None else ""

    return describe


def _values() -> Mapping[str, Placeholder]:
    """Return a placeholder for each result of the rows and the rules, as far back as the oldest that a row reads."""
    limits = {analyte: set(values) for analyte, values in _LIMITS_OF_RULES.items()}
    days = dict.fromkeys(limits, _RECENT_DAYS) | {"cd4": 180}
    for row in package_rows("cards.rules.families.disease", "label_values.csv"):
        limits.setdefault(row["analyte"], set()).add(float(row["limit"]))
        days[row["analyte"]] = max(days.get(row["analyte"], 0), int(row["days"]))
    return {analyte: lab_placeholder(analyte, sorted(values), days[analyte]) for analyte, values in limits.items()}


_VALUES: Final = _values()

FAMILY = Family(
    "disease",
    placeholders={
        **_VALUES,
        "glucose": lab_placeholder("glucose", [54, 70], _GLUCOSE_DAYS),
        "bmi": lab_placeholder("bmi", [18], _BMI_DAYS),
        "pco2": _gas("pco2_arterial", [48.75]),
        "po2": _gas("po2_arterial", [60]),
    },
    longest={
        **{key: f"{ANALYTES[key].words} 120.55 {ANALYTES[key].unit} on 2026-11-20" for key in _VALUES},
        "glucose": "glucose 69.95 mg/dL on 2026-11-20",
        "bmi": "BMI 17.95 kg/m2 on 2026-11-20",
        "pco2": " with pCO2 48.755 mm[Hg] on 2026-11-20",
        "po2": " with pO2 59.95 mm[Hg] on 2026-11-20",
    },
    conditions=(flag("slow_release", lambda context: context.medication.is_slow_release, "a slow-release form"),),
)
