"""Tisdale's points for QT prolongation (Circ Cardiovasc Qual Outcomes 2013;6:479), from the data of the record."""

from typing import NamedTuple

from cards.extension import Fact
from cards.rules.conditions.condition import MEDICATION_LISTS, number
from cards.rules.conditions.words.numbers import needs_of_lab
from cards.rules.conditions.words.patient import CONDITIONS
from cards.rules.language.trigger import Selector
from cards.rules.patient.context import RuleContext
from cards.rules.patient.measurements import dated, measurement_fact
from cards.text import format_number
from fhir.record.measurement import Measurement

_QT_DRUG = Selector(classes=frozenset({"qt_label_warning"}), systemic=True)
_LOOP = Selector(classes=frozenset({"loop_diuretic"}), systemic=True)
_AGE_YEARS = 68
_POTASSIUM_MMOL_L, _POTASSIUM_DAYS = 3.5, 90
_QTC_MS, _QTC_DAYS = 450.0, 90
NOT_LOOKED_FOR = "sepsis and acute myocardial infarction were not looked for"
"""No group of condition codes has them yet (rules/CLARIFICATIONS.md of the source): their points count as 0."""


class Points(NamedTuple):
    """Points that are sure, and whether a missing value could add more."""

    sure: int
    is_whole: bool


def points(context: RuleContext) -> Points:
    """Return the points of a draft of a QT-prolonging drug beside all that is taken."""
    age = context.age_years
    sure_points = (
        _drug_points(context)
        + (age is not None and age >= _AGE_YEARS)
        + (context.sex == "female")
        + (context.takes(_LOOP) is True)
        + 3 * (context.has_condition("hf") is True)
        + 2 * (_low_potassium(context) is not None)
        + 2 * (_long_qtc(context) is not None)
    )
    return Points(sure_points, _is_whole(context))


def risks(context: RuleContext) -> list[str]:
    """Return the points beside those of the drugs, in words."""
    age, potassium, qtc = context.age_years, _low_potassium(context), _long_qtc(context)
    texts = [f"age {age}"] if age is not None and age >= _AGE_YEARS else []
    texts += ["female"] if context.sex == "female" else []
    texts += ["a loop diuretic"] if context.takes(_LOOP) else []
    texts += ["heart failure"] if context.has_condition("hf") else []
    texts += [f"potassium {format_number(potassium.value, [_POTASSIUM_MMOL_L])}"] if potassium is not None else []
    return [*texts, *([f"QTc {format_number(qtc.value, [_QTC_MS])} ms"] if qtc is not None else [])]


def _facts(context: RuleContext) -> list[Fact]:
    """Return what the points are based on."""
    age = context.age_years
    facts = context.number_facts("age_years") if age is not None and age >= _AGE_YEARS else []
    facts = [*facts, *context.medication_facts(_LOOP), *context.condition_facts("hf")]
    for measurement, limit in ((_low_potassium(context), _POTASSIUM_MMOL_L), (_long_qtc(context), _QTC_MS)):
        if measurement is not None:
            facts.append(measurement_fact(measurement, dated(measurement, [limit])))
    return facts


def _drug_points(context: RuleContext) -> int:
    # 3 for one drug, 3 more for two or more.
    drugs = {
        part.rxcui
        for medication in context.current_medications(_QT_DRUG)
        for part in _QT_DRUG.members(medication.medication)
    }
    if _QT_DRUG.matches(context.medication):
        drugs |= {part.rxcui for part in _QT_DRUG.members(context.medication)}
    return 3 * min(2, len(drugs))


def _low_potassium(context: RuleContext) -> Measurement | None:
    # Of two values with one timestamp the lower one is the worse here.
    newest = context.session.lowest("potassium", _POTASSIUM_DAYS)
    if newest is None or newest.side in (">", ">="):
        return None
    return newest if newest.value <= _POTASSIUM_MMOL_L else None


def _long_qtc(context: RuleContext) -> Measurement | None:
    qtc = context.session.lab("qtc", _QTC_DAYS)
    if qtc is None or qtc.side in ("<", "<="):
        return None
    return qtc if qtc.value >= _QTC_MS else None


def _is_whole(context: RuleContext) -> bool:
    return (
        context.age_years is not None
        and context.sex is not None
        and context.session.knows_conditions
        and context.session.knows_medications
        and context.session.lab("potassium", _POTASSIUM_DAYS) is not None
        and context.session.lab("qtc", _QTC_DAYS) is not None
    )


TISDALE_POINTS = number(
    "tisdale_points",
    "Tisdale points",
    lambda context: (points(context).sure, points(context).is_whole),
    "Tisdale's points for QT prolongation compare so; a missing value could add more",
    frozenset({"age", "sex", "active", "conditions", "lab:potassium", "lab:qtc", "tisdale_points"}),
    _facts,
    MEDICATION_LISTS | CONDITIONS | needs_of_lab("potassium") | needs_of_lab("qtc"),
)
