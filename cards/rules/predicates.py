"""The words of a rule's conditions, each compiled once into a closure; nothing is interpreted while an order waits."""

import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from cards.rules.condition import Condition, comparison, floor_comparison, only, side_comparison
from cards.rules.fact import Fact
from cards.rules.predicate import Predicate, Truth, all_of, any_of, at_least, constant, less_than, no_facts, none_of
from cards.rules.rule import RuleError
from cards.rules.selector import Selector
from cards.rules.situation import Situation

Own = Mapping[str, Condition]
"""The words that a family brings along."""
NO_WORDS: Own = MappingProxyType({})


def compile_predicate(spec: Any, own: Own = NO_WORDS) -> Predicate:
    """The closure of a condition as a table writes it; refuses a word that is not known."""
    if not isinstance(spec, dict) or not spec:
        raise RuleError(f"{spec!r} is no condition")
    for word, joiner in _LOGIC.items():
        if word in spec:
            return joiner(spec, own)
    for word, condition in own.items():
        if word in spec:
            return condition.read(spec)
    for word, compiler in _WORDS.items():
        if word in spec:
            return compiler(spec)
    raise RuleError(f"no predicate is called {' or '.join(sorted(spec))}")


# Logic


def _all(spec: Mapping[str, Any], own: Own) -> Predicate:
    return all_of(_listed(only(spec, "all")["all"], own))


def _any(spec: Mapping[str, Any], own: Own) -> Predicate:
    return any_of(_listed(only(spec, "any")["any"], own))


def _not(spec: Mapping[str, Any], own: Own) -> Predicate:
    return none_of(compile_predicate(only(spec, "not")["not"], own))


def _always(spec: Mapping[str, Any]) -> Predicate:
    return constant(only(spec, "always")["always"] is True)


def _never(spec: Mapping[str, Any]) -> Predicate:
    return constant(only(spec, "never")["never"] is not True)


def _count_at_least(spec: Mapping[str, Any], own: Own) -> Predicate:
    counted = only(only(spec, "count_at_least")["count_at_least"], "n", "of")
    return at_least(int(counted["n"]), _listed(counted["of"], own))


def _count_less_than(spec: Mapping[str, Any], own: Own) -> Predicate:
    counted = only(only(spec, "count_less_than")["count_less_than"], "n", "of")
    return less_than(int(counted["n"]), _listed(counted["of"], own))


# Drugs


def _draft(spec: Mapping[str, Any]) -> Predicate:
    matches = Selector.read(only(spec, "draft")["draft"]).matches

    def test(situation: Situation) -> Truth:
        return matches(situation.medication)

    return Predicate(test)


def _active(spec: Mapping[str, Any]) -> Predicate:
    selector = Selector.read(only(spec, "active")["active"])

    def test(situation: Situation) -> Truth:
        return situation.takes(selector)

    def facts(situation: Situation) -> list[Fact]:
        return situation.taken_facts(selector)

    return Predicate(test, facts, frozenset({"active"}))


def _new_start(spec: Mapping[str, Any]) -> Predicate:
    wanted = only(spec, "new_start")["new_start"]

    def test(situation: Situation) -> Truth:
        return None if situation.new_start is None else situation.new_start is wanted

    return Predicate(test, no_facts, frozenset({"history"}))


def _partner_on(spec: Mapping[str, Any]) -> Predicate:
    """True when the draft or the partner that is looked at is such a drug."""
    selector = Selector.read(only(spec, "partner_on")["partner_on"])

    def test(situation: Situation) -> Truth:
        return situation.pair_has(selector)

    return Predicate(test, no_facts, frozenset({"active"}))


def _partner_new(spec: Mapping[str, Any]) -> Predicate:
    wanted = only(spec, "partner_new")["partner_new"]

    def test(situation: Situation) -> Truth:
        is_new = situation.pair_is_new
        return None if is_new is None else is_new is wanted

    return Predicate(test, no_facts, frozenset({"active", "history"}))


def _drug_daily_mg(spec: Mapping[str, Any]) -> Predicate:
    """The daily dose of a drug that is drafted, else of the active one: the highest of several orders."""
    inner = only(spec, "drug_daily_mg")["drug_daily_mg"]
    rxcui = str(inner["ingredient"]["rxcui"])
    compare, limits = comparison(inner, "ingredient")

    def test(situation: Situation) -> Truth:
        return compare(situation.drug_daily_mg(rxcui))

    def facts(situation: Situation) -> list[Fact]:
        return situation.drug_facts(rxcui)

    return Predicate(test, facts, frozenset({"active", "dose", "drug_dose"}), limits)


