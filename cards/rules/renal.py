"""Kidney function: seven rules of renal.json, with the words that only they use."""

from cards.rules.family import Family
from cards.rules.figures import show
from cards.rules.measured import dated, say
from cards.rules.situation import Situation

# Apixaban label, 2.1: two of age 80 or over, weight 60 kg or less, creatinine 1.5 mg/dL or more.
_AGE_YEARS = 80
_WEIGHT_KG = 60.0
_CREATININE_MG_DL = 1.5
_CREATININE_DAYS = 365


def _met(situation: Situation) -> dict[str, bool | None]:
    age, weight = situation.age_years, situation.weight_kg
    creatinine = situation.lab_value("creatinine", _CREATININE_DAYS)
    # On dialysis creatinine counts as met.
    high = (
        True if situation.has_condition("dialysis") else None if creatinine is None else creatinine >= _CREATININE_MG_DL
    )
    return {
        "age": None if age is None else age >= _AGE_YEARS,
        "weight": None if weight is None else weight <= _WEIGHT_KG,
        "creatinine": high,
    }


def _values(situation: Situation, *, with_dates: bool) -> dict[str, str]:
    values = {}
    if situation.age_years is not None:
        values["age"] = f"age {situation.age_years}"
    measured = {
        "weight": (situation.chart.weight, _WEIGHT_KG),
        "creatinine": (situation.chart.lab("creatinine", _CREATININE_DAYS), _CREATININE_MG_DL),
    }
    for name, (measurement, limit) in measured.items():
        if measurement is not None:
            values[name] = dated(measurement, [limit]) if with_dates else say(measurement, [limit])
    if situation.has_condition("dialysis"):
        values["creatinine"] = "dialysis"
    return values


def _criteria(situation: Situation) -> str | None:
    met, values = _met(situation), _values(situation, with_dates=False)
    return ", ".join(values[name] for name in values if met[name]) or None


def _criteria_dated(situation: Situation) -> str:
    return ", ".join(_values(situation, with_dates=True).values()) or "none"


def _count(situation: Situation) -> str:
    return show(sum(one is True for one in _met(situation).values()))


def _missing_criteria(situation: Situation) -> str | None:
    names = {"age": "the age", "weight": "a weight", "creatinine": "a creatinine of the last 12 months"}
    missing = [names[name] for name, met in _met(situation).items() if met is None]
    return " and ".join(missing) or None


FAMILY = Family(
    "renal",
    words={
        "criteria": _criteria,
        "criteria_dated": _criteria_dated,
        "n": _count,
        "missing_criteria": _missing_criteria,
    },
    longest={
        "criteria": "age 100, weight 59.95 kg, creatinine 132.6 µmol/L (1.5 mg/dL)",
        "criteria_dated": "age 100, weight 59.95 kg on 2026-11-20, creatinine 132.6 µmol/L (1.5 mg/dL) on 2026-11-20",
        "n": "1",
        "missing_criteria": "a weight and a creatinine of the last 12 months",
    },
)
