"""The page of a drug: the checks that exist for an ingredient, brand or class, and those that do not."""

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from cards.card import SEVERITY
from cards.rules.engine.coverage import CHECKS, checks_by_name, study_in_words
from cards.rules.engine.family import TableRow, family_named
from cards.rules.engine.governance import RuleVersion, all_rule_versions
from cards.rules.engine.rule_book import rule_book
from cds_hooks.pages.committee.standing import Committee
from cds_hooks.pages.committee.tables import RuleRow
from cds_hooks.pages.rules.description import RulePage, describe_rule
from fhir.mapping.medications.identity import identify_concept
from fhir.record.datatypes import CodeableConcept
from fhir.terminology.allergens import ALLERGEN_CLASSES, allergen_of_words
from fhir.terminology.medication_names import read_order_name
from fhir.terminology.medications import CLASS_MEMBERS, INGREDIENTS

CLASSES: Final = tuple(sorted(name.replace("_", " ") for name in CLASS_MEMBERS))
"""The names of the classes of drugs."""
_WORD: Final = re.compile(r"[a-z0-9]+")


class CheckedRule(Struct, frozen=True):
    """A rule that makes a check: how it stands here, its limits and sources, and, of a class, whom alone it is about.

    `only` names the members of the class that it is about; () where it is about all of them.
    """

    row: RuleRow
    described: RulePage
    only: tuple[str, ...]
    rows: tuple[TableRow, ...]
    """Of a rule whose knowledge is a table the rows about a drug; () for a class."""


class DrugCheck(Struct, frozen=True):
    """One check that exists, with the rules that make it."""

    check: str
    rules: tuple[CheckedRule, ...]


class DrugPage(Struct, frozen=True):
    """The words, how they were read, and the checks; `members` are the drugs of a class or the parts of a product."""

    query: str
    read_as: str
    members: tuple[str, ...]
    checks: tuple[DrugCheck, ...]

    @property
    def lacks(self) -> tuple[str, ...]:
        """The checks that do not exist."""
        there = {entry.check for entry in self.checks}
        return tuple(check for check in CHECKS if check not in there)


def describe_drug(query: str, committee: Committee) -> DrugPage | None:
    """Return the page of a drug, a product, a class or an order of a test; None where the tables know none of it."""
    reading = read_order_name(query)
    if reading.ingredients:
        names = tuple(ingredient.name for ingredient in reading.ingredients)
        return DrugPage(query, "/".join(names), names, _checks({query: _rules_of(query)}, committee))
    study = study_in_words(query, rule_book().rules)
    if study is not None:
        rules = {rule for of_check in study.checks.values() for rule in of_check}
        return DrugPage(query, "an order of imaging or of a test", (), _checks({query: rules}, committee))
    class_name, codes = _class_of(query)
    if not codes:
        return None
    names = tuple(sorted(INGREDIENTS[code].name for code in codes if code in INGREDIENTS))
    rules_by_member = {name: _rules_of(name) for name in names}
    return DrugPage(query, f"the class {class_name}", names, _checks(rules_by_member, committee))


def _class_of(query: str) -> tuple[str, frozenset[str]]:
    """Return the class that the words name, by its own name or as an allergy list has it, and its ingredients."""
    words = [word.removesuffix("s") if len(word) > 4 else word for word in _WORD.findall(query.lower())]
    if members := CLASS_MEMBERS.get("_".join(words)):
        return " ".join(words), members
    classes = [ALLERGEN_CLASSES[name] for name in sorted(allergen_of_words(query).named_classes)]
    codes = frozenset[str]().union(*(allergen_class.members for allergen_class in classes))
    codes = codes.union(
        *(CLASS_MEMBERS[name] for allergen_class in classes for name in allergen_class.medication_classes)
    )
    return " and ".join(allergen_class.name for allergen_class in classes), codes


def _rules_of(words: str) -> set[str]:
    return {activated.rule.id for activated in rule_book().rules_for(identify_concept(CodeableConcept(text=words)))}


def _checks(rules_by_member: dict[str, set[str]], committee: Committee) -> tuple[DrugCheck, ...]:
    every = frozenset[str]().union(*rules_by_member.values())
    by_check = checks_by_name(rule for rule in rule_book().rules if rule.id in every)
    return tuple(DrugCheck(check, tuple(_checked(ids, rules_by_member, committee))) for check, ids in by_check.items())


def _checked(ids: Iterable[str], rules_by_member: dict[str, set[str]], committee: Committee) -> Iterable[CheckedRule]:
    versions = all_rule_versions()
    for rule in ids:
        about = tuple(member for member, rules in rules_by_member.items() if rule in rules)
        only = about if len(about) < len(rules_by_member) else ()
        version: RuleVersion = versions[rule]
        yield CheckedRule(committee.row(version), describe_rule(version), only, _rows_of(version, rules_by_member))


def _rows_of(version: RuleVersion, rules_by_member: dict[str, set[str]]) -> tuple[TableRow, ...]:
    rows = family_named(version.table.family).rows.get(version.rule.id)
    if rows is None or len(rules_by_member) > 1:
        return ()
    medication = identify_concept(CodeableConcept(text=next(iter(rules_by_member))))
    return tuple(sorted(rows(medication), key=lambda row: (-SEVERITY.get(row.indicator or "info", 0), row.about)))
