"""The lint refuses what a stranger gets wrong; our own tables have no fault."""

import copy
import json
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

import pytest

from cards.rules.engine.compile import compile_table
from cards.rules.engine.family import Family, rule_families
from cards.rules.engine.lint import _product_faults, lint_family, lint_table
from cards.rules.families.renal.family import FAMILY
from cards.rules.language.rule import Path, Product, RuleError
from cards.rules.language.table import FamilyFiles, RuleFile, read_family, table_of

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


def _halve(raw: Json) -> Json:
    found: Json = _metformin(raw)["bands"][2]["suggestions"][0]
    return found


_CLASSES = "medication_classes.csv has no 'biguanides'; did you mean biguanide"
_GROUPS = "condition_groups.csv has no 'diabetis'; did you mean diabetes"
FAULTS: list[tuple[str, Callable[[Json], Any]]] = [
    ("evidence", lambda raw: _metformin(raw).update(evidence=[])),
    ("evidence", lambda raw: _metformin(raw).pop("evidence")),
    ("silent_when", lambda raw: _metformin(raw).update(silent_when=[])),
    ("missing required field `trigger`", lambda raw: _metformin(raw).pop("trigger")),
    ("no word of conditions is called 'sometimes'", lambda raw: _band(raw).update(when={"sometimes": True})),
    ("did you mean 'age_years'", lambda raw: _band(raw).update(when={"age_year": {"ge": 65}})),
    ("compares with nothing", lambda raw: _band(raw).update(when={"derived": "egfr_best"})),
    ("(male|female)", lambda raw: _band(raw).update(when={"sex": "woman"})),
    ("sex and signing cannot stand", lambda raw: _band(raw).update(when={"sex": "male", "signing": True})),
    ("but the order stays", lambda raw: _halve(raw).update(label="Cancel this order or halve the dose")),
    ("`active_label` is missing", lambda raw: raw["shared"]["suggestions"]["cancel"].update(label="Cancel it")),
    ("has an `active_label`", lambda raw: _halve(raw).update(active_label="Halve the dose")),
    ("is stopped, not cancelled", lambda raw: raw["shared"]["suggestions"]["cancel"].update(active_label="Cancel it")),
    ("no change called 'half'", lambda raw: _halve(raw).update(change={"computed": "half"})),
    ("Invalid enum value 'fatal'", lambda raw: _band(raw).update(indicator="fatal")),
    ("`str` of length <= 139", lambda raw: _band(raw).update(summary="x" * 140)),
    ("unknown field `colour`", lambda raw: _band(raw).update(colour="red")),
    ("no fact fills {sodium}", lambda raw: _band(raw).update(summary="Sodium {sodium}.")),
    ("no such fact", lambda raw: _band(raw).update(summary="Clearance {crcl}.")),
    ("no such fact", lambda raw: _band(raw).update(detail="With {other}.")),
    ("can have", lambda raw: _band(raw).update(summary=f"{{egfr}} {'x' * 110}")),
    ("needs an unsure_summary", lambda raw: _band(raw).pop("unsure_summary")),
    ("from_estimate must say so", lambda raw: _halve(raw).pop("from_estimate")),
    ("does nothing", lambda raw: _halve(raw).pop("change")),
    ("strength 250 mg", lambda raw: _halve(raw)["change"]["products_if_split"][0].update(strength_mg=250)),
    ("is called", lambda raw: _halve(raw)["change"]["products_if_split"][0].update(name="metformin 500 MG Tablet")),
    ("names no source", lambda raw: _halve(raw)["change"]["products_if_split"][0].update(rxcui="1")),
    ("our table says", lambda raw: _metformin(raw)["trigger"]["draft"][0]["ingredients"][0].update(rxcui="6810")),
    (_CLASSES, lambda raw: _metformin(raw)["trigger"]["draft"][0].update(classes=["biguanides"])),
    (_GROUPS, lambda raw: _band(raw).update(when={"condition_any": ["diabetis"]})),
    ("analytes.csv has no 'sugar'", lambda raw: _band(raw).update(when={"lab": "sugar", "lt": 3})),
    ("stands 2 times", lambda raw: raw["rules"].append(copy.deepcopy(_metformin(raw)))),
    ("stands 2 times", lambda raw: _metformin(raw)["bands"].append(copy.deepcopy(_band(raw)))),
    ("used by nobody", lambda raw: raw["shared"]["predicates"].update(idle={"always": True})),
    ("always recommended", lambda raw: _band(raw)["suggestions"].extend([{"use": "cancel", "recommended": True}] * 2)),
    ("does not exist", lambda raw: _metformin(raw)["silent_when"][0].update(when={"always": True}, except_bands=["x"])),
]


@pytest.mark.parametrize(("said", "spoil"), FAULTS)
def test_a_spoilt_table_is_refused(said: str, spoil: Callable[[Json], Any]) -> None:
    raw = _table()
    spoil(raw)
    faults = lint_table(FAMILY, raw)
    assert any(said in f"{fault.path} {fault.text}" for fault in faults), faults


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


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (
            ("rules", 0, "bands", 1, "when", "all", 1),
            "renal-metformin.json, line 11 (rule renal-metformin, band lt45): ",
        ),
        (("rules", 0, "bands", 0), "renal-metformin.json, line 5 (rule renal-metformin, band lt30): "),
        (
            ("rules", 0, "bands", 1, "suggestions", 4),
            "renal-metformin.json, line 6 (rule renal-metformin, band lt45): ",
        ),
        (("rules", 0), "renal-metformin.json, line 1 (rule renal-metformin): "),
        (("shared",), "family.json, line 3: "),
    ],
)
def test_a_fault_is_named_by_file_line_rule_and_part(path: Path, said: str) -> None:
    family_files = FamilyFiles(
        RuleFile("family.json", FAMILY_FILE, FOLDER), (RuleFile("renal-metformin.json", RULE_FILE, FOLDER),)
    )
    assert family_files.describe(path, "it is wrong.") == f"{said}it is wrong."


def test_a_file_that_is_no_json_is_named_with_its_line() -> None:
    with pytest.raises(RuleError, match=r"^renal-metformin\.json, line 2: this is not valid JSON"):
        _ = RuleFile("renal-metformin.json", '{"id": "renal-metformin",\n "title" "Metformin"}', FOLDER).raw


@pytest.mark.parametrize(
    ("rxcui", "name", "is_fault"), [("6809", "metformin", False), ("6809", "glipizide", True), ("1", "metformin", True)]
)
def test_a_product_without_a_strength_is_an_ingredient_of_ours(rxcui: str, name: str, *, is_fault: bool) -> None:
    faults = list(_product_faults(Product(rxcui=rxcui, name=name)))
    assert any("is no ingredient of our table" in fault for fault in faults) is is_fault
