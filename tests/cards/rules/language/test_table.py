"""Files of rules become tables: rows, shared entries, and the line and the words of each fault."""

import json
from pathlib import Path
from typing import Any

import pytest

from cards.rules.language import site, table
from cards.rules.language.rule import RuleError
from cards.rules.language.table import FamilyFiles, RuleFile, read_family, table_of

Json = dict[str, Any]
ROWS = "name,rxcui,bands,codes,words,limit,note\nalpha,1,a b,10;20,ten;twenty,2.5,\nbeta,2,b,,,,see beta\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hospital's folder of rules: a head, one rule for each row of a table, and one that stands alone."""
    monkeypatch.setattr(table, "site_folders", lambda: {"site": tmp_path, "site-review": tmp_path})
    monkeypatch.setattr(table, "site_rows", lambda _name: [{"drug": "domperidone", "rxcui": "3626", "note": "ask"}])
    monkeypatch.setattr(table, "site_head", lambda: {"hospital": "St. Mary's", "reviewed": "2026-11-20"})
    monkeypatch.setattr(table, "with_owner", lambda rule: rule | {"owner": "ours"})
    (tmp_path / "family.json").write_text('{"family": "site", "shared": {}}')
    (tmp_path / "b-rows.json").write_text(json.dumps(OF_ROWS))
    (tmp_path / "a-alone.json").write_text('{"id": "site-alone"}')
    (tmp_path / "drugs.csv").write_text(ROWS)
    return tmp_path


OF_ROWS: Json = {
    "for_each": "drugs.csv", "id": "site-$name", "note": "$note", "price": "$$5 for $name", "count": 3,
    "codes": ["$codes", "fixed $name"],
    "pairs": [{"code": "$codes", "word": "$words"}, {"code": "$codes", "word": "same"}],
    "only_of_row": {"note": "$note"}, "only_codes": ["$codes"], "limit": {"column": "limit"}, "empty": {},
    "nothing": [{}, 2],
    "bands": [{"id": "a", "only_for": "a"}, {"id": "b", "only_for": "b"}, {"id": "c"}, {"id": "d", "only_for": "d"}],
}  # fmt: skip


def test_the_site_has_a_rule_for_each_drug_that_it_does_not_have(folder: Path) -> None:
    *written, absent = read_family("site").rules
    assert [rule.raw["id"] for rule in written] == ["site-alone", "site-alpha", "site-beta"]
    assert written[2].raw == {
        "id": "site-beta", "note": "see beta", "price": "$5 for beta", "count": 3, "codes": ["fixed beta"],
        "pairs": [{"word": "same"}], "only_of_row": {"note": "see beta"}, "empty": {}, "nothing": [{}, 2],
        "bands": [{"id": "b"}, {"id": "c"}], "owner": "ours", "template": "b-rows",
    }  # fmt: skip
    assert absent.name == f"{folder}/absent.csv"
    assert absent.row == {
        "drug": "domperidone", "rxcui": "3626", "note": "ask", "hospital": "St. Mary's", "reviewed": "2026-11-20",
    }  # fmt: skip
    assert absent.is_of_site
    assert "domperidone" in absent.raw["title"]


def test_a_family_without_a_head_is_refused(folder: Path) -> None:
    (folder / "family.json").unlink()
    with pytest.raises(RuleError) as refusal:
        read_family("site-review")
    assert str(refusal.value) == f"{folder}/family.json is missing"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{\n "id" 1}', "x.json, line 2: this is not valid JSON (Expecting ':' delimiter)"),
        ("[1]", "x.json, line 1: this is not a JSON object"),
    ],
)
def test_a_file_that_is_no_object_is_refused(text: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(RuleError) as refusal:
        _ = RuleFile("x.json", text, tmp_path).raw
    assert str(refusal.value) == fault


def test_the_drugs_of_tables_stand_once_and_without_classes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "rxcui,drug,a,b,left_out\n1,one,3,three,\n2,two,statin,statin,\n9,nine,9,nine,yes\n"
    )
    (tmp_path / "b.csv").write_text("rxcui,drug\n1,one\n4,four\n")
    both = {"list": [{"ingredients": {"of_tables": ["a.csv", "b.csv"]}}], "other": {"columns": {"a": "b"}}}
    rows = RuleFile("x.json", json.dumps(both), tmp_path).raw
    drugs = [{"rxcui": "1", "name": "one"}, {"rxcui": "2", "name": "two"}, {"rxcui": "4", "name": "four"}]
    assert rows == {"list": [{"ingredients": drugs}], "other": {"columns": {"a": "b"}}}
    other = {"ingredients": {"of_tables": ["a.csv"], "columns": {"rxcui": "drug", "a": "b"}}}
    assert RuleFile("x.json", json.dumps(other), tmp_path).raw["ingredients"] == [
        {"rxcui": "1", "name": "one"}, {"rxcui": "2", "name": "two"}, {"rxcui": "3", "name": "three"},
    ]  # fmt: skip


