"""The pages of the documentation are those that the tables make."""

import doctest
from pathlib import Path

import pytest

from cards import text as figures
from cards.rules.conditions import condition
from cards.rules.engine.family import Family, rule_families
from cards.rules.engine.page import family_page, guide_with_words, page_of_sources_to_read, write_pages
from cards.rules.engine.rule_book import rule_book
from cards.rules.language import trigger
from cards.rules.language.table import read_table
from tests.conftest import ROOT

GUIDE = ROOT / "docs" / "rules" / "README.md"


@pytest.mark.parametrize("family", rule_families(), ids=lambda family: family.name)
def test_the_page_of_a_family_is_made_from_its_table(family: Family) -> None:
    written = (ROOT / "docs" / "rules" / f"{family.name}.md").read_text(encoding="utf-8")
    assert written == family_page(read_table(family.name), family), "run: python -m cards.rules.engine.page"


@pytest.mark.parametrize("module", [condition, figures, trigger])
def test_the_examples_in_the_docstrings_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]  # these are modules


def test_every_rule_has_a_wording_of_every_condition() -> None:
    pages = {one.name: family_page(read_table(one.name), one) for one in rule_families()}
    assert all(rule.id in pages[rule.family.name] for rule in rule_book().rules)


def test_the_list_of_words_in_the_guide_is_made_from_the_words() -> None:
    written = GUIDE.read_text(encoding="utf-8")
    assert written == guide_with_words(written), "run: python -m cards.rules.engine.page"


def test_rules_without_a_label_are_listed_with_the_loudest_first() -> None:
    page = page_of_sources_to_read()
    assert (ROOT / "docs" / "rules" / "sources-to-read.md").read_text(encoding="utf-8") == page
    critical, _, milder = page.partition("## Warning")
    assert "| renal | " not in critical
    assert "| renal | " in milder
    renal = {rule.id: rule for rule in read_table("renal").rules}
    assert {evidence.basis for evidence in renal["renal-metformin"].evidence} >= {"label"}
    assert f"| {renal['renal-metformin'].title} |" not in page


def test_all_pages_are_written_where_they_stand(tmp_path: Path) -> None:
    (tmp_path / "docs" / "rules").mkdir(parents=True)
    (tmp_path / "docs" / "rules" / "README.md").write_text(GUIDE.read_text(encoding="utf-8"), encoding="utf-8")
    write_pages(tmp_path)
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.*") if path.is_file()]
    assert len(written) == len(rule_families()) + 2
    assert all((tmp_path / path).read_bytes() == (ROOT / path).read_bytes() for path in written)
