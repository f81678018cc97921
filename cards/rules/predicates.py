"""The words of a rule's conditions, each compiled once into a closure; nothing is interpreted while an order waits."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from cards.rules.fact import Fact
from cards.rules.predicate import Predicate, Truth, all_of, any_of, at_least, constant, less_than, no_facts, none_of
from cards.rules.selector import Selector
from cards.rules.situation import Situation

Comparison = Callable[[float | None], Truth]

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


class RuleError(ValueError):
    """A rule that cannot be compiled; the message names the part that is wrong."""


def compile_predicate(spec: Any) -> Predicate:
    """The closure of a condition as a table writes it; refuses a word that is not known."""
    if not isinstance(spec, dict) or not spec:
        raise RuleError(f"{spec!r} is no condition")
    for word, compiler in _WORDS.items():
        if word in spec:
            return compiler(spec)
    raise RuleError(f"no predicate is called {' or '.join(sorted(spec))}")


# Logic


def _all(spec: Mapping[str, Any]) -> Predicate:
    return all_of(_parts(spec, "all"))


def _any(spec: Mapping[str, Any]) -> Predicate:
    return any_of(_parts(spec, "any"))


def _not(spec: Mapping[str, Any]) -> Predicate:
    return none_of(compile_predicate(_only(spec, "not")["not"]))


def _always(spec: Mapping[str, Any]) -> Predicate:
    return constant(_only(spec, "always")["always"] is True)


def _never(spec: Mapping[str, Any]) -> Predicate:
    return constant(_only(spec, "never")["never"] is not True)


def _count_at_least(spec: Mapping[str, Any]) -> Predicate:
    counted = _only(_only(spec, "count_at_least")["count_at_least"], "n", "of")
    return at_least(int(counted["n"]), _listed(counted["of"]))


def _count_less_than(spec: Mapping[str, Any]) -> Predicate:
    counted = _only(_only(spec, "count_less_than")["count_less_than"], "n", "of")
    return less_than(int(counted["n"]), _listed(counted["of"]))


# Drugs


def _draft(spec: Mapping[str, Any]) -> Predicate:
    matches = Selector.read(_only(spec, "draft")["draft"]).matches

    def test(situation: Situation) -> Truth:
        return matches(situation.medication)

    return Predicate(test)


def _active(spec: Mapping[str, Any]) -> Predicate:
    selector = Selector.read(_only(spec, "active")["active"])

    def test(situation: Situation) -> Truth:
        return situation.takes(selector)

    def facts(situation: Situation) -> list[Fact]:
        return situation.taken_facts(selector)

    return Predicate(test, facts, frozenset({"active"}))


def _new_start(spec: Mapping[str, Any]) -> Predicate:
    wanted = _only(spec, "new_start")["new_start"]

    def test(situation: Situation) -> Truth:
        return None if situation.new_start is None else situation.new_start is wanted

    return Predicate(test, no_facts, frozenset({"history"}))


# Patient


def _condition_any(spec: Mapping[str, Any]) -> Predicate:
    keys = tuple(_only(spec, "condition_any")["condition_any"])

    def test(situation: Situation) -> Truth:
        found = [situation.has_condition(key) for key in keys]
        return True if True in found else None if None in found else False

    def facts(situation: Situation) -> list[Fact]:
        return [fact for key in keys for fact in situation.condition_facts(key)]

    return Predicate(test, facts, frozenset({"conditions"}) | {f"condition:{key}" for key in keys})


def _sex(spec: Mapping[str, Any]) -> Predicate:
    wanted = _only(spec, "sex")["sex"]

    def test(situation: Situation) -> Truth:
        return None if situation.sex is None else situation.sex == wanted

    return Predicate(test, no_facts, frozenset({"sex"}))


def _allergy(spec: Mapping[str, Any]) -> Predicate:
    wanted = _only(spec, "allergy")["allergy"]
    if wanted.get("match") == "ingredient":
        rxcui = str(_only(wanted, "match", "ingredient")["ingredient"]["rxcui"])

        def test(situation: Situation) -> Truth:
            return situation.is_allergic_to_ingredient(rxcui)

    elif wanted.get("match") == "class":
        name = str(_only(wanted, "match", "class")["class"])

        def test(situation: Situation) -> Truth:
            return situation.is_allergic_to_class(name)

    else:
        raise RuleError(f"allergy: match is {wanted.get('match')!r}")
    return Predicate(test, no_facts, frozenset({"allergies"}))


# Numbers


def _lab(spec: Mapping[str, Any]) -> Predicate:
    key, max_age = str(spec["lab"]), spec.get("max_age_days")
    compare, limits = _comparison(spec, "lab", "max_age_days")

    def test(situation: Situation) -> Truth:
        return compare(situation.lab_value(key, max_age))

    def facts(situation: Situation) -> list[Fact]:
        return situation.lab_facts(key, max_age, limits)

    return Predicate(test, facts, frozenset({f"lab:{key}"}), limits)


def _lab_missing(spec: Mapping[str, Any]) -> Predicate:
    key, max_age = str(spec["lab_missing"]), _only(spec, "lab_missing", "max_age_days").get("max_age_days")

    def test(situation: Situation) -> Truth:
        return situation.lab_value(key, max_age) is None

    return Predicate(test, no_facts, frozenset({f"lab:{key}"}))


def _derived(spec: Mapping[str, Any]) -> Predicate:
    name = _estimate_name(spec, "derived")
    compare, limits = _comparison(spec, "derived", "weight")

    def test(situation: Situation) -> Truth:
        return compare(situation.estimate_value(name))

    def facts(situation: Situation) -> list[Fact]:
        return situation.estimate_facts(name, limits)

    return Predicate(test, facts, frozenset({name}), limits)


def _derived_missing(spec: Mapping[str, Any]) -> Predicate:
    name = _estimate_name(_only(spec, "derived_missing", "weight"), "derived_missing")

    def test(situation: Situation) -> Truth:
        return situation.lacks_estimate(name)

    return Predicate(test, no_facts, frozenset({name}))


def _kidney_value_wanted(spec: Mapping[str, Any]) -> Predicate:
    wanted = _only(spec, "kidney_value_wanted")["kidney_value_wanted"]
    return Predicate(lambda situation: situation.is_kidney_value_wanted() is wanted, no_facts, frozenset({"egfr_best"}))


def _estimate_name(spec: Mapping[str, Any], word: str) -> str:
    name, weight = spec[word], spec.get("weight")
    if name == "egfr_best" and weight is None:
        return "egfr_best"
    if name == "crcl_cockcroft_gault" and weight in ("actual", "adjusted"):
        return f"crcl_{weight}_weight"
    raise RuleError(f"{dict(spec)!r}: egfr_best, or crcl_cockcroft_gault with weight actual or adjusted")


def _number(word: str, use: str) -> Callable[[Mapping[str, Any]], Predicate]:
    """A word that compares one number of the situation: its attribute has the word's own name."""
    read = operator.attrgetter(word)

    def compiler(spec: Mapping[str, Any]) -> Predicate:
        compare, limits = _comparison(_only(spec, word)[word])

        def test(situation: Situation) -> Truth:
            return compare(read(situation))

        def facts(situation: Situation) -> list[Fact]:
            return situation.number_facts(word, limits)

        return Predicate(test, facts, frozenset({use}), limits)

    return compiler