def _daily_total_mg(spec: Mapping[str, Any]) -> Predicate:
    """The sum over the draft, the other drafts and what is active; an unknown part is unknown, never nothing."""
    inner = only(spec, "daily_total_mg")["daily_total_mg"]
    rxcui = str(inner["ingredient"]["rxcui"])
    compare, limits = floor_comparison(inner, "ingredient")

    def test(situation: Situation) -> Truth:
        return compare(*situation.daily_total_mg(rxcui))

    def facts(situation: Situation) -> list[Fact]:
        return situation.drug_facts(rxcui)

    return Predicate(test, facts, frozenset({"active", "dose", "drug_dose"}), limits)


# Patient


def _condition_any(spec: Mapping[str, Any]) -> Predicate:
    keys = tuple(only(spec, "condition_any")["condition_any"])

    def test(situation: Situation) -> Truth:
        found = [situation.has_condition(key) for key in keys]
        return True if True in found else None if None in found else False

    def facts(situation: Situation) -> list[Fact]:
        return [fact for key in keys for fact in situation.condition_facts(key)]

    return Predicate(test, facts, frozenset({"conditions"}) | {f"condition:{key}" for key in keys})


def _sex(spec: Mapping[str, Any]) -> Predicate:
    wanted = only(spec, "sex")["sex"]

    def test(situation: Situation) -> Truth:
        return None if situation.sex is None else situation.sex == wanted

    return Predicate(test, no_facts, frozenset({"sex"}))


def _allergy(spec: Mapping[str, Any]) -> Predicate:
    wanted = only(spec, "allergy")["allergy"]
    if wanted.get("match") == "ingredient":
        rxcui = str(only(wanted, "match", "ingredient")["ingredient"]["rxcui"])

        def test(situation: Situation) -> Truth:
            return situation.is_allergic_to_ingredient(rxcui)

    elif wanted.get("match") == "class":
        name = str(only(wanted, "match", "class")["class"])

        def test(situation: Situation) -> Truth:
            return situation.is_allergic_to_class(name)

    else:
        raise RuleError(f"allergy: match is {wanted.get('match')!r}")
    return Predicate(test, no_facts, frozenset({"allergies"}))


# Numbers


def _lab(spec: Mapping[str, Any]) -> Predicate:
    key, max_age = str(spec["lab"]), spec.get("max_age_days")
    compare, limits = comparison(spec, "lab", "max_age_days")

    def test(situation: Situation) -> Truth:
        return compare(situation.lab_value(key, max_age))

    def facts(situation: Situation) -> list[Fact]:
        return situation.lab_facts(key, max_age, limits)

    return Predicate(test, facts, frozenset({f"lab:{key}"}), limits)


def _lab_missing(spec: Mapping[str, Any]) -> Predicate:
    key, max_age = str(spec["lab_missing"]), only(spec, "lab_missing", "max_age_days").get("max_age_days")

    def test(situation: Situation) -> Truth:
        return situation.lab_value(key, max_age) is None

    return Predicate(test, no_facts, frozenset({f"lab:{key}"}))


def _derived(spec: Mapping[str, Any]) -> Predicate:
    name = _estimate_name(spec, "derived")
    compare, limits = comparison(spec, "derived", "weight")
    compare_side = side_comparison(spec)

    def test(situation: Situation) -> Truth:
        estimate = situation.estimate(name)
        if estimate is None or estimate.side is None:
            return compare(estimate.value if estimate is not None else None)
        return compare_side(estimate.value, estimate.side)

    def facts(situation: Situation) -> list[Fact]:
        return situation.estimate_facts(name, limits)

    return Predicate(test, facts, frozenset({name}), limits)


def _derived_missing(spec: Mapping[str, Any]) -> Predicate:
    name = _estimate_name(only(spec, "derived_missing", "weight"), "derived_missing")

    def test(situation: Situation) -> Truth:
        return situation.lacks_estimate(name)

    return Predicate(test, no_facts, frozenset({name}))


