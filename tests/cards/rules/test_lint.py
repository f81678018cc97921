"""The lint refuses what a stranger gets wrong; our own tables have no fault."""

import copy
import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from cards.rules.engine import families
from cards.rules.family import Family
from cards.rules.lint import lint_family, lint_table
from cards.rules.renal import FAMILY
from cards.rules.rule import raw_table

Json = dict[str, Any]


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_a_family_of_ours_has_no_fault(family: Family) -> None:
    assert lint_family(family) == []


@cache
def _metformin_alone() -> str:
    """The kidney table with one of its rules and the shared entries that this one uses: all of it takes its time."""
    raw = raw_table("renal")
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


FAULTS: list[tuple[str, Callable[[Json], Any]]] = [
    ("evidence", lambda raw: _metformin(raw).update(evidence=[])),
    ("evidence", lambda raw: _metformin(raw).pop("evidence")),
    ("silent_when", lambda raw: _metformin(raw).update(silent_when=[])),
    ("'trigger' is a required", lambda raw: _metformin(raw).pop("trigger")),
    ("not valid", lambda raw: _band(raw).update(when={"sometimes": True})),
    ("not valid", lambda raw: _band(raw).update(when={"derived": "egfr_best"})),
    ("is not one of", lambda raw: _band(raw).update(indicator="fatal")),
    ("is too long", lambda raw: _band(raw).update(summary="x" * 140)),
    ("was unexpected", lambda raw: _band(raw).update(colour="red")),
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
    ("is in no table", lambda raw: _metformin(raw)["trigger"]["draft"][0].update(classes=["biguanides"])),
    ("is in no table", lambda raw: _band(raw).update(when={"condition_any": ["diabetes"]})),
    ("is in no table", lambda raw: _band(raw).update(when={"lab": "sugar", "lt": 3})),
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
    assert any(said in fault for fault in faults), faults


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
    with pytest.raises(ValueError, match=r"called|does not exist"):
        lint_table(FAMILY, raw)