def _single_dose(spec: Mapping[str, Any]) -> Predicate:
    wanted = _only(spec, "single_dose")["single_dose"]
    return Predicate(lambda situation: situation.is_single_dose is wanted, no_facts, frozenset({"dose"}))


def _unknown(spec: Mapping[str, Any]) -> Predicate:
    """True when a number of the order or the patient is not known: what a missing-data entry asks."""
    word = _only(spec, "unknown")["unknown"]
    if word not in _NUMBERS:
        raise RuleError(f"unknown: {word!r} is none of {', '.join(_NUMBERS)}")
    read = operator.attrgetter(word)
    return Predicate(lambda situation: read(situation) is None, no_facts, frozenset({_NUMBERS[word]}))


def _comparison(spec: Mapping[str, Any], *beside: str) -> tuple[Comparison, frozenset[float]]:
    """Compares with every limit of the spec; None stays unknown."""
    limits = {word: float(spec[word]) for word in _OPERATORS if word in spec}
    _only(spec, *beside, *limits)
    if not limits:
        raise RuleError(f"{dict(spec)!r} compares with nothing")
    checks = tuple((_OPERATORS[word], limit) for word, limit in limits.items())

    def compare(value: float | None) -> Truth:
        return None if value is None else all(check(value, limit) for check, limit in checks)

    return compare, frozenset(limits.values())


# Parts


def _parts(spec: Mapping[str, Any], word: str) -> tuple[Predicate, ...]:
    return _listed(_only(spec, word)[word])


def _listed(specs: Any) -> tuple[Predicate, ...]:
    if not isinstance(specs, list) or not specs:
        raise RuleError(f"{specs!r} is no list of conditions")
    return tuple(compile_predicate(spec) for spec in specs)


def _only(spec: Any, *words: str) -> Mapping[str, Any]:
    if not isinstance(spec, dict) or set(spec) - set(words):
        raise RuleError(f"{spec!r}: only {', '.join(words)} can stand here")
    return spec


# Numbers by word, with the kind of fact they rest on.
_NUMBERS: Mapping[str, str] = {
    "age_years": "age",
    "weight_kg": "weight",
    "daily_dose_mg": "dose",
    "times_per_day": "frequency",
    "duration_days": "duration",
    "gestation_weeks": "gestation",
}

_WORDS: Mapping[str, Callable[[Mapping[str, Any]], Predicate]] = {
    "all": _all,
    "any": _any,
    "not": _not,
    "always": _always,
    "never": _never,
    "count_at_least": _count_at_least,
    "count_less_than": _count_less_than,
    "draft": _draft,
    "active": _active,
    "new_start": _new_start,
    "condition_any": _condition_any,
    "sex": _sex,
    "allergy": _allergy,
    "lab": _lab,
    "lab_missing": _lab_missing,
    "derived": _derived,
    "derived_missing": _derived_missing,
    "kidney_value_wanted": _kidney_value_wanted,
    "single_dose": _single_dose,
    "unknown": _unknown,
    **{word: _number(word, use) for word, use in _NUMBERS.items()},
}
WORDS = tuple(_WORDS)
