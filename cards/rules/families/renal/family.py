"""Kidney function: the placeholders, conditions and corrections that only these rules use."""

import math
import re
from typing import Final

from cards.rules.conditions.words.patient import order_says
from cards.rules.engine.family import Family, Placeholder, for_drug
from cards.rules.language.rule import OrderChange, Sig
from cards.rules.patient.context import RuleContext
from cards.rules.patient.measurements import dated, history, say
from cards.text import format_number

# Apixaban label, 2.1: two of age 80 or over, weight 60 kg or less, creatinine 1.5 mg/dL or more.
_AGE_YEARS = 80
_WEIGHT_KG = 60.0
_CREATININE_MG_DL = 1.5
_CREATININE_DAYS = 365


def _met(context: RuleContext) -> dict[str, bool | None]:
    age, weight = context.age_years, context.weight_kg
    creatinine = context.lab_value("creatinine", _CREATININE_DAYS)
    # On dialysis creatinine counts as met.
    high = (
        True if context.has_condition("dialysis") else None if creatinine is None else creatinine >= _CREATININE_MG_DL
    )
    return {
        "age": None if age is None else age >= _AGE_YEARS,
        "weight": None if weight is None else weight <= _WEIGHT_KG,
        "creatinine": high,
    }


def _values(context: RuleContext, *, with_dates: bool) -> dict[str, str]:
    values = {}
    if context.age_years is not None:
        values["age"] = f"age {context.age_years}"
    measured = {
        "weight": (context.session.weight, _WEIGHT_KG),
        "creatinine": (context.session.lab("creatinine", _CREATININE_DAYS), _CREATININE_MG_DL),
    }
    for name, (measurement, limit) in measured.items():
        if measurement is not None:
            values[name] = dated(measurement, [limit]) if with_dates else say(measurement, [limit])
    if context.has_condition("dialysis"):
        values["creatinine"] = "dialysis"
    return values


def _criteria(context: RuleContext) -> str | None:
    met, values = _met(context), _values(context, with_dates=False)
    return ", ".join(values[name] for name in values if met[name]) or None


def _missing_criteria(context: RuleContext) -> str | None:
    names = {"age": "the age", "weight": "a weight", "creatinine": "a creatinine of the last 12 months"}
    missing = [names[name] for name, met in _met(context).items() if met is None]
    return " and ".join(missing) or None


def _cipro_interval(context: RuleContext) -> str:
    return "24 hours, after the session" if context.has_condition("dialysis") else "18 hours"


# What the order says

_TAPERS = re.compile(r"\b(?:taper\w*|wean\w*|stepwise)\b", re.IGNORECASE)
_GRAMS_A_SQUARE_METER = re.compile(r"\b(?:g|(?:[5-9]\d\d|\d{1,2},?\d{3}) ?mg) ?/ ?m(?:2|²)", re.IGNORECASE)
_OVER_200_MG_M2 = re.compile(r"\b(?:20[1-9]|2[1-9]\d|[3-9]\d\d|\d,?\d{3}) ?mg ?/ ?m(?:2|²|\^2)", re.IGNORECASE)
_OVER_250_MG_M2 = re.compile(r"\b(?:25[1-9]|2[6-9]\d|[3-9]\d\d|\d,?\d{3}) ?mg ?/ ?m(?:2|²|\^2)", re.IGNORECASE)
_TREATS = re.compile(r"\btreat\w*|\b1 mg/kg\b|thrombosis|embol|infarct|\b(?:dvt|vte|acs)\b", re.IGNORECASE)


# Corrections

