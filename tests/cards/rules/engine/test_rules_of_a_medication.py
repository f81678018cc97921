"""Which rules a medication activates depends on that medication alone, not on those that were asked of before it."""

from itertools import permutations

import pytest

from cards.rules.engine.rule_book import RuleBook, rule_book
from fhir.mapping.medications.identity import MedicationIdentity, identify_concept
from fhir.record.datatypes import CodeableConcept

_WAYS = {
    "insulin glargine": ("insulin glargine", "insulin glargine KwikPen", "insulin glargine flextouch pen"),
    "methotrexate": ("methotrexate", "methotrexate intrathecal", "methotrexate prefilled syringe"),
    "enoxaparin": ("enoxaparin", "enoxaparin subcut"),
    "morphine": ("morphine", "morphine pca", "morphine extended release"),
}


def _medication(words: str) -> MedicationIdentity:
    return identify_concept(CodeableConcept(text=words))


def _rules(book: RuleBook, words: str) -> list[str]:
    return [activated.rule.id for activated in book.rules_for(_medication(words))]


@pytest.mark.parametrize("drug", _WAYS)
def test_the_rules_of_a_drug_are_the_same_whatever_was_ordered_before(drug: str) -> None:
    alone = {words: _rules(RuleBook(rule_book().rules), words) for words in _WAYS[drug]}
    for order in permutations(_WAYS[drug]):
        book = RuleBook(rule_book().rules)
        assert {words: _rules(book, words) for words in order} == alone, order


def test_a_pen_is_injected_and_a_bare_name_is_not_known_to_be() -> None:
    rules = _rules(rule_book(), "insulin glargine"), _rules(rule_book(), "insulin glargine KwikPen")
    assert ["dose-interval-insulin-basal" in ids for ids in rules] == [False, True]
