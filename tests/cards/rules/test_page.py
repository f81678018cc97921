"""The pages of the documentation are those that the tables make."""

import doctest

import pytest

from cards.rules import figures, template, wording
from cards.rules.engine import families, rule_book
from cards.rules.family import Family
from cards.rules.page import family_page
from cards.rules.predicates import WORDS
from cards.rules.rule import read_table
from tests.conftest import ROOT

GUIDE = ROOT / "docs" / "rules" / "README.md"


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_the_page_of_a_family_is_made_from_its_table(family: Family) -> None:
    written = (ROOT / "docs" / "rules" / f"{family.name}.md").read_text(encoding="utf-8")
    assert written == family_page(read_table(family.name), family.conditions), (
        "run: python -m cards.rules.page docs/rules"
    )


@pytest.mark.parametrize("module", [wording, figures, template])
def test_the_examples_in_the_docstrings_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]  # these are modules


def test_every_rule_has_a_wording_of_every_condition() -> None:
    pages = {one.name: family_page(read_table(one.name), one.conditions) for one in families()}
    assert all(rule.id in pages[rule.family.name] for rule in rule_book().rules)


@pytest.mark.parametrize("word", WORDS)
def test_the_guide_explains_every_predicate(word: str) -> None:
    assert f"`{word}`" in GUIDE.read_text(encoding="utf-8")
