"""Words that combine conditions, and words that compare numbers: results, estimates, numbers of the draft or patient.

The word for a number of the draft or of the patient is the name of that number in RuleContext.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from cards.rules.conditions.condition import (
    COMPARED,
    LIMITS,
    NO_NEEDS,
    TEXT,
    Condition,
    DataNeeds,
    Operator,
    Predicate,
    Spec,
    Truth,
    all_of,
    any_of,
    at_least,
    compared,
    comparison,
    flag,
    less_than,
    members,
    needs,
    no_facts,
    none_of,
    one_of,
    side_comparison,
    some,
)
from cards.rules.language.rule import Count, RuleError, within
from cards.rules.patient.context import RuleContext

_ONE = dict[str, Any]
_LIST = some(_ONE)
_COUNT = members(("n", "of"), n=Count, of=_LIST)

Compile = Callable[[Any], Predicate]
Say = Callable[[Any], str]


def _parts(specs: Any, compile_one: Compile, *path: str) -> tuple[Predicate, ...]:
    return tuple(_part(spec, compile_one, *path, position) for position, spec in enumerate(specs))


def _part(spec: Any, compile_one: Compile, *path: str | int) -> Predicate:
    with within(*path):
        return compile_one(spec)


def _joined(specs: Iterable[Any], say: Say, joint: str) -> str:
    phrases = [say(spec) for spec in specs]
    return joint.join(f"({phrase})" if " or " in phrase and joint != " or " else phrase for phrase in phrases)


def _list(word: str, combine: Callable[[tuple[Predicate, ...]], Predicate], meaning: str, joint: str) -> Operator:
    return Operator(
        word,
        meaning,
        lambda spec, compile_one: combine(_parts(spec[word], compile_one, word)),
        _LIST,
        lambda spec, say: _joined(spec[word], say, joint),
    )


_ALL = _list("all", all_of, "all of these conditions are true; false as soon as one is false", ", and ")
_ANY = _list("any", any_of, "at least one of these conditions is true", " or ")
_NOT = Operator(
    "not",
    "this condition is false; unknown stays unknown",
    lambda spec, compile_one: none_of(_part(spec["not"], compile_one, "not")),
    _ONE,
    lambda spec, say: f"not ({say(spec['not'])})",
)


def _count(
    word: str, combine: Callable[[int, tuple[Predicate, ...]], Predicate], meaning: str, phrase: str
) -> Operator:
    def read(spec: Spec, compile_one: Compile) -> Predicate:
        counted = spec[word]
        return combine(int(counted["n"]), _parts(counted["of"], compile_one, word, "of"))

    def wording(spec: Spec, say: Say) -> str:
        return f"{phrase} {spec[word]['n']} of ({_joined(spec[word]['of'], say, '; ')})"

    return Operator(word, meaning, read, _COUNT, wording)


_COUNT_AT_LEAST = _count(
    "count_at_least",
    at_least,
    '`{"n": 2, "of": [...]}`: at least so many are true; unknown only if the unknown ones could change it',
    "at least",
)
_COUNT_LESS_THAN = _count(
    "count_less_than", less_than, "fewer than `n` of these conditions are true; unknown in the same way", "fewer than"
)


_ALWAYS = flag("always", lambda _context: True, "always", negated="never")
_NEVER = flag("never", lambda _context: False, "never", negated="always")


OF_LOGIC = (_ALL, _ANY, _NOT, _COUNT_AT_LEAST, _COUNT_LESS_THAN, _ALWAYS, _NEVER)


# A stay in hospital shortens how long a kidney value counts; AKI and dialysis are conditions; whether an order is
# answered is seen from the tests that are ordered.
_KIDNEY = needs("Observation", "Condition", "Encounter", "ServiceRequest", analytes=("creatinine", "egfr"))
_ESTIMATES: Mapping[str, DataNeeds] = {
    "egfr_best": _KIDNEY,
    "crcl_actual_weight": _KIDNEY | needs(analytes=("body_weight",)),
    "crcl_adjusted_weight": _KIDNEY | needs(analytes=("body_weight", "body_height")),
}
_MAX_AGE: Mapping[str, Any] = {"max_age_days": float}
_ESTIMATE_NAMES: Mapping[str, Any] = one_of("egfr_best", "crcl_cockcroft_gault")
_WEIGHT: Mapping[str, Any] = {"weight": one_of("actual", "adjusted")}


def needs_of_lab(analyte: str) -> DataNeeds:
    """Return what a condition needs that looks at a laboratory value."""
    parts = ("body_weight", "body_height") if analyte == "bmi" else ()
    return needs("Observation", analytes=(analyte, *parts))


def _lab(spec: Spec) -> Predicate:
    key, max_age = str(spec["lab"]), spec.get("max_age_days")
    compare, limits = comparison(spec)
    compare_side = side_comparison(spec)

    def test(context: RuleContext) -> Truth:
        measurement = context.session.lab(key, max_age)
        if measurement is None or measurement.side is None:
            return compare(measurement.value if measurement is not None else None)
        return compare_side(measurement.value, measurement.side)

    return Predicate(test, lambda context: context.lab_facts(key, max_age, limits), frozenset({f"lab:{key}"}), limits)


def _lab_wording(spec: Spec) -> str:
    window = f" in the last {spec['max_age_days']:g} days" if "max_age_days" in spec else ""
    return compared(spec["lab"], spec) + window


_LAB = Condition(
    "lab",
    "the newest usable value compares so with `lt`, `le`, `gt`, `ge`; with `max_age_days` only one that young counts",
    _lab,
    TEXT,
    _lab_wording,
    lambda spec: needs_of_lab(spec["lab"]),
    {**_MAX_AGE, **LIMITS},
)


def _lab_missing(spec: Spec) -> Predicate:
    key, max_age = str(spec["lab_missing"]), spec.get("max_age_days")

    def test(context: RuleContext) -> Truth:
        if context.session.lab(key, max_age) is not None:
            return False
        # What nobody asked for is not missing.
        return True if context.session.record.was_requested(key) else None

    return Predicate(test, no_facts, frozenset({f"lab:{key}"}))


_LAB_MISSING = Condition(
    "lab_missing",
    "there is no usable value of `max_age_days` or younger; unknown where results were not asked for",
    _lab_missing,
    TEXT,
    lambda spec: f"no {spec['lab_missing']} in {spec.get('max_age_days', 'any number of')} days",
    lambda spec: needs_of_lab(spec["lab_missing"]),
    _MAX_AGE,
)


# Kidney function


def _estimate_name(spec: Spec, word: str) -> str:
    name, weight = spec[word], spec.get("weight")
    if name == "egfr_best" and weight is None:
        return "egfr_best"
    if name == "crcl_cockcroft_gault" and weight in ("actual", "adjusted"):
        return f"crcl_{weight}_weight"
    raise RuleError(f"{dict(spec)!r}: egfr_best, or crcl_cockcroft_gault with weight actual or adjusted")


def _estimate_words(spec: Spec, word: str) -> str:
    return "eGFR" if spec[word] == "egfr_best" else f"CrCl ({spec['weight']} weight)"


def _derived(spec: Spec) -> Predicate:
    name = _estimate_name(spec, "derived")
    compare, limits = comparison(spec)
    compare_side = side_comparison(spec)

    def test(context: RuleContext) -> Truth:
        estimate = context.estimate(name)
        if estimate is None or estimate.side is None:
            return compare(estimate.value if estimate is not None else None)
        return compare_side(estimate.value, estimate.side)

    return Predicate(test, lambda context: context.estimate_facts(name, limits), frozenset({name}), limits)


_DERIVED = Condition(
    "derived",
    '`egfr_best`, or `crcl_cockcroft_gault` with `"weight"` (`"actual"` for anticoagulants and dofetilide, else '
    '`"adjusted"`), compares so with `lt`, `le`, `gt`, `ge`',
    _derived,
    _ESTIMATE_NAMES,
    lambda spec: compared(_estimate_words(spec, "derived"), spec),
    lambda spec: _ESTIMATES[_estimate_name(spec, "derived")],
    {**_WEIGHT, **LIMITS},
)


def _derived_missing(spec: Spec) -> Predicate:
    name = _estimate_name(spec, "derived_missing")
    return Predicate(lambda context: context.lacks_estimate(name), no_facts, frozenset({name}))


_DERIVED_MISSING = Condition(
    "derived_missing",
    "there is no such estimate and the patient is an adult",
    _derived_missing,
    _ESTIMATE_NAMES,
    lambda spec: f"no {_estimate_words(spec, 'derived_missing')}",
    lambda spec: _ESTIMATES[_estimate_name(spec, "derived_missing")],
    _WEIGHT,
)


_KIDNEY_VALUE_WANTED = flag(
    "kidney_value_wanted",
    RuleContext.is_kidney_value_wanted,
    "a new value would help",
    frozenset({"egfr_best"}),
    needs=_KIDNEY,
    meaning="a new value would give the estimate (without age or sex it would not)",
)


_LABORATORY = (_LAB, _LAB_MISSING, _DERIVED, _DERIVED_MISSING, _KIDNEY_VALUE_WANTED)

WEIGHT = needs("Observation", analytes=("body_weight",))
"""What a condition needs that looks at the patient's weight."""
# A delivery ends a pregnancy.
_GESTATION = needs("Condition", "Procedure", "Encounter", "Observation", analytes=("pregnancy_signs", "sex_at_birth"))


