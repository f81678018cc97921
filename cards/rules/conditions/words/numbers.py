"""Words that compare one number of the draft or of the patient; the word is the number's name in RuleContext."""

import operator
from typing import NamedTuple

from cards.extension import Fact
from cards.rules.conditions.condition import (
    COMPARED,
    NO_NEEDS,
    Condition,
    DataNeeds,
    Predicate,
    Spec,
    Truth,
    comparison,
    needs,
    no_facts,
    only,
)
from cards.rules.conditions.wording import compared
from cards.rules.language.rule import RuleError
from cards.rules.patient.context import RuleContext

WEIGHT = needs("Observation", analytes=("body_weight",))
"""What a condition needs that looks at the patient's weight."""
# A delivery ends a pregnancy.
_GESTATION = needs("Condition", "Procedure", "Encounter", "Observation", analytes=("pregnancy_signs",))


class _Number(NamedTuple):
    """One number: its word, what a page calls it, its meaning, the kinds of fact that it rests on, the data."""

    word: str
    name: str
    meaning: str
    uses: frozenset[str]
    needs: DataNeeds = NO_NEEDS


_DOSE, _EACH_DOSE, _FREQUENCY = frozenset({"dose"}), frozenset({"each_dose"}), frozenset({"frequency"})
_NUMBERS = (
    _Number("age_years", "age", "the age in completed years", frozenset({"age"})),
    _Number("weight_kg", "weight in kg", "the weight; a child's of the last 90 days", frozenset({"weight"}), WEIGHT),
    _Number("daily_dose_mg", "mg a day", "milligrams a day of the ingredient that activated the rule", _DOSE),
    _Number("weekly_dose_mg", "mg a week", "milligrams a week of that ingredient", _DOSE),
    _Number("dose_mg", "mg in one dose", "milligrams of that ingredient in one dose", _EACH_DOSE),
    _Number(
        "dose_mg_per_kg",
        "mg/kg in one dose",
        "milligrams of one dose for each kilogram",
        _EACH_DOSE | {"weight"},
        WEIGHT,
    ),
    _Number(
        "dose_mg_per_kg_per_day",
        "mg/kg a day",
        "milligrams a day for each kilogram",
        _DOSE | {"weight"},
        WEIGHT,
    ),
    _Number("times_per_day", "doses a day", "doses of the draft a day, on average", _FREQUENCY),
    _Number("times_per_week", "doses a week", "doses of the draft a week, on average", _FREQUENCY),
    _Number(
        "duration_days", "days", "the days that the draft is to be taken, refills counted", frozenset({"duration"})
    ),
    _Number(
        "gestation_weeks",
        "week of pregnancy",
        "completed weeks of a pregnancy that is going on",
        frozenset({"gestation"}),
        _GESTATION,
    ),
)
_BY_WORD = {one.word: one for one in _NUMBERS}


def _condition(number: _Number) -> Condition:
    word, read = number.word, operator.attrgetter(number.word)

    def compiler(spec: Spec) -> Predicate:
        compare, limits = comparison(only(spec, word)[word])

        def test(context: RuleContext) -> Truth:
            return compare(read(context))

        def facts(context: RuleContext) -> list[Fact]:
            return context.number_facts(word, limits)

        return Predicate(test, facts, number.uses, limits)

    def wording(spec: Spec) -> str:
        return compared(number.name, spec[word])

    return Condition(
        word, f"{number.meaning}, compared with `lt`, `le`, `gt`, `ge`", compiler, COMPARED, wording, number.needs
    )


def _unknown(spec: Spec) -> Predicate:
    word = only(spec, "unknown")["unknown"]
    if word not in _BY_WORD:
        raise RuleError(f"unknown: {word!r} is none of {', '.join(_BY_WORD)}")
    read = operator.attrgetter(word)
    return Predicate(lambda context: read(context) is None, no_facts, _BY_WORD[word].uses)


_UNKNOWN = Condition(
    "unknown",
    "this number (`weight_kg`, `daily_dose_mg` …) is not known",
    _unknown,
    {"enum": list(_BY_WORD)},
    lambda spec: f"{_BY_WORD[spec['unknown']].name} not known",
    lambda spec: _BY_WORD[spec["unknown"]].needs,
)


WORDS = (*(_condition(number) for number in _NUMBERS), _UNKNOWN)
