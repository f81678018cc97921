"""The pages that are made from the rules name every rule, and list what rests on no label."""

import doctest

import pytest

from cards import text as figures
from cards.rules.conditions import condition
from cards.rules.engine.family import rule_families
from cards.rules.engine.page import family_page, page_of_sources_to_read
from cards.rules.engine.rule_book import rule_book
from cards.rules.language import trigger
from cards.rules.language.table import read_table


@pytest.mark.parametrize("module", [condition, figures, trigger])
def test_the_examples_in_the_docstrings_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]  # these are modules


def test_every_rule_has_a_wording_of_every_condition() -> None:
    pages = {one.name: family_page(read_table(one.name), one) for one in rule_families()}
    assert all(rule.id in pages[rule.family.name] for rule in rule_book().rules)


def test_rules_without_a_label_are_listed_with_the_loudest_first() -> None:
    page = page_of_sources_to_read()
    critical, _, milder = page.partition("## Warning")
    assert "| renal | " not in critical
    assert "| renal | " in milder
    renal = {rule.id: rule for rule in read_table("renal").rules}
    assert {evidence.basis for evidence in renal["renal-metformin"].evidence} >= {"label"}
    assert f"| {renal['renal-metformin'].title} |" not in page
