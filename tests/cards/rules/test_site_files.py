"""The files of a hospital's folder, read here and not in a process of their own: what is read, and what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cards.rules.language import site
from cards.rules.language.rule import RuleError

HEAD = {"hospital": "St. Mary's", "reviewed": "2026-11-20", "replaces": ["age-z-drug"]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A hospital's folder that is named as the server does it, and forgotten after the test."""
    (tmp_path / "family.json").write_text(json.dumps(HEAD))
    monkeypatch.setattr(site, "_chosen_folder", [None])
    monkeypatch.setattr(site, "_read_folders", [])
    for kept in (site.site_head, site.absent_drugs):
        kept.cache_clear()
    site.use_site_rules(tmp_path)
    yield tmp_path
    for kept in (site.site_head, site.absent_drugs):
        kept.cache_clear()


def test_the_head_says_whose_rules_they_are_and_what_they_replace(folder: Path) -> None:
    assert site.site_head() == HEAD
    assert site.replaced_rules() == {"age-z-drug"}
    rule = {"id": "site-x", "bands": [{"id": "a", "detail": "Stop it."}, {"id": "b"}]}
    owner = "(Rule of St. Mary's.)"
    bands = [{"id": "a", "detail": f"Stop it. {owner}"}, {"id": "b", "detail": owner}]
    assert site.with_owner(rule) == {"id": "site-x", "bands": bands}
    assert site.with_owner({"id": "site-y"}) == {"id": "site-y", "bands": []}
    with pytest.raises(
        RuleError, match="the id 'x' of a hospital's rule begins with site-, so that it is none of ours"
    ):
        site.with_owner({"id": "x"})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[]", "line 1: `hospital` is missing, the name that cards show"),
        ('{"reviewed": "2026-11-20"}', "line 1: `hospital` is missing, the name that cards show"),
        ('{"hospital": 1, "reviewed": "2026-11-20"}', "line 1: `hospital` is missing, the name that cards show"),
        ('{"hospital": "A"}', "line 1: `reviewed` is missing, the day of the last review"),
        ('{"hospital": "A", "reviewed": 2026}', "line 1: `reviewed` is missing, the day of the last review"),
        ('{"hospital": "A", "reviewed": "", "replaces": "x"}', "line 1: `replaces` is a list of ids of rules"),
        ('{"hospital": "A", "reviewed": "", "replaces": ["x", 1]}', "line 1: `replaces` is a list of ids of rules"),
        ('{\n"hospital"', "line 2: this is not valid JSON (Expecting ':' delimiter)"),
    ],
)
def test_a_head_with_a_fault_is_refused_with_its_line(folder: Path, text: str, fault: str) -> None:
    (folder / "family.json").write_text(text)
    with pytest.raises(RuleError) as refusal:
        site.site_head()
    assert str(refusal.value) == f"{folder / 'family.json'}, {fault}"


def test_the_rows_of_a_table_have_the_code_of_their_drug(folder: Path) -> None:
    assert site.site_rows("absent.csv") == []
    (folder / "absent.csv").write_text("drug,note\ndomperidone,Consider metoclopramide.,surplus\nsertraline\n")
    location = f"{folder / 'absent.csv'}, line"
    assert site.site_rows("absent.csv") == [
        {"drug": "domperidone", "note": "Consider metoclopramide.", "rxcui": "3626", "location": f"{location} 2"},
        {"drug": "sertraline", "note": "", "rxcui": "36437", "location": f"{location} 3"},
    ]
    assert site.absent_drugs() == {"3626": "Consider metoclopramide.", "36437": ""}
    assert site.absent_among("312940") == "sertraline is not in use here"
    assert site.absent_among("860975") is None
    (folder / "absent.csv").write_text("drug\nsertralin\n")
    with pytest.raises(RuleError, match="line 2: no ingredient of our tables is called 'sertralin'"):
        site.site_rows("absent.csv")
