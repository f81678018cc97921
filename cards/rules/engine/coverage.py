"""Which checks exist for each drug and each test of the tables, and which do not: what silence about one of them means.

A check is counted where a rule of the rule book names the drug or a class of it. That a rule exists says nothing of how
much of the subject it covers.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from cards.rules.engine.compile import CompiledRule
from cards.rules.patient.measurements import ESTIMATES
from fhir.terminology.analytes import ANALYTES
from fhir.terminology.medications import class_members, ingredients

CHECKS: Final = (
    "interaction",
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
    "genes": "gene",
    "monitoring": "monitoring",
    "opioid": "dose",
    "pregnancy": "pregnancy",
    "renal": "kidney",
}
_LIVER: Final = frozenset({"condition:cirrhosis", "lab:alt", "lab:ast", "lab:bilirubin_total"})


class DrugCoverage(Struct, frozen=True):
    """An ingredient: its RxNorm code and name, and for each check that exists the ids of its rules."""

    rxcui: str
    name: str
    checks: Mapping[str, tuple[str, ...]]

    @property
    def lacks(self) -> tuple[str, ...]:
        """The checks that do not exist."""
        return tuple(check for check in CHECKS if check not in self.checks)

    @property
    def is_named(self) -> bool:
        """Whether a rule is about this drug itself; the allergy list is compared with every drug."""
        return any(check != "allergy" for check in self.checks)


class AnalyteCoverage(Struct, frozen=True):
    """A test or measurement: its key and words, the ids of the rules that read it and of those that can order it."""

    key: str
    words: str
    read_by: tuple[str, ...]
    ordered_by: tuple[str, ...]


def drug_coverage(rules: Iterable[CompiledRule]) -> list[DrugCoverage]:
    """Every ingredient of the tables by name, with the checks that these rules make of it."""
    found: dict[str, dict[str, list[str]]] = {rxcui: {} for rxcui in ingredients()}
    for rule in rules:
        checks = checks_of(rule)
        for rxcui in _drugs_of(rule):
            for check in checks:
                found.setdefault(rxcui, {}).setdefault(check, []).append(rule.id)
    covered = [
        DrugCoverage(rxcui, one.name, {check: tuple(of[check]) for check in CHECKS if check in of})
        for rxcui, one in ingredients().items()
        for of in (found[rxcui],)
    ]
    return sorted(covered, key=lambda one: one.name)


def analyte_coverage(rules: Iterable[CompiledRule]) -> list[AnalyteCoverage]:
    """Every test and measurement of the tables by key, with the rules that read it and those that can order it."""
    of_code = {code: key for key, one in ANALYTES.items() for code in one.loinc}
    read: dict[str, list[str]] = {key: [] for key in ANALYTES}
    ordered: dict[str, list[str]] = {key: [] for key in ANALYTES}
    for rule in rules:
        for use in sorted(rule.band_uses):
            if use.startswith("lab:") and use[4:] in read:
                read[use[4:]].append(rule.id)
        for key in sorted({of_code[code] for code in _tests_of(rule) if code in of_code}):
            ordered[key].append(rule.id)
    return [
        AnalyteCoverage(key, one.words, tuple(read[key]), tuple(ordered[key])) for key, one in sorted(ANALYTES.items())
    ]


def checks_of(rule: CompiledRule) -> frozenset[str]:
    """The checks that a rule makes: its family's, a pair of drugs, and the kidney and liver that its bands read."""
    checks = {_OF_FAMILY[rule.family.name]} if rule.family.name in _OF_FAMILY else set()
    if rule.trigger.sides and rule.family.name in ("ddi", "opioid", "disease", "age"):
        checks.add("interaction")
    if rule.band_uses.intersection(ESTIMATES):
        checks.add("kidney")
    if rule.band_uses & _LIVER:
        checks.add("liver")
    return frozenset(checks)


def _drugs_of(rule: CompiledRule) -> frozenset[str]:
    """The RxNorm codes of the ingredients that activate the rule."""
    members = class_members()
    found: set[str] = set()
    for selector in rule.trigger.selectors():
        named = set(ingredients()) if selector.any_drug else set(selector.ingredients)
        named.update(*(members[name] for name in selector.classes))
        found |= named.difference(*(members[name] for name in selector.exclude_classes))
    return frozenset(found)


def _tests_of(rule: CompiledRule) -> Iterator[str]:
    """The LOINC codes of the tests that the rule's suggestions order."""
    offers = [one for band in rule.bands for one in band.suggestions]
    offers += [one for missing in rule.missing for one in missing.suggestions]
    for offer in offers:
        for order in offer.orders:
            yield from order.codes
