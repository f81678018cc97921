"""Words about laboratory values and the estimates of kidney function."""

from collections.abc import Mapping
from typing import Any

from cards.extension import Fact
from cards.rules.conditions.condition import (
    BOOLEAN,
    LIMITS,
    TEXT,
    Condition,
    DataNeeds,
    Predicate,
    Spec,
    Truth,
    comparison,
    needs,
    no_facts,
    only,
    side_comparison,
)
from cards.rules.conditions.wording import compared
from cards.rules.language.rule import RuleError
from cards.rules.patient.context import RuleContext

# A stay in hospital shortens how long a kidney value counts; AKI and dialysis are conditions; whether an order is
# answered is seen from the tests that are ordered.
_KIDNEY = needs("Observation", "Condition", "Encounter", "ServiceRequest", analytes=("creatinine", "egfr"))
_ESTIMATES: Mapping[str, DataNeeds] = {
    "egfr_best": _KIDNEY,
    "crcl_actual_weight": _KIDNEY | needs(analytes=("body_weight",)),
    "crcl_adjusted_weight": _KIDNEY | needs(analytes=("body_weight", "body_height")),
}
_MAX_AGE: Mapping[str, Any] = {"max_age_days": {"type": "number"}}
_ESTIMATE_NAMES: Mapping[str, Any] = {"enum": ["egfr_best", "crcl_cockcroft_gault"]}
_WEIGHT: Mapping[str, Any] = {"weight": {"enum": ["actual", "adjusted"]}}


def needs_of_lab(analyte: str) -> DataNeeds:
    """What a condition needs that looks at a laboratory value."""
    return needs("Observation", analytes=(analyte,))


def _lab(spec: Spec) -> Predicate:
    key, max_age = str(spec["lab"]), spec.get("max_age_days")
    compare, limits = comparison(spec, "lab", "max_age_days")

    def test(context: RuleContext) -> Truth:
        return compare(context.lab_value(key, max_age))

    def facts(context: RuleContext) -> list[Fact]:
        return context.lab_facts(key, max_age, limits)

    return Predicate(test, facts, frozenset({f"lab:{key}"}), limits)


_LAB = Condition(
    "lab",
    "the newest usable value compares so with `lt`, `le`, `gt`, `ge`; with `max_age_days` only one that young counts",
    _lab,
    TEXT,
    lambda spec: compared(spec["lab"], spec),
    lambda spec: needs_of_lab(spec["lab"]),
    {**_MAX_AGE, **LIMITS},
)


def _lab_missing(spec: Spec) -> Predicate:
    key, max_age = str(spec["lab_missing"]), only(spec, "lab_missing", "max_age_days").get("max_age_days")

    def test(context: RuleContext) -> Truth:
        return context.lab_value(key, max_age) is None

    return Predicate(test, no_facts, frozenset({f"lab:{key}"}))


_LAB_MISSING = Condition(
    "lab_missing",
    "there is no usable value of `max_age_days` or younger",
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
    compare, limits = comparison(spec, "derived", "weight")
    compare_side = side_comparison(spec)

    def test(context: RuleContext) -> Truth:
        estimate = context.estimate(name)
        if estimate is None or estimate.side is None:
            return compare(estimate.value if estimate is not None else None)
        return compare_side(estimate.value, estimate.side)

    def facts(context: RuleContext) -> list[Fact]:
        return context.estimate_facts(name, limits)

    return Predicate(test, facts, frozenset({name}), limits)


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
    name = _estimate_name(only(spec, "derived_missing", "weight"), "derived_missing")

    def test(context: RuleContext) -> Truth:
        return context.lacks_estimate(name)

    return Predicate(test, no_facts, frozenset({name}))


_DERIVED_MISSING = Condition(
    "derived_missing",
    "there is no such estimate and the patient is an adult",
    _derived_missing,
    _ESTIMATE_NAMES,
    lambda spec: f"no {_estimate_words(spec, 'derived_missing')}",
    lambda spec: _ESTIMATES[_estimate_name(spec, "derived_missing")],
    _WEIGHT,
)


def _kidney_value_wanted(spec: Spec) -> Predicate:
    wanted = only(spec, "kidney_value_wanted")["kidney_value_wanted"]
    return Predicate(lambda context: context.is_kidney_value_wanted() is wanted, no_facts, frozenset({"egfr_best"}))


_KIDNEY_VALUE_WANTED = Condition(
    "kidney_value_wanted",
    "a new value would give the estimate (without age or sex it would not)",
    _kidney_value_wanted,
    BOOLEAN,
    lambda _spec: "a new value would help",
    _KIDNEY,
)


WORDS = (_LAB, _LAB_MISSING, _DERIVED, _DERIVED_MISSING, _KIDNEY_VALUE_WANTED)
