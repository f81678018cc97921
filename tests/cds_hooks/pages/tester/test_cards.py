"""Cards of any server are drawn as far as they have the published form; what has none is left out."""

from typing import Any

import pytest

from cards.extension import EXTENSION_KEY
from cds_hooks.pages.tester.cards import CardLink, Choice, DrawnCard, Reason, Why, draw
from cds_hooks.pages.tester.feedback import Change, accepted_feedback, apply_actions, next_request, override_feedback
from cds_hooks.web.markdown import render_markdown
from tests.cds_hooks.services.equation_calls import NOW

NOTHING = DrawnCard("", "none", "", render_markdown(""), "", "", (), (), (), Why())
CREATE: dict[str, Any] = {"type": "create", "description": "Order it", "resource": {"resourceType": "X", "id": "1"}}


def test_a_whole_card_is_drawn_with_everything_on_it() -> None:
    card = {
        "uuid": "u",
        "summary": "Look",
        "indicator": "warning",
        "detail": "**Now**",
        "source": {"label": "Guide", "url": "https://example.org/guide"},
        "suggestions": [
            {
                "uuid": "s1",
                "label": "Stop",
                "isRecommended": True,
                "actions": [CREATE, "no action", {"type": "delete"}],
            },
            {"label": 7, "isRecommended": "yes", "actions": {}},
            "no suggestion",
        ],
        "overrideReasons": [{"display": "No", "code": "n"}, {"code": "later"}, None],
        "links": [
            {"label": "Why", "url": "https://example.org", "type": "absolute"},
            {"url": "https://example.org/app", "type": "smart"},
            {"label": "Bad", "url": "javascript:alert(1)", "type": "absolute"},
        ],
        "extension": {
            EXTENSION_KEY: {
                "findings": [{"rule": "r", "band": "lt30"}, {"rule": 1}],
                "facts": [
                    {"text": "eGFR 25", "effective": "2026-11-20T09:00:00Z", "source": "Observation/1"},
                    {"name": "serum_sodium", "value": 130, "unit": "mmol/L"},
                    {"name": "age"},
                ],
                "model": {"id": "mortality_5y"},
            }
        },
    }
    (drawn,) = draw([card, "no card"])
    assert drawn == DrawnCard(
        uuid="u",
        indicator="warning",
        summary="Look",
        detail=render_markdown("**Now**"),
        source="Guide",
        source_url="https://example.org/guide",
        choices=(
            Choice("s1", "Stop", True, (CREATE, {"type": "delete"}), ("Order it",)),
            Choice("", "7", False, (), ()),
        ),
        reasons=(Reason("No", {"display": "No", "code": "n"}), Reason("later", {"code": "later"})),
        links=(
            CardLink("Why", "https://example.org", "absolute"),
            CardLink("https://example.org/app", "", "smart"),
            CardLink("Bad", "", "absolute"),
        ),
        why=Why(
            (("r", "lt30"), ("1", "")),
            (("eGFR 25", "2026-11-20", "Observation/1"), ("serum sodium 130 mmol/L", "", ""), ("age", "", "")),
            "mortality_5y",
        ),
    )
    assert "<strong>Now</strong>" in drawn.detail


@pytest.mark.parametrize(
    "card",
    [
        {},
        {"source": [], "suggestions": {}, "overrideReasons": 1, "links": "x", "extension": {EXTENSION_KEY: 1}},
        {"summary": None, "detail": [], "indicator": "hard-stop", "uuid": {}, "source": {"url": 1}, "extension": 1},
    ],
)
def test_what_has_another_form_is_drawn_as_if_it_were_not_there(card: dict[str, Any]) -> None:
    assert draw([card]) == [NOTHING]


def test_a_card_says_why_where_it_names_rules_facts_or_a_model() -> None:
    assert [bool(why) for why in (Why(), Why((("r", ""),)), Why((), (("a", "", ""),)), Why(model="m"))] == [
        False, True, True, True,
    ]  # fmt: skip


# What follows from a card


def test_feedback_names_the_card_the_suggestion_or_the_reason_and_the_time() -> None:
    at = NOW.isoformat(timespec="seconds")
    assert accepted_feedback("c", "s", NOW) == {
        "card": "c", "outcome": "accepted", "outcomeTimestamp": at, "acceptedSuggestions": [{"id": "s"}],
    }  # fmt: skip
    overridden = {"card": "c", "outcome": "overridden", "outcomeTimestamp": at}
    reason = {"code": "n"}
    for given, comment, override in (
        (None, " ", None),
        (reason, "", {"reason": reason}),
        (None, " why ", {"userComment": "why"}),
        (reason, "why", {"reason": reason, "userComment": "why"}),
    ):
        expected = overridden | ({"overrideReason": override} if override else {})
        assert override_feedback("c", given, comment, NOW) == expected


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