# Enoxaparin label 2.3: 1 mg/kg once daily, written in steps of 10 mg.
_ENOXAPARIN_STEP_MG = 10.0
_MOST_PER_KG = 1.1
# Methotrexate label, psoriasis: 10 to 25 mg once weekly. A single dose over that is not a weekly dose.
_MOST_WEEKLY_MG = 25.0
_WEEKLY_IN_KIDNEY_DISEASE_MG = 10.0
_TABLET_MG = 2.5
_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_NAMES = dict(
    zip(_WEEK, ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"), strict=True)
)


def _enoxaparin_once_daily(context: RuleContext) -> OrderChange | None:
    weight = context.weight_kg
    if weight is None:
        return None
    dose = round(weight / _ENOXAPARIN_STEP_MG) * _ENOXAPARIN_STEP_MG
    if dose > _MOST_PER_KG * weight:
        dose -= _ENOXAPARIN_STEP_MG
    # The words tell the treatment from prophylaxis, which a light patient's dose does not.
    text = f"{format_number(dose)} mg (1 mg/kg, treatment) once daily"
    return OrderChange(sig=Sig(text, dose, times_per_day=1, is_written=True))


def _each_mg(context: RuleContext) -> float | None:
    """Milligrams of one dose where it is exactly known and not as needed."""
    dose = context.drafted.dose
    single_dose = dose.per_dose_of(context.ingredient.rxcui)
    return (
        single_dose.high
        if single_dose is not None and single_dose.low == single_dose.high and not dose.as_needed
        else None
    )


def _once_weekly(context: RuleContext) -> OrderChange | None:
    single_mg = _each_mg(context)
    if single_mg is None or single_mg > _MOST_WEEKLY_MG:
        return None
    days = [day for day in _WEEK if day in context.drafted.dose.on_days]
    day = days[0] if days else _WEEK[0]
    text = f"{format_number(single_mg, decimals=2)} mg once weekly on {_DAY_NAMES[day]}"
    return OrderChange(sig=Sig(text, single_mg, times_per_week=1, weekday=day, is_written=True))


def _half_weekly(context: RuleContext) -> OrderChange | None:
    single_mg = _each_mg(context)
    if single_mg is None or context.times_per_week != 1.0:
        return None
    half = math.floor(single_mg / 2.0 / _TABLET_MG) * _TABLET_MG
    if not 0 < half <= _WEEKLY_IN_KIDNEY_DISEASE_MG:
        return None
    days = sorted(context.drafted.dose.on_days)
    on_day = f" on {_DAY_NAMES[days[0]]}" if days and days[0] in _DAY_NAMES else ""
    text = f"{format_number(half, decimals=2)} mg once weekly{on_day}"
    return OrderChange(sig=Sig(text, half, times_per_week=1, weekday=days[0] if on_day else None))


_BY_DRUG: Final = {
    "high_potassium": {
        "spironolactone": "The label contraindicates it in hyperkalemia.",
        "eplerenone": "The label contraindicates a start over 5.5 and reduces or holds it later.",
        "finerenone": "The label withholds it over 5.5 and restarts it at 5.0 or less.",
    },
    "start_potassium": {
        "spironolactone": "In heart failure the label starts it at 5.0 or less.",
        "finerenone": "The label starts it at 5.0 or less.",
    },
    "bone_limit": {
        "alendronate": "The label limit is 35 mL/min.",
        **dict.fromkeys(("risedronate", "ibandronate"), "The label limit is 30 mL/min."),
    },
    "sglt2_limit": {
        "dapagliflozin": "The label starts it from an eGFR of 25 on.",
        "canagliflozin": "The label starts it from an eGFR of 30 on.",
        "ertugliflozin": "The label starts it from an eGFR of 45 on.",
    },
}
"""What is told of one drug and stands on no card about another."""

FAMILY = Family(
    "renal",
    placeholders={
        **{name: Placeholder(for_drug(texts)) for name, texts in _BY_DRUG.items()},
        "cipro_interval": Placeholder(_cipro_interval, "24 hours, after the session"),
        "potassium_history": Placeholder(lambda context: history(context.session.record, "potassium")),
        "qtc_history": Placeholder(lambda context: history(context.session.record, "qtc")),
        "criteria": Placeholder(_criteria, "age 100, weight 59.95 kg, creatinine 132.6 µmol/L (1.5 mg/dL)"),
        "criteria_dated": Placeholder(
            lambda context: ", ".join(_values(context, with_dates=True).values()) or "none",
            "age 100, weight 59.95 kg on 2026-11-20, creatinine 132.6 µmol/L (1.5 mg/dL) on 2026-11-20",
        ),
        "n": Placeholder(
            lambda context: format_number(sum(criterion is True for criterion in _met(context).values())), "1"
        ),
        "missing_criteria": Placeholder(_missing_criteria, "a weight and a creatinine of the last 12 months"),
    },
    conditions=(
        order_says("tapering", _TAPERS, "the order says that it tapers"),
        order_says("says_treatment", _TREATS, "the order says that it treats"),
        order_says("says_high_dose", _GRAMS_A_SQUARE_METER, "the order says 500 mg/m2 or more"),
        order_says("over_200_mg_m2", _OVER_200_MG_M2, "the order says more than 200 mg/m2"),
        order_says("over_250_mg_m2", _OVER_250_MG_M2, "the order says more than 250 mg/m2"),
    ),
    changes={
        "enoxaparin_once_daily": _enoxaparin_once_daily,
        "enoxaparin_20": lambda _: OrderChange(sig=Sig("20 mg once daily", 20.0, times_per_day=1)),
        "enoxaparin_30": lambda _: OrderChange(sig=Sig("30 mg once daily", 30.0, times_per_day=1)),
        "once_weekly": _once_weekly,
        "half_weekly": _half_weekly,
    },
)
