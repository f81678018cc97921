"""Words about the patient: sex, conditions on the problem list, allergies."""

from cards.extension import Fact
from cards.rules.conditions.condition import (
    TEXT,
    TEXTS,
    Condition,
    DataNeeds,
    Predicate,
    Spec,
    Truth,
    members,
    needs,
    no_facts,
    only,
)
from cards.rules.language.rule import RuleError
from cards.rules.patient.context import RuleContext

CONDITIONS = needs("Condition")
"""What a condition needs that looks at the problem list."""
# A delivery ends a pregnancy.
PREGNANCY = needs("Condition", "Procedure", "Encounter", "Observation", analytes=("pregnancy_signs",))
"""What a condition needs that asks whether the patient is pregnant."""
ALLERGIES = needs("AllergyIntolerance")
"""What a condition needs that looks at the allergy list."""


def _sex(spec: Spec) -> Predicate:
    wanted = only(spec, "sex")["sex"]

    def test(context: RuleContext) -> Truth:
        return None if context.sex is None else context.sex == wanted

    return Predicate(test, no_facts, frozenset({"sex"}))


_SEX = Condition(
    "sex", "the administrative sex is so", _sex, {"enum": ["male", "female"]}, lambda spec: str(spec["sex"])
)


def _condition_any(spec: Spec) -> Predicate:
    keys = tuple(only(spec, "condition_any")["condition_any"])

    def test(context: RuleContext) -> Truth:
        found = [context.has_condition(key) for key in keys]
        return True if True in found else None if None in found else False

    def facts(context: RuleContext) -> list[Fact]:
        return [fact for key in keys for fact in context.condition_facts(key)]

    return Predicate(test, facts, frozenset({"conditions"}) | {f"condition:{key}" for key in keys})


def _needs_of_conditions(spec: Spec) -> DataNeeds:
    return PREGNANCY if "pregnancy" in spec["condition_any"] else CONDITIONS


_CONDITION_ANY = Condition(
    "condition_any",
    "one of these keys of `fhir/terminology/tables/conditions.csv` is on the problem list",
    _condition_any,
    TEXTS,
    lambda spec: " or ".join(spec["condition_any"]),
    _needs_of_conditions,
)


def _allergy(spec: Spec) -> Predicate:
    wanted = only(spec, "allergy")["allergy"]
    if wanted.get("match") == "ingredient":
        rxcui = str(only(wanted, "match", "ingredient")["ingredient"]["rxcui"])

        def test(context: RuleContext) -> Truth:
            return context.is_allergic_to_ingredient(rxcui)

    elif wanted.get("match") == "class":
        name = str(only(wanted, "match", "class")["class"])

        def test(context: RuleContext) -> Truth:
            return context.is_allergic_to_class(name)

    else:
        raise RuleError(f"allergy: match is {wanted.get('match')!r}")
    return Predicate(test, no_facts, frozenset({"allergies"}))


def _allergy_wording(spec: Spec) -> str:
    allergy = spec["allergy"]
    return f"allergy to {allergy['ingredient']['name'] if 'ingredient' in allergy else allergy['class']}"


_ALLERGY = Condition(
    "allergy",
    'an allergy is on the list: `{"match": "ingredient", "ingredient": …}` or `{"match": "class", "class": …}`',
    _allergy,
    {
        "oneOf": [
            members(("match", "ingredient"), match={"const": "ingredient"}, ingredient={"$ref": "#/$defs/drug"}),
            members(("match", "class"), match={"const": "class"}, **{"class": TEXT}),
        ]
    },
    _allergy_wording,
    ALLERGIES,
)


WORDS = (_SEX, _CONDITION_ANY, _ALLERGY)
