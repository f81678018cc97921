"""The files of a hospital's folder, read here and not in a process of their own: what is read, and what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cards.rules.families.dose import knowledge
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


def test_the_folder_is_named_once_and_before_it_is_read(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    site.use_site_rules(folder)
    other = tmp_path_factory.mktemp("other")
    with pytest.raises(RuleError, match=r"a folder of rules has a family\.json; docs/adding/site-rules\.md shows one"):
        site.use_site_rules(other)
    (other / "family.json").write_text("{}")
    site.site_folders()
    with pytest.raises(RuleError, match="the rules were read already; the folder is named before the server starts"):
        site.use_site_rules(other)
    assert site.payer_folder() is None, "a hospital's folder without one of a payer"


def test_a_folder_with_the_policies_of_a_payer_alone_needs_no_head(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer = tmp_path_factory.mktemp("payer")
    monkeypatch.setattr(site, "_chosen_folder", [payer])
    monkeypatch.setattr(site, "_read_folders", [])
    site.use_site_rules(None)
    assert site.payer_folder() is None
    monkeypatch.setattr(site, "_read_folders", [])
    (payer / "coverage").write_text("a file")
    with pytest.raises(RuleError, match=r"has a family\.json"):
        site.use_site_rules(payer)
    (payer / "coverage").unlink()
    (payer / "coverage").mkdir()
    (payer / "limits.csv").write_text("drug\n")  # a rule of a hospital without the name of the hospital
    with pytest.raises(RuleError, match=r"has a family\.json"):
        site.use_site_rules(payer)
    (payer / "limits.csv").unlink()
    site.use_site_rules(payer)
    assert (site.payer_folder(), site.site_folders()) == (payer / "coverage", {})


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


def test_a_file_is_text_with_lines_of_a_size_that_a_table_has(folder: Path) -> None:
    table = folder / "limits.csv"
    table.write_text(f"drug\n{'a' * 100_000}\n")
    assert site.read_text(table) == f"drug\n{'a' * 100_000}\n"
    table.write_text(f"drug\n{'a' * 100_001}\n")
    with pytest.raises(RuleError, match="line 2: the line has more than 100,000 characters"):
        site.read_text(table)
    table.write_bytes(b"drug\nx\n\xff\n")
    with pytest.raises(RuleError, match="line 3: this is not UTF-8"):
        site.read_text(table)


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


def test_the_limits_of_a_hospital_stand_in_place_of_ours(folder: Path) -> None:
    (folder / "limits.csv").write_text("drug,form,age_from,age_to,max_daily_mg,note\nsertraline,slow,,64,150,agreed\n")
    (limit,) = knowledge._read_limits()["36437"]
    kind = (limit.per_dose, limit.per_kg, limit.per_week, limit.is_firm, limit.is_narrow)
    assert (limit.drug, limit.ages, limit.most, limit.note) == ("sertraline", range(65), 150.0, "agreed")
    assert kind == (False, False, False, True, False)
    evidence = knowledge._evidence_of_site()["site"]
    assert evidence.document == "St. Mary's: own maximum doses"


@pytest.mark.parametrize(
    "cells",
    [
        "18,64,0,", "18,64,-1,", "18,64,x,", "18,64,inf,", "18,64,nan,", "18,64,,", "18,64,150,80", "64,18,150,",
        "x,64,150,",
    ],
)  # fmt: skip
def test_a_limit_that_is_none_is_refused(folder: Path, cells: str) -> None:
    (folder / "limits.csv").write_text(f"drug,age_from,age_to,max_daily_mg,max_single_mg\nsertraline,{cells}\n")
    columns = "max_daily_mg, max_single_mg, max_weekly_mg, max_daily_mg_kg, max_single_mg_kg"
    with pytest.raises(RuleError) as refusal:
        knowledge._read_limits()
    assert str(refusal.value) == (
        f"{folder / 'limits.csv'}, line 2: one of {columns} is a number over 0, ages and weights are numbers in order"
    )


def test_a_limit_of_an_unknown_form_is_refused(folder: Path) -> None:
    (folder / "limits.csv").write_text("drug,form,age_from,age_to,max_daily_mg\nsertraline,patch,18,64,150\n")
    with pytest.raises(RuleError, match="line 2: form is empty or one of immediate, slow, 12 h, 24 h, not 'patch'"):
        knowledge._read_limits()
    forms = {limit.form for limits in knowledge.LIMITS.values() for limit in limits}
    assert forms == {"", *knowledge.FORMS}


def test_without_a_folder_the_hospital_has_no_limits_of_its_own(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(site, "_chosen_folder", [None])
    site.site_head.cache_clear()
    assert (site.site_folders(), site.site_head(), site.replaced_rules()) == ({}, {}, frozenset())
    assert knowledge._evidence_of_site() == {}
