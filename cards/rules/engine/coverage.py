"""Which checks exist for a drug or an order of a test, and which do not: what silence about it means.

A check is counted where a rule of the rule book names the drug or a class of it, or the group that an order of imaging
or of a test belongs to. That a rule exists says nothing of how much of the subject it covers.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from cards.rules.engine.compile import CompiledRule
from cards.rules.language.trigger import TEST
from cards.rules.patient.measurements import ESTIMATES
from fhir.mapping.studies import read_study

CHECKS: Final = (
    "interaction",
    "duplicate",
    "kidney",
    "liver",
    "pregnancy",
    "age",
    "allergy",
    "gene",
    "dose",
    "disease",
    "monitoring",
)
"""The checks in the order of the table."""

# Rules about opioids are about the sum of their doses, but for those about a pair of drugs.
_OF_FAMILY: Final[Mapping[str, str]] = {
    "age": "age",
    "allergy": "allergy",
    "ddi": "interaction",
    "disease": "disease",
    "dose": "dose",
    "duplicate": "duplicate",
    "genes": "gene",
    "monitoring": "monitoring",
    "opioid": "dose",
    "pairs": "interaction",
    "pregnancy": "pregnancy",
    "renal": "kidney",
}
# What a rule about orders of imaging and tests checks, by what its bands read; one that reads nothing of it is about a
# disease or a sign (low back pain).
_OF_ORDER: Final[Mapping[str, frozenset[str]]] = {
    "allergy": frozenset({"allergies"}),
    "pregnancy": frozenset({"condition:pregnancy", "childbearing"}),
    "monitoring": frozenset({"last_result", "last_same"}),
}
_SCREENING: Final = "screen-"
_WITH_DRUGS: Final = frozenset({"img-metformin-contrast"})
_LIVER: Final = frozenset({"condition:cirrhosis", "lab:alt", "lab:ast", "lab:bilirubin_total"})


def _by_group(rules: Iterable[CompiledRule]) -> Mapping[str, list[CompiledRule]]:
    by_group: dict[str, list[CompiledRule]] = {}
    for rule in rules:
        for key in {key for selector in rule.trigger.selectors() for key in selector.ingredients}:
            if key.startswith(TEST):
                by_group.setdefault(key.removeprefix(TEST), []).append(rule)
    return by_group


def checks_of_study(words: str, rules: Iterable[CompiledRule]) -> dict[str, tuple[str, ...]] | None:
    """Return the checks of an order of imaging or of a test that says this; None where it is not recognized."""
    study, by_group = read_study({"code": {"text": words}}), _by_group(rules)
    if not study.groups:
        return None
    return checks_by_name(rule for group in study.groups for rule in by_group.get(group, ()))


def checks_by_name(rules: Iterable[CompiledRule]) -> dict[str, tuple[str, ...]]:
    """Return the checks that these rules make, in the order of the table, each with the ids of its rules."""
    rules_by_check: dict[str, list[str]] = {}
    for rule in {rule.id: rule for rule in rules}.values():
        for check in checks_of(rule):
            rules_by_check.setdefault(check, []).append(rule.id)
    return {check: tuple(sorted(rules_by_check[check])) for check in CHECKS if check in rules_by_check}


def checks_of(rule: CompiledRule) -> frozenset[str]:
    """Return the checks that a rule makes: its family's, a pair of drugs, kidney and liver if its bands read them."""
    if rule.family.name == "orders":
        return _checks_of_order(rule)
    checks = {_OF_FAMILY[rule.family.name]} if rule.family.name in _OF_FAMILY else set()
    if rule.family.name == "vaccines" and not rule.trigger.sides:
        checks.add("pregnancy" if rule.band_uses & _OF_ORDER["pregnancy"] else "disease")
    if rule.trigger.sides and rule.family.name in ("ddi", "opioid", "disease", "age", "vaccines"):
        checks.add("interaction")
    if rule.band_uses.intersection(ESTIMATES):
        checks.add("kidney")
    if rule.band_uses & _LIVER:
        checks.add("liver")
    return frozenset(checks)


def _checks_of_order(rule: CompiledRule) -> frozenset[str]:
    checks = {check for check, uses in _OF_ORDER.items() if uses & rule.band_uses}
    if rule.band_uses.intersection(ESTIMATES):
        checks.add("kidney")
    if rule.id.startswith(_SCREENING):
        checks.add("age")
    if rule.id in _WITH_DRUGS:
        checks.add("interaction")
    return frozenset(checks or {"disease"})
