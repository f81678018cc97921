"""Tisdale's points for QT prolongation (Circ Cardiovasc Qual Outcomes 2013;6:479), as far as a chart tells them."""

from msgspec import Struct

from cards.rules.condition import COMPARED, Condition, Spec, floor_comparison, only
from cards.rules.fact import Fact
from cards.rules.figures import show
from cards.rules.measured import as_fact, dated
from cards.rules.predicate import Predicate, Truth
from cards.rules.selector import Selector
from cards.rules.situation import Situation
from cards.rules.wording import compared

_QT_DRUG = Selector(classes=frozenset({"qt_label_warning"}), systemic=True)
_LOOP = Selector(classes=frozenset({"loop_diuretic"}), systemic=True)
_AGE_YEARS = 68
_POTASSIUM_MMOL_L, _POTASSIUM_DAYS = 3.5, 90
_QTC_MS, _QTC_DAYS = 450.0, 90
NOT_LOOKED_FOR = "sepsis and acute myocardial infarction were not looked for"
"""No group of condition codes has them yet (rules/CLARIFICATIONS.md of the source): their points count as 0."""


class Points(Struct, frozen=True):
    """Points that are sure, the words and facts for each, and whether a missing value could add more."""

    known: int
    is_whole: bool
    risks: tuple[str, ...]
    facts: tuple[Fact, ...]


def points(situation: Situation) -> Points:
    """The points of a draft of a QT-prolonging drug beside all that is taken."""
    risks: list[tuple[int, str, list[Fact]]] = []
    if situation.age_years is not None and situation.age_years >= _AGE_YEARS:
        risks.append((1, f"age {situation.age_years}", situation.number_facts("age_years")))
    if situation.sex == "female":
        risks.append((1, "female", []))
    if situation.takes(_LOOP):
        risks.append((1, "a loop diuretic", situation.taken_facts(_LOOP)))
    if situation.has_condition("hf"):
        risks.append((3, "heart failure", situation.condition_facts("hf")))
    risks += _low_potassium(situation) + _long_qtc(situation)
    drugs = _drug_points(situation)
    return Points(
        drugs + sum(one[0] for one in risks),
        _is_whole(situation),
        tuple(one[1] for one in risks),
        tuple(fact for one in risks for fact in one[2]),
    )


def _drug_points(situation: Situation) -> int:
    # 3 for one drug, 3 more for two or more.
    own = _QT_DRUG.matches(situation.medication)
    others = [name for fact in situation.taken_facts(_QT_DRUG) if (name := fact.value) != situation.ingredient.name]
    return 3 * min(2, int(own) + len(set(others)))


def _low_potassium(situation: Situation) -> list[tuple[int, str, list[Fact]]]:
    # Of two values with one timestamp the lower one is the worse here.
    newest = situation.chart.lowest("potassium", _POTASSIUM_DAYS)
    if newest is None or newest.value > _POTASSIUM_MMOL_L:
        return []
    fact = as_fact(newest, dated(newest, [_POTASSIUM_MMOL_L]))
    return [(2, f"potassium {show(newest.value, [_POTASSIUM_MMOL_L])}", [fact])]


def _long_qtc(situation: Situation) -> list[tuple[int, str, list[Fact]]]:
    qtc = situation.chart.lab("qtc", _QTC_DAYS)
    if qtc is None or qtc.value < _QTC_MS:
        return []
    return [(2, f"QTc {show(qtc.value, [_QTC_MS])} ms", [as_fact(qtc, dated(qtc, [_QTC_MS]))])]


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

    def facts(situation: Situation) -> list[Fact]:
        return list(points(situation).facts)

    uses = frozenset({"age", "sex", "active", "conditions", "lab:potassium", "lab:qtc", "tisdale_points"})
    return Predicate(test, facts, uses, limits)


TISDALE_POINTS = Condition(_read, COMPARED, lambda spec: compared("Tisdale points", spec["tisdale_points"]))
