"""Drafts broken in every way: each is judged, or passed over with a reason; none takes the call down."""

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cards.card import check_card
from tests.cards.rules.cases import accepted, check
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.conftest import examples
from tests.each import some_of

Json = dict[str, Any]

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
PATIENTS: list[Json] = [
    {"labs": [["egfr", 38]], "active": ["861007"]},
    {"labs": [["egfr", 20]]},
    {"age": 86, "conditions": ["afib"], "labs": [["creatinine", 2], ["body_weight", 42]]},
    {"conditions": ["afib"], "crcl": 20},
    {"labs": [["egfr", 40]], "conditions": ["hf"]},
    {},
]
WHOLE: list[Json] = [
    draft_of({"drug": drug, "dose": dose, "times": 2, "days": 14, "refills": 1})
    | {
        "contained": [{"resourceType": "Medication", "id": "m", "code": {"text": "metformin 500 MG Oral Tablet"}}],
        "dispenseRequest": {
            "quantity": {"value": 28, "unit": "tablet"},
            "numberOfRepeatsAllowed": 1,
            "expectedSupplyDuration": {"value": 14, "unit": "d"},
        },
        "priorPrescription": {"reference": "MedicationRequest/active-0"},
    }
    for drug, dose in (
        ("861007", "2 tablet"),
        ("1364445", "1 tablet"),
        ("1037045", "1 capsule"),
        ("198014", "500 mg"),
        ("1232086", "20 mg"),
    )
]
JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        "",
        " ",
        "x",
        "#m",
        "a/b",
        0,
        -1,
        1e308,
        5e-324,
        True,
        [],
        {},
        [None],
        [{}],
        {"value": None},
        {"reference": "#m"},
        "2026",
    ]
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in inner for place in ((*path, key), *_places(item, (*path, key)))]


@st.composite
def spoilt(draw: st.DrawFn) -> Json:
    """A whole draft with one to three places replaced by junk or taken out."""
    draft = copy.deepcopy(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from(_places(draft)))
        parent: Any = draft
        for step in path:
            parent = parent[step]
        if draw(st.booleans()) and isinstance(parent, dict):
            del parent[last]
        else:
            parent[last] = copy.deepcopy(draw(JUNK))
    return draft


@settings(max_examples=examples(400), deadline=None)
@given(spoilt(), st.sampled_from(PATIENTS))
def test_a_spoilt_draft_is_judged_or_passed_over_with_a_reason(draft: Json, patient: Json) -> None:
    before = copy.deepcopy(draft)
    record = record_of(patient, AS_OF)
    outcome = check(record, drafts_of(draft))
    assert draft == before
    assert outcome.cards or outcome.silences or draft.get("resourceType") == "Medication"
    for card in outcome.cards:
        check_card(card)
    for _, after in accepted(outcome, [draft]):
        again = check(record, after)
        assert len(again.cards) <= len(outcome.cards)


EXTREMES = (0, -3, 1e308, 5e-324, 1e-300, 1e15, 2**63 - 1)
UNITS_OF_TIME = ("s", "min", "h", "d", "wk", "mo", "a")


def _with_extremes(draft: Json) -> Iterator[Json]:
    """The draft with each of its numbers replaced by each extreme; a period in each unit of time, with a count."""
    for *path, last in _places(draft):
        changed = copy.deepcopy(draft)
        parent: Any = changed
        for step in path:
            parent = parent[step]
        if isinstance(parent[last], int | float):
            for value, unit in product(EXTREMES, UNITS_OF_TIME if last == "period" else ("",)):
                parent[last] = value
                if unit:
                    parent |= {"periodUnit": unit, "count": 3}
                yield copy.deepcopy(changed)


@pytest.mark.sampled
@pytest.mark.parametrize("whole", WHOLE, ids=lambda draft: draft["medicationCodeableConcept"]["text"])
@pytest.mark.parametrize("patient", [PATIENTS[0], PATIENTS[2]], ids=("eGFR 38", "86 years"))
def test_a_number_that_cannot_be_right_takes_no_call_down_and_makes_no_amount(whole: Json, patient: Json) -> None:
    drafts = list(_with_extremes(whole))
    assert len(drafts) > 5 * len(EXTREMES)
    for draft in some_of(drafts, 4):
        outcome = check(record_of(patient, AS_OF), drafts_of(draft))
        for card in outcome.cards:
            for action in (action for suggestion in card.suggestions for action in suggestion.actions):
                supply = (action.resource or {}).get("dispenseRequest", {}).get("quantity", {})
                assert supply.get("value", 0) <= 1e6 or supply["value"] in EXTREMES
