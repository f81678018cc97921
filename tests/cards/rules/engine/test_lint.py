"""The lint refuses what a stranger gets wrong, each fault alone; our own tables have no fault."""

import json
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

import pytest

from cards.rules.engine.compile import compile_table
from cards.rules.engine.family import Family, rule_families
from cards.rules.engine.lint import Fault, lint_family, lint_table
from cards.rules.families.renal.family import FAMILY
from cards.rules.language.rule import Path, RuleError
from cards.rules.language.table import FamilyFiles, RuleFile, read_family, table_of
from tests.each import for_rows

Json = dict[str, Any]
FOLDER = files("cards.rules.families")


@pytest.mark.parametrize("family", rule_families(), ids=lambda family: family.name)
def test_a_family_of_ours_has_no_fault(family: Family) -> None:
    assert lint_family(family) == []


@cache
def _metformin_alone() -> str:
    """The kidney table with one of its rules and the shared entries that this one uses: all of it takes its time."""
    raw = read_family("renal").raw
    raw["rules"] = [_metformin(raw)]
    shared = raw["shared"]
    while True:
        used = set(re.findall(r'"(?:use|named)": "(\w+)"', json.dumps(raw)))
        kept = {kind: {name: one for name, one in shared[kind].items() if name in used} for kind in shared}
        if kept == shared:
            return json.dumps(raw)
        shared = raw["shared"] = kept


def _table() -> Json:
    raw: Json = json.loads(_metformin_alone())
    return raw


def _metformin(raw: Json) -> Json:
    found: Json = next(rule for rule in raw["rules"] if rule["id"] == "renal-metformin")
    return found


def _band(raw: Json) -> Json:
    found: Json = _metformin(raw)["bands"][0]
    return found


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: _band(raw).update(when={"named": "nothing_of_that_name"}),
        lambda raw: _band(raw).update(suggestions=[{"use": "nothing_of_that_name"}]),
        lambda raw: _metformin(raw)["missing_data"][0].update(bands=["lt20"]),
    ],
)
def test_a_name_that_does_not_exist_stops_the_start(spoil: Callable[[Json], Any]) -> None:
    raw = _table()
    spoil(raw)
    with pytest.raises(RuleError, match=r"called|does not exist") as stopped:
        compile_table(FAMILY, table_of(raw))
    assert stopped.value.path[:2] == ("rules", 0)
    assert [fault.path for fault in lint_table(FAMILY, raw)] == [stopped.value.path]


FAMILY_FILE = """{
 "family": "renal",
 "shared": {}
}
"""
RULE_FILE = """{
 "id": "renal-metformin",
 "title": "Metformin, with a brace } and a \\" in its text",
 "bands": [
  {"id": "lt30", "when": {"always": true}},
  {
   "id": "lt45",
   "when": {
    "all": [
     {"always": true},
     {"sometimes": true}
    ]
   }
  }
 ]
}
"""


@for_rows(("path", "said"))
def test_a_fault_is_named_by_file_line_rule_and_part(path: Path, said: str) -> None:
    family_files = FamilyFiles(
        RuleFile("family.json", FAMILY_FILE, FOLDER), (RuleFile("renal-metformin.json", RULE_FILE, FOLDER),)
    )
    assert family_files.describe(path, "it is wrong.") == f"{said}it is wrong."


def test_a_fault_in_the_row_of_a_table_is_named_by_its_line() -> None:
    family = read_family("renal")
    position = next(at for at, file in enumerate(family.rules) if file.row and file.row["name"] == "duloxetine")
    said = family.describe(("rules", position), "it is wrong.")
    assert said.endswith("(rule renal-label-duloxetine, label_kidney.csv, line 3): it is wrong.")


def test_the_page_says_whether_a_word_is_asked_or_denied() -> None:
    for family in rule_families():
        say = family.vocabulary.say
        words = [word.word for word in family.vocabulary if word.kind is bool]
        assert [word for word in words if say({word: True}) == say({word: False})] == []


def test_a_file_that_is_no_json_is_named_with_its_line() -> None:
    with pytest.raises(RuleError, match=r"^renal-metformin\.json, line 2: this is not valid JSON"):
        _ = RuleFile("renal-metformin.json", '{"id": "renal-metformin",\n "title" "Metformin"}', FOLDER).raw


METFORMIN: Json = {"rxcui": "6809", "name": "metformin"}
EVIDENCE: Json = {"document": "D", "organisation": "O", "year": "2026", "section": "1", "label": "L", "grade": "g",
                  "grade_scheme": "s", "basis": "guideline"}  # fmt: skip
SILENT: Json = {"code": "quiet", "text": "It is quiet."}


def _band_with(name: str = "a", **more: Any) -> Json:
    return {"id": name, "when": {"always": True}, "indicator": "warning", "summary": "Metformin.", "detail": "More.",
            "forbids": "no", "suggestions": [], **more}  # fmt: skip


def _rule(*bands: Json, **more: Any) -> Json:
    return {"id": "made-rule", "title": "Made", "priority": 5, "trigger": {"draft": [{"ingredients": [METFORMIN]}]},
            "evidence": [EVIDENCE], "audit": {"verified": "knowledge", "source": "s", "date": "2026-11-20"},
            "bands": list(bands) or [_band_with()], "silent_when": [SILENT], "missing_data": [], **more}  # fmt: skip


def _faults(*rules: Json, family: str = "made", **more: Any) -> list[Fault]:
    table = {"family": family, "title": "Made", "reviewed": "2026-11-20", "status": "made", "source": "made",
             "override_reasons": [{"code": "seen", "display": "Seen"}], "shared": {}, "rules": list(rules)}  # fmt: skip
    return lint_table(Family(family), {**table, **more})


def _of_suggestion(*suggestions: Json, **more: Any) -> list[tuple[tuple[Any, ...], str]]:
    faults = _faults(_rule(_band_with(suggestions=list(suggestions), **more)))
    assert all(fault.path[:4] == ("rules", 0, "bands", 0) for fault in faults)
    return [(fault.path[4:], fault.text) for fault in faults]


FIRST = ("suggestions", 0)


@for_rows(("suggestion", "texts"))
def test_what_is_wrong_with_a_suggestion(suggestion: Json, texts: list[str]) -> None:
    faults = _of_suggestion(suggestion)
    assert sorted(text for _, text in faults) == sorted(texts)
    assert {path for path, _ in faults} <= {FIRST, ()}


def test_a_warning_that_offers_only_to_cancel_says_whether_it_forbids_the_order() -> None:
    cancel: Json = {"label": "Cancel this order", "cancel": True}
    halve: Json = {"label": "Halve it", "change": {"sig": {"text": "half", "dose_mg": 250}}}
    assert [text[:20] for _, text in _of_suggestion(cancel, forbids=None)] == ["`forbids` is missing"]
    assert _of_suggestion(cancel, halve, forbids=None) == _of_suggestion(cancel, forbids=None, indicator="info") == []


@for_rows(("when", "text"))
def test_names_that_no_table_has(when: Json, text: str | None) -> None:
    assert [fault.text for fault in _faults(_rule(_band_with(when=when)))] == ([text] if text is not None else [])


@for_rows(("summary", "when", "texts"))
def test_words_that_nothing_fills(summary: str, when: Json, texts: list[str]) -> None:
    faults = [
        fault.text.partition("; known are")[0] for fault in _faults(_rule(_band_with(summary=summary, when=when)))
    ]
    assert faults == texts
