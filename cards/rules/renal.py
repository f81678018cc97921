"""Kidney function: the rules of renal.json, with the words, conditions and corrections that only they use."""

import math
import re

from cards.rules.condition import flag
from cards.rules.family import Family
from cards.rules.figures import show
from cards.rules.measured import dated, history, say
from cards.rules.order_words import order_words
from cards.rules.rule import Change, Sig
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


# Values that a limit is written for


def _potassium(situation: Situation) -> str | None:
    return _dated(situation, "potassium", (5.0, 5.5))


def _qtc(situation: Situation) -> str | None:
    return _dated(situation, "qtc", (440.0, 500.0))


def _dated(situation: Situation, analyte: str, limits: tuple[float, ...]) -> str | None:
    measurement = situation.chart.lab(analyte, 30)
    return dated(measurement, limits) if measurement is not None else None


# What the order says

# Gralise, Horizant and Lyrica CR have dose tables of their own in their labels.
_SLOW = re.compile(
    r"extended|sustained|prolonged|enacarbil|gralise|horizant|once[- ]daily|\b(?:24 hr|er|xr|sr|cr)\b", re.IGNORECASE
)
_TAPERS = re.compile(r"\b(?:taper\w*|wean\w*|stepwise)\b", re.IGNORECASE)
_TREATS = re.compile(r"\btreat\w*|\b1 mg/kg\b|thrombosis|embol|infarct|\b(?:dvt|vte|acs)\b", re.IGNORECASE)


def _is_slow_release(situation: Situation) -> bool:
    medication = situation.medication
    return bool(_SLOW.search(f"{medication.dose_form or ''} {medication.words}"))


def _is_tapering(situation: Situation) -> bool:
    return bool(_TAPERS.search(order_words(situation.drafted.order)))


def _says_treatment(situation: Situation) -> bool:
    return bool(_TREATS.search(order_words(situation.drafted.order)))


# Corrections

# Enoxaparin label 2.3: 1 mg/kg once daily, written in steps of 10 mg.
_ENOXAPARIN_STEP_MG = 10.0
_MOST_PER_KG = 1.1
# Methotrexate label, psoriasis: 10 to 25 mg once weekly. A single dose over that is no weekly dose.
_MOST_WEEKLY_MG = 25.0
_WEEKLY_IN_KIDNEY_DISEASE_MG = 10.0
_TABLET_MG = 2.5
_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_NAMES = dict(
    zip(_WEEK, ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"), strict=True)
)


def _enoxaparin_once_daily(situation: Situation) -> Change | None:
    weight = situation.weight_kg
    if weight is None:
        return None
    dose = round(weight / _ENOXAPARIN_STEP_MG) * _ENOXAPARIN_STEP_MG
    if dose > _MOST_PER_KG * weight:
        dose -= _ENOXAPARIN_STEP_MG
    # The words tell the treatment from prophylaxis, which a light patient's dose does not.
    text = f"{show(dose)} mg (1 mg/kg, treatment) once daily"
    return Change(sig=Sig(text, dose, times_per_day=1, is_written=True))


def _enoxaparin_prophylaxis(_situation: Situation) -> Change:
    return Change(sig=Sig("30 mg once daily", 30.0, times_per_day=1))


def _each_mg(situation: Situation) -> float | None:
    """Milligrams of one dose where it is exactly known and not as needed."""
    dose = situation.drafted.dose
    each = dose.each(situation.ingredient.rxcui)
    return each.high if each is not None and each.low == each.high and not dose.as_needed else None


def _once_weekly(situation: Situation) -> Change | None:
    each = _each_mg(situation)
    if each is None or each > _MOST_WEEKLY_MG:
        return None
    named = [day for day in _WEEK if day in situation.drafted.dose.on_days]
    day = named[0] if named else _WEEK[0]
    text = f"{show(each, decimals=2)} mg once weekly on {_DAY_NAMES[day]}"
    return Change(sig=Sig(text, each, times_per_week=1, weekday=day, is_written=True))


def _half_weekly(situation: Situation) -> Change | None:
    each = _each_mg(situation)
    if each is None or situation.times_per_week != 1.0:
        return None
    half = math.floor(each / 2.0 / _TABLET_MG) * _TABLET_MG
    if not 0 < half <= _WEEKLY_IN_KIDNEY_DISEASE_MG:
        return None
    days = sorted(situation.drafted.dose.on_days)
    on_day = f" on {_DAY_NAMES[days[0]]}" if days and days[0] in _DAY_NAMES else ""
    text = f"{show(half, decimals=2)} mg once weekly{on_day}"
    return Change(sig=Sig(text, half, times_per_week=1, weekday=days[0] if on_day else None))


FAMILY = Family(
    "renal",
    words={
        "potassium": _potassium,
        "potassium_history": lambda situation: history(situation.chart.record, "potassium"),
        "qtc": _qtc,
        "qtc_history": lambda situation: history(situation.chart.record, "qtc"),
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
        "potassium": "potassium 5.55 mmol/L on 2026-11-20",
        "qtc": "QTc 500.5 ms on 2026-11-20",
    },
    conditions={
        "slow_release": flag("slow_release", _is_slow_release, "a slow-release form"),
        "tapering": flag("tapering", _is_tapering, "the order says that it tapers"),
        "says_treatment": flag("says_treatment", _says_treatment, "the order says that it treats"),
    },
    changes={
        "enoxaparin_once_daily": _enoxaparin_once_daily,
        "enoxaparin_30": _enoxaparin_prophylaxis,
        "once_weekly": _once_weekly,
        "half_weekly": _half_weekly,
    },
)