class _Number(NamedTuple):
    """One number: its word, what a page calls it, its meaning, the kinds of fact that it is based on, the data."""

    word: str
    name: str
    meaning: str
    uses: frozenset[str]
    needs: DataNeeds = NO_NEEDS


_DOSE, _EACH_DOSE, _FREQUENCY = frozenset({"dose"}), frozenset({"each_dose"}), frozenset({"frequency"})
_NUMBERS = (
    _Number("age_years", "age", "the age in completed years", frozenset({"age"})),
    _Number("age_months", "age in months", "completed months; under one the part of it", frozenset({"age"})),
    _Number("weight_kg", "weight in kg", "the weight; a child's of the last 90 days", frozenset({"weight"}), WEIGHT),
    _Number("daily_dose_mg", "mg a day", "milligrams a day of the ingredient that activated the rule", _DOSE),
    _Number("first_daily_mg", "mg a day at first", "milligrams a day with which it begins, if it is raised", _DOSE),
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
_BY_WORD = {number.word: number for number in _NUMBERS}


def _condition(number: _Number) -> Condition:
    word, read = number.word, operator.attrgetter(number.word)

    def compiler(spec: Spec) -> Predicate:
        compare, limits = comparison(spec[word])

        def test(context: RuleContext) -> Truth:
            value = read(context)
            if value is None and (bounds := context.bounds(word)) is not None:
                # The year of birth alone leaves two ages, a trimester some weeks: what is true of all of them is true.
                least, most = map(compare, bounds)
                return least if least is most else None
            return compare(value)

        return Predicate(test, lambda context: context.number_facts(word, limits), number.uses, limits)

    return Condition(
        word,
        f"{number.meaning}, compared with `lt`, `le`, `gt`, `ge`",
        compiler,
        COMPARED,
        lambda spec: compared(number.name, spec[word]),
        number.needs,
    )


def _unknown(spec: Spec) -> Predicate:
    word = spec["unknown"]
    read = operator.attrgetter(word)
    return Predicate(lambda context: read(context) is None, no_facts, _BY_WORD[word].uses)


_UNKNOWN = Condition(
    "unknown",
    "this number (`weight_kg`, `daily_dose_mg` …) is not known",
    _unknown,
    one_of(*_BY_WORD),
    lambda spec: f"{_BY_WORD[spec['unknown']].name} not known",
    lambda spec: _BY_WORD[spec["unknown"]].needs,
)


_OF_NUMBERS = (*_LABORATORY, *(_condition(number) for number in _NUMBERS), _UNKNOWN)
WORDS = (*OF_LOGIC, *_OF_NUMBERS)