def _kidney_value_wanted(spec: Mapping[str, Any]) -> Predicate:
    wanted = only(spec, "kidney_value_wanted")["kidney_value_wanted"]
    return Predicate(lambda situation: situation.is_kidney_value_wanted() is wanted, no_facts, frozenset({"egfr_best"}))


def _estimate_name(spec: Mapping[str, Any], word: str) -> str:
    name, weight = spec[word], spec.get("weight")
    if name == "egfr_best" and weight is None:
        return "egfr_best"
    if name == "crcl_cockcroft_gault" and weight in ("actual", "adjusted"):
        return f"crcl_{weight}_weight"
    raise RuleError(f"{dict(spec)!r}: egfr_best, or crcl_cockcroft_gault with weight actual or adjusted")


def _number(word: str, uses: frozenset[str]) -> Callable[[Mapping[str, Any]], Predicate]:
    """A word that compares one number of the situation: its attribute has the word's own name."""
    read = operator.attrgetter(word)

    def compiler(spec: Mapping[str, Any]) -> Predicate:
        compare, limits = comparison(only(spec, word)[word])

        def test(situation: Situation) -> Truth:
            return compare(read(situation))

        def facts(situation: Situation) -> list[Fact]:
            return situation.number_facts(word, limits)

        return Predicate(test, facts, uses, limits)

    return compiler


def _signing(spec: Mapping[str, Any]) -> Predicate:
    wanted = only(spec, "signing")["signing"]
    return Predicate(lambda situation: situation.is_signing is wanted)


def _single_dose(spec: Mapping[str, Any]) -> Predicate:
    wanted = only(spec, "single_dose")["single_dose"]
    return Predicate(lambda situation: situation.is_single_dose is wanted, no_facts, frozenset({"dose"}))


def _unknown(spec: Mapping[str, Any]) -> Predicate:
    """True when a number of the order or the patient is not known: what a missing-data entry asks."""
    word = only(spec, "unknown")["unknown"]
    if word not in _NUMBERS:
        raise RuleError(f"unknown: {word!r} is none of {', '.join(_NUMBERS)}")
    read = operator.attrgetter(word)
    return Predicate(lambda situation: read(situation) is None, no_facts, _NUMBERS[word])


# Parts


def _listed(specs: Any, own: Own) -> tuple[Predicate, ...]:
    if not isinstance(specs, list) or not specs:
        raise RuleError(f"{specs!r} is no list of conditions")
    return tuple(compile_predicate(spec, own) for spec in specs)


# Numbers by word, with the kind of fact they rest on.
_NUMBERS: Mapping[str, frozenset[str]] = {
    "age_years": frozenset({"age"}),
    "weight_kg": frozenset({"weight"}),
    "daily_dose_mg": frozenset({"dose"}),
    "weekly_dose_mg": frozenset({"dose"}),
    "dose_mg": frozenset({"each_dose"}),
    "dose_mg_per_kg": frozenset({"each_dose", "weight"}),
    "dose_mg_per_kg_per_day": frozenset({"dose", "weight"}),
    "times_per_day": frozenset({"frequency"}),
    "times_per_week": frozenset({"frequency"}),
    "duration_days": frozenset({"duration"}),
    "gestation_weeks": frozenset({"gestation"}),
}

_LOGIC: Mapping[str, Callable[[Mapping[str, Any], Own], Predicate]] = {
    "all": _all,
    "any": _any,
    "not": _not,
    "count_at_least": _count_at_least,
    "count_less_than": _count_less_than,
}

_WORDS: Mapping[str, Callable[[Mapping[str, Any]], Predicate]] = {
    "always": _always,
    "never": _never,
    "draft": _draft,
    "active": _active,
    "new_start": _new_start,
    "partner_on": _partner_on,
    "partner_new": _partner_new,
    "drug_daily_mg": _drug_daily_mg,
    "daily_total_mg": _daily_total_mg,
    "condition_any": _condition_any,
    "sex": _sex,
    "allergy": _allergy,
    "lab": _lab,
    "lab_missing": _lab_missing,
    "derived": _derived,
    "derived_missing": _derived_missing,
    "kidney_value_wanted": _kidney_value_wanted,
    "signing": _signing,
    "single_dose": _single_dose,
    "unknown": _unknown,
    **{word: _number(word, use) for word, use in _NUMBERS.items()},
}
WORDS = (*_LOGIC, *_WORDS)
"""Every word that any family may use."""
