"""Which checks exist for each drug and each test of the tables, and which do not: what silence about one of them means.

A check is counted where a rule of the rule book names the drug or a class of it, or the group that an order of imaging
or of a test belongs to. That a rule exists says nothing of how much of the subject it covers.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from cards.rules.engine.compile import CompiledRule
from cards.rules.language.trigger import TEST
from cards.rules.patient.measurements import ESTIMATES
from fhir.mapping.studies import ordered_codes, read_study
from fhir.terminology.analytes import ANALYTES, LOINC
from fhir.terminology.medications import CLASS_MEMBERS, INGREDIENTS

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

OF_EVERY_DRUG: Final = frozenset({"allergy", "duplicate"})
"""The checks that exist for every drug: its ingredients are compared with the lists of the chart."""

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
        """Whether a rule is about this drug itself; allergies and duplicates are looked for with every drug."""
        return not self.checks.keys() <= OF_EVERY_DRUG


class StudyCoverage(Struct, frozen=True):
    """Orders of imaging or of one test that rules treat alike: words, LOINC codes, and for each check its rules."""

    words: str
    loincs: tuple[str, ...]
    checks: Mapping[str, tuple[str, ...]]

    @property
    def lacks(self) -> tuple[str, ...]:
        """The checks that do not exist."""
        return tuple(check for check in CHECKS if check not in self.checks)


class AnalyteCoverage(Struct, frozen=True):
    """A test or measurement: its key and words, the ids of the rules that read it and of those that can order it."""

    key: str
    words: str
    read_by: tuple[str, ...]
    ordered_by: tuple[str, ...]


def drug_coverage(rules: Iterable[CompiledRule]) -> list[DrugCoverage]:
    """Every ingredient of the tables by name, with the checks that these rules make of it."""
    rules_by_drug: dict[str, dict[str, list[str]]] = {rxcui: {} for rxcui in INGREDIENTS}
    for rule in rules:
        checks = checks_of(rule)
        for rxcui in _drugs_of(rule):
            for check in checks:
                rules_by_drug.setdefault(rxcui, {}).setdefault(check, []).append(rule.id)
    covered = [
        DrugCoverage(rxcui, ingredient.name, {check: tuple(of[check]) for check in CHECKS if check in of})
        for rxcui, ingredient in INGREDIENTS.items()
        for of in (rules_by_drug[rxcui],)
    ]
    return sorted(covered, key=lambda drug: drug.name)


def study_coverage(rules: Iterable[CompiledRule]) -> list[StudyCoverage]:
    """Every order of imaging and of a test of the tables, with the checks that these rules make of it.

    Imaging stands by modality, region and contrast, a laboratory or screening test by its name.
    """
    by_group = _by_group(rules)
    alike: dict[tuple[str, frozenset[str]], list[str]] = {}
    for loinc, words in ordered_codes().items():
        groups = read_study({"code": {"coding": [{"system": LOINC, "code": loinc}]}}).groups
        alike.setdefault((words, groups), []).append(loinc)
    covered = []
    for (words, groups), loincs in alike.items():
        checks = checks_by_name(rule for group in groups for rule in by_group.get(group, ()))
        covered.append(StudyCoverage(words, tuple(loincs), checks))
    return sorted(covered, key=lambda study: (study.words, study.loincs))


def _by_group(rules: Iterable[CompiledRule]) -> Mapping[str, list[CompiledRule]]:
    by_group: dict[str, list[CompiledRule]] = {}
    for rule in rules:
        for key in {key for selector in rule.trigger.selectors() for key in selector.ingredients}:
            if key.startswith(TEST):
                by_group.setdefault(key.removeprefix(TEST), []).append(rule)
    return by_group


def study_in_words(words: str, rules: Iterable[CompiledRule]) -> StudyCoverage | None:
    """Return the checks of an order of imaging or of a test that says this; None where it is not recognised."""
    study, by_group = read_study({"code": {"text": words}}), _by_group(rules)
    if not study.groups:
        return None
    return StudyCoverage(words, (), checks_by_name(rule for group in study.groups for rule in by_group.get(group, ())))


def checks_by_name(rules: Iterable[CompiledRule]) -> dict[str, tuple[str, ...]]:
    """Return the checks that these rules make, in the order of the table, each with the ids of its rules."""
    rules_by_check: dict[str, list[str]] = {}
    for rule in {rule.id: rule for rule in rules}.values():
        for check in checks_of(rule):
            rules_by_check.setdefault(check, []).append(rule.id)
    return {check: tuple(sorted(rules_by_check[check])) for check in CHECKS if check in rules_by_check}


def analyte_coverage(rules: Iterable[CompiledRule]) -> list[AnalyteCoverage]:
    """Every test and measurement of the tables by key, with the rules that read it and those that can order it."""
    of_code = {code: key for key, analyte in ANALYTES.items() for code in analyte.loinc}
    read: dict[str, list[str]] = {key: [] for key in ANALYTES}
    ordered: dict[str, list[str]] = {key: [] for key in ANALYTES}
    for rule in rules:
        for use in sorted(rule.band_uses):
            if use.startswith("lab:") and use[4:] in read:
                read[use[4:]].append(rule.id)
        for key in sorted({of_code[code] for code in _tests_of(rule) if code in of_code}):
            ordered[key].append(rule.id)
    return [
        AnalyteCoverage(key, analyte.words, tuple(read[key]), tuple(ordered[key]))
        for key, analyte in sorted(ANALYTES.items())
    ]


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


def _drugs_of(rule: CompiledRule) -> frozenset[str]:
    """Return the RxNorm codes of the ingredients that activate the rule."""
    members = CLASS_MEMBERS
    codes: set[str] = set()
    for selector in rule.trigger.selectors():
        selected_codes = set(INGREDIENTS) if selector.any_drug else set(selector.ingredients)
        selected_codes.update(*(members[name] for name in selector.classes))
        codes |= selected_codes.difference(*(members[name] for name in selector.exclude_classes))
    return frozenset(codes)


def _tests_of(rule: CompiledRule) -> Iterator[str]:
    """Yield the LOINC codes of the tests that the rule's suggestions order."""
    offers = [suggestion for band in rule.bands for suggestion in band.suggestions]
    offers += [suggestion for missing in rule.missing for suggestion in missing.suggestions]
    for offer in offers:
        for order in offer.orders:
            yield from order.codes
