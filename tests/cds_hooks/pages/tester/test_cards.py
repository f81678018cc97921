"""What follows from a card: feedback, the changed drafts, the next call."""

from typing import Any

from cds_hooks.decision_history import Reason
from cds_hooks.pages.tester.feedback import Change, accepted_feedback, apply_actions, next_request, override_feedback
from tests.cds_hooks.services.equation_calls import NOW


def test_feedback_names_the_card_the_suggestion_or_the_reason_and_the_time() -> None:
    at = NOW.isoformat(timespec="seconds")
    assert accepted_feedback("c", "s", NOW) == {
        "card": "c", "outcome": "accepted", "outcomeTimestamp": at, "acceptedSuggestions": [{"id": "s"}],
    }  # fmt: skip
    overridden = {"card": "c", "outcome": "overridden", "outcomeTimestamp": at}
    assert override_feedback("c", None, NOW) == overridden
    reason = {"code": "n", "display": "No"}
    assert override_feedback("c", Reason("No", "n"), NOW) == overridden | {"overrideReason": {"reason": reason}}


def order(number: str, name: str, text: str) -> dict[str, Any]:
    """A drafted medication."""
    return {
        "resourceType": "MedicationRequest",
        "id": number,
        "medicationCodeableConcept": {"text": name},
        "dosageInstruction": [{"text": text}],
    }


def test_actions_of_a_suggestion_change_the_drafts_in_words() -> None:
    first, second = order("1", "ibuprofen", "400 mg"), order("2", "naproxen", "")
    drafts = [first, second]
    weaker = order("1", "ibuprofen", "200 mg")
    for actions, after, changes in (
        (["no action", {"type": "create"}, {"type": "other", "resource": weaker}], drafts, []),
        (
            [{"type": "update", "resource": weaker}],
            [second, weaker],
            [Change("ibuprofen", "ibuprofen, 400 mg", "ibuprofen, 200 mg")],
        ),
        (
            [{"type": "delete", "resourceId": "MedicationRequest/2"}],
            [first],
            [Change("naproxen", "naproxen", "removed")],
        ),
        ([{"type": "delete", "resource": first}], [second], [Change("ibuprofen", "ibuprofen, 400 mg", "removed")]),
        ([{"type": "delete", "resourceId": "MedicationRequest/9"}, {"type": "delete"}], drafts, []),
        (
            [{"type": "create", "resource": order("3", "sodium", "")}],
            [*drafts, order("3", "sodium", "")],
            [Change("sodium", "not there", "sodium")],
        ),
    ):
        assert apply_actions(drafts, actions) == (after, changes), actions
    assert drafts == [first, second]
    (new,), _ = apply_actions([], [{"type": "create", "resource": {"resourceType": "ServiceRequest"}}])
    assert (new["resourceType"], new["id"][:6], len(new["id"])) == ("ServiceRequest", "draft-", 14)


def test_the_next_call_has_the_drafts_and_is_another_instance() -> None:
    request = {"hook": "order-select", "hookInstance": "i", "context": {"patientId": "p", "draftOrders": {}}}
    drafts = [order("1", "ibuprofen", ""), {"resourceType": "Medication", "id": "m"}]
    following = next_request(request, drafts)
    assert following["hookInstance"] != "i"
    assert following["hook"] == "order-select"
    entries = [entry["resource"] for entry in following["context"]["draftOrders"]["entry"]]
    assert [entry["id"] for entry in entries] == ["1", "m"]
    assert entries[0]["subject"] == {"reference": "Patient/p"}
    assert entries[1] == drafts[1]
    assert "selections" not in following["context"]
    assert request["context"] == {"patientId": "p", "draftOrders": {}}
    selecting = {"context": {"patientId": "p", "draftOrders": {}, "selections": ["x"]}}
    assert next_request(selecting, drafts)["context"]["selections"] == ["MedicationRequest/1"]
    plain = next_request({"context": None}, drafts)
    assert (list(plain), plain["context"]) == (["context", "hookInstance"], {})