TEXT = """{
 "a": [1, {
   "x": "}",
   "y":
     2
 }],
 "empty": [],
 "none": {},
 "last": true
}
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1), (("a",), 2), (("a", 0), 2), (("a", 1), 2), (("a", 1, "x"), 3), (("a", 1, "y"), 5),
        (("a", 1, "z"), 2), (("a", 2), 2), (("a", 0, "deeper"), 2), (("empty",), 7), (("empty", 0), 7), (("none",), 8),
        (("none", "x"), 8), (("last",), 9), (("last", 0), 9), (("b",), 1),
    ],
)  # fmt: skip
def test_a_path_has_the_line_of_its_value_or_of_the_last_part_that_is_there(
    path: tuple[str | int, ...], line: int, tmp_path: Path
) -> None:
    assert RuleFile("x.json", TEXT, tmp_path).line_of(path) == line


def files_of(rule: Json, tmp_path: Path) -> FamilyFiles:
    return FamilyFiles(RuleFile("family.json", "{}", tmp_path), (RuleFile("rule.json", json.dumps(rule), tmp_path),))


@pytest.mark.parametrize(
    ("path", "where"),
    [
        (("rules", 0, "bands", 0), "rule r, band low"),
        (("rules", 0, "bands", 0, "suggestions", 0, "label"), "rule r, band low, suggestion halve"),
        (("rules", 0, "bands", 0, "suggestions", 1), "rule r, band low, suggestion Stop it"),
        (("rules", 0, "missing_data", 0), "rule r, missing data weight"),
        (("rules", 0, "silent_when", 0), "rule r, silent when urgent"),
        (("rules", 0, "silent_when", 1), "rule r"),
        (("rules", 0, "bands", 7), "rule r"),
        (("rules", 0, "title", 0), "rule r"),
        (("rules", 0, "suggestions"), "rule r"),
        (("rules", 0, "evidence", 0, "label"), "rule r"),
    ],
)
def test_a_fault_is_told_with_the_parts_that_lead_to_it(
    path: tuple[str | int, ...], where: str, tmp_path: Path
) -> None:
    rule = {
        "id": "r", "title": "t", "missing_data": [{"use": "weight"}], "silent_when": [{"code": "urgent"}, {"id": 1}],
        "evidence": [{"label": "a label"}], "suggestions": {"label": "no list"},
        "bands": [{"id": "low", "suggestions": [{"use": "halve"}, {"label": "Stop it"}]}],
    }  # fmt: skip
    assert files_of(rule, tmp_path).describe(path, "it is wrong.") == f"rule.json, line 1 ({where}): it is wrong."


def test_a_fault_of_the_family_or_of_a_rule_without_an_id_has_no_words_in_brackets(tmp_path: Path) -> None:
    files = files_of({"title": "t"}, tmp_path)
    assert files.describe(("rules",), "none.") == "family.json, line 1: none."
    assert files.describe(("rules", "x"), "none.") == "family.json, line 1: none."
    assert files.describe(("rules", 0, "title"), "none.") == "rule.json, line 1: none."


# Shared entries

EVIDENCE = {
    "document": "d", "organisation": "o", "year": "2026", "section": "1", "label": "l", "grade": "g",
    "grade_scheme": "s", "basis": "label",
}  # fmt: skip


def fault_of(raw: Json) -> tuple[tuple[str | int, ...], str]:
    with pytest.raises(RuleError) as refusal:
        table_of(raw)
    return tuple(refusal.value.path), refusal.value.text


@pytest.mark.parametrize(
    ("shared", "path", "text"),
    [
        ([], ("shared",), "`shared` is an object whose members hold entries by their names"),
        ({"a": []}, ("shared", "a"), "`a` is an object of entries, which are objects, by their names"),
        ({"a": {"b": 1}}, ("shared", "a"), "`a` is an object of entries, which are objects, by their names"),
    ],
)
def test_shared_entries_are_objects_by_their_names(shared: Any, path: tuple[str, ...], text: str) -> None:
    assert fault_of({"shared": shared, "rules": []}) == (path, text)


def test_a_name_that_no_shared_entry_has_is_told_with_its_path() -> None:
    raw = {"family": "x", "rules": [{}, {"bands": [{"when": {"named": "old"}}]}]}
    assert fault_of(raw | {"rules": [raw["rules"][1]]}) == (
        ("rules", 0, "bands", 0, "when"), "no shared predicates entry is called 'old'",
    )  # fmt: skip
    suggestion = {"bands": [{"suggestions": [1, {"use": "halve"}]}]}
    assert fault_of({"rules": [suggestion]}) == (
        ("rules", 0, "bands", 0, "suggestions", 1), "no shared entry is called 'halve'",
    )  # fmt: skip


def test_a_name_stands_alone() -> None:
    raw = dict(read_family("renal").raw)
    raw["shared"] = raw["shared"] | {"predicates": {"old": {"always": True}}}
    for when, read in (({"named": "old"}, {"always": True}), ({"named": "old", "not": {}}, None)):
        bands = [{"id": "a", "when": when, "indicator": "info", "summary": "a.", "detail": "b."}]
        rule = {**raw["rules"][0], "bands": bands, "missing_data": []}
        assert table_of(raw | {"rules": [rule]}).rules[0].bands[0].when == (read or when)


def test_a_family_needs_a_rule() -> None:
    raw = dict(read_family("renal").raw)
    assert table_of(raw).rules
    assert fault_of(raw | {"rules": []}) == ((), "the family has no rule: add one to its folder")


def test_a_member_of_another_type_is_told_with_its_path() -> None:
    path, text = fault_of({"rules": [{"id": "a-rule", "evidence": [EVIDENCE, EVIDENCE | {"year": 2026}]}]})
    assert path[:2] == ("rules", 0)
    assert text == "Expected `str`, got `int`, not 2026"
    assert path == ("rules", 0, "evidence", 1, "year")


def test_the_words_of_a_hospital_are_no_members_of_a_family() -> None:
    assert site.SITE == "site"
    path, text = fault_of({"hospital": "St. Mary's", "replaces": [], "rules": [], "colour": "red"})
    assert (path, text) == ((), "Object contains unknown field `colour`")
