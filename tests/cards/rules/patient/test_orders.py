"""Drafts as they arrive: their names, whether they are to be given, vaccinations that are services, open tests."""

from typing import Any

from cards.rules.patient.orders import (
    is_for_other_patient,
    is_to_be_given,
    ordered_medication,
    read_draft,
    read_drafts,
)
from tests.cards.rules.patients import draft_of
from tests.each import for_rows, rows_of

Json = dict[str, Any]
WARFARIN: Json = draft_of({"drug": "warfarin 5 MG Oral Tablet"}, "7")


def test_entries_of_a_bundle_that_are_no_drafts_are_passed_over() -> None:
    entries: list[Any] = [
        None,
        {},
        {"resource": []},
        {"resource": WARFARIN, "fullUrl": 3},
        {"resource": {"resourceType": "Task"}},
    ]
    drafts = read_drafts(entries)
    assert [(one.kind, one.position, one.full_url) for one in drafts] == [
        ("MedicationRequest", 3, None), ("Task", 4, None)]  # fmt: skip
    assert (drafts[0].order is not None, drafts[1].order, drafts[1].read, drafts[1].fault) == (True, None, None, None)


@for_rows(
    ("more", "given"),
    rows_of(__file__, "whether_an_order_is_to_be_given"),
)
def test_whether_an_order_is_to_be_given(more: Json, given: bool) -> None:
    draft = read_draft({**WARFARIN, **more})
    assert draft.order is not None
    assert is_to_be_given(draft.order) is given
    assert (ordered_medication(draft) is draft.order) is given
    assert (ordered_medication(draft) is None) is not given


@for_rows(
    ("more", "is_other"),
    rows_of(__file__, "a_draft_for_another_patient"),
)
def test_a_draft_for_another_patient(more: Json, is_other: bool) -> None:
    assert is_for_other_patient(read_draft({**WARFARIN, **more}), "case") is is_other
