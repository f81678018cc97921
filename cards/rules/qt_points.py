"""Tisdale's points for QT prolongation (Circ Cardiovasc Qual Outcomes 2013;6:479), as far as a chart tells them."""

from typing import NamedTuple

from cards.rules.condition import COMPARED, Condition, Spec, floor_comparison, only
from cards.rules.fact import Fact
from cards.rules.figures import show
from cards.rules.measured import as_fact, dated
from cards.rules.predicate import Predicate, Truth
from cards.rules.selector import Selector
from cards.rules.situation import Situation
from cards.rules.wording import compared
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

    known: int
    is_whole: bool


def points(situation: Situation) -> Points:
    """The points of a draft of a QT-prolonging drug beside all that is taken."""
    age = situation.age_years
    known = (
        _drug_points(situation)
        + (age is not None and age >= _AGE_YEARS)
        + (situation.sex == "female")
        + situation.takes(_LOOP)
        + 3 * (situation.has_condition("hf") is True)
        + 2 * (_low_potassium(situation) is not None)
        + 2 * (_long_qtc(situation) is not None)
    )
    return Points(known, _is_whole(situation))


def risks(situation: Situation) -> list[str]:
    """The points beside those of the drugs, in words."""
    age, potassium, qtc = situation.age_years, _low_potassium(situation), _long_qtc(situation)
    said = [f"age {age}"] if age is not None and age >= _AGE_YEARS else []
    said += ["female"] if situation.sex == "female" else []
    said += ["a loop diuretic"] if situation.takes(_LOOP) else []
    said += ["heart failure"] if situation.has_condition("hf") else []
    said += [f"potassium {show(potassium.value, [_POTASSIUM_MMOL_L])}"] if potassium is not None else []
    return [*said, *([f"QTc {show(qtc.value, [_QTC_MS])} ms"] if qtc is not None else [])]


def _facts(situation: Situation) -> list[Fact]:
    """What the points rest on."""
    age = situation.age_years
    facts = situation.number_facts("age_years") if age is not None and age >= _AGE_YEARS else []
    facts = [*facts, *situation.taken_facts(_LOOP), *situation.condition_facts("hf")]
    for measurement, limit in ((_low_potassium(situation), _POTASSIUM_MMOL_L), (_long_qtc(situation), _QTC_MS)):
        if measurement is not None:
            facts.append(as_fact(measurement, dated(measurement, [limit])))
    return facts


def _drug_points(situation: Situation) -> int:
    # 3 for one drug, 3 more for two or more.
    drugs = {part.rxcui for one in situation.taken(_QT_DRUG) for part in _QT_DRUG.members(one.medication)}
    if _QT_DRUG.matches(situation.medication):
        drugs |= {part.rxcui for part in _QT_DRUG.members(situation.medication)}
    return 3 * min(2, len(drugs))


def _low_potassium(situation: Situation) -> Measurement | None:
    # Of two values with one timestamp the lower one is the worse here.
    newest = situation.chart.lowest("potassium", _POTASSIUM_DAYS)
    return newest if newest is not None and newest.value <= _POTASSIUM_MMOL_L else None


def _long_qtc(situation: Situation) -> Measurement | None:
    qtc = situation.chart.lab("qtc", _QTC_DAYS)
    return qtc if qtc is not None and qtc.value >= _QTC_MS else None


def _is_whole(situation: Situation) -> bool:
    return (
        situation.age_years is not None
        and situation.sex is not None
        and situation.knows_conditions
        and situation.chart.lab("potassium", _POTASSIUM_DAYS) is not None
        and situation.chart.lab("qtc", _QTC_DAYS) is not None
    )


def _read(spec: Spec) -> Predicate:
    compare, limits = floor_comparison(only(spec, "tisdale_points")["tisdale_points"])

    def test(situation: Situation) -> Truth:
        found = points(situation)
        return compare(found.known, found.is_whole)

    uses = frozenset({"age", "sex", "active", "conditions", "lab:potassium", "lab:qtc", "tisdale_points"})
    return Predicate(test, _facts, uses, limits)


TISDALE_POINTS = Condition(_read, COMPARED, lambda spec: compared("Tisdale points", spec["tisdale_points"]))
