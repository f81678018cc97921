"""The timeline of a decision: every moment in its order, in whole sentences."""

import json
from typing import Any

import pytest

from cards.extension import EXTENSION_KEY
from cds_hooks.decision_history import decision_history
from cds_hooks.pages.explain.timeline import Moment, Timeline, timeline
from cds_hooks.storage import card_uuid
from cds_hooks.storage.decision import Decision, new_decision_id
from cds_hooks.storage.outcomes import Outcome
from tests.cds_hooks.storage.samples import a_decision, some_feedback

AT = 1_795_165_200_000_000  # 2026-11-20 09:00 UTC
MINUTE = 60_000_000
ID = new_decision_id()


def a_card(number: int, summary: str, *labels: str) -> dict[str, Any]:
    """A card with suggestions of these labels."""
    return {
        "uuid": card_uuid(ID, number),
        "summary": summary,
        "indicator": "info",
        "source": {"label": "s"},
        "suggestions": [{"label": label, "uuid": f"{number}-{label}"} for label in labels],
        "extension": {EXTENSION_KEY: {"findings": [{"rule": f"rule-{number}", "band": "low"}]}},
    }


def recorded(cards: list[dict[str, Any]], basis: dict[str, Any] | None = None, **changes: Any) -> Decision:
    """A decision of 09:00 with these cards."""
    whole = {"as_of": "2026-11-20T09:00:00+00:00"} | (basis or {})
    texts = {"response": json.dumps({"cards": cards}).encode(), "basis": json.dumps(whole).encode()}
    return a_decision(**({"id": ID, "decided_at": AT, "hook_instance": "i", "user_id": "u7"} | texts | changes))


def of(decision: Decision) -> Timeline:
    """The timeline of a decision that nobody answered."""
    return timeline(decision, decision_history(decision, ()), ())


def moments(decision: Decision, answers: Any = (), outcomes: Any = ()) -> list[Moment]:
    """The moments but for the call."""
    every = timeline(decision, decision_history(decision, answers), outcomes).moments
    return [moment for moment in every if not moment.what.startswith("a hospital called ")]


CALLED = ("Service planning", "Hook instance i", "Shown to: u7")


@pytest.mark.parametrize(
    ("changes", "title", "details"),
    [
        ({"hook": ""}, "a hospital called a hook that was not read", CALLED),
        (
            {"hook_instance": "", "user_id": ""},
            "a hospital called patient-view",
            (
                "Service planning",
                "Hook instance not recorded",
                "Shown to: no user named, or users are not recorded here",
            ),
        ),
        (
            {"user_id": None},
            "a hospital called patient-view",
            ("Service planning", "Hook instance i", "Shown to: not recorded by the version that wrote this"),
        ),
    ],
)
def test_what_a_call_does_not_say_is_said(changes: Any, title: str, details: tuple[str, ...]) -> None:
    called = of(recorded([], **changes)).moments[0]
    assert (called.what, called.details) == (title, details)


def test_an_answer_without_cards_and_a_refusal_say_why() -> None:
    why = [["a", "below-threshold", "It is low."], ["b", "budget", "There were many."]]
    assert [moments(recorded([], {"silence": silence})) for silence in (why[:1], why)] == [
        [Moment(AT, "Answered without a card", ("1 reason is on record, below.",), "none")],
        [Moment(AT, "Answered without a card", ("2 reasons are on record, below.",), "none")],
    ]
    assert moments(recorded([a_card(1, "First")])) == [Moment(AT, "Answered with 1 card", ("First",), "info")]
    refused = recorded([a_card(1, "First")], {"silence": why}, outcome="error")
    assert moments(refused) == [Moment(AT, "The call was refused", ("It is low.", "There were many."), "critical")]


def test_answers_name_their_card_and_what_was_chosen_or_why_not() -> None:
    decision = recorded([a_card(1, "First", "Stop it", "Change it"), a_card(2, "Second", "Order it")])
    accepted = {"outcome": "accepted", "override_reason_code": None, "user_comment": None}
    answers = [
        some_feedback(ID, received_at=AT + MINUTE, **accepted, accepted_suggestions=("1-Change it",)),
        some_feedback(ID, received_at=AT + 2 * MINUTE, **accepted, card=card_uuid(ID, 2)),
        some_feedback(ID, received_at=AT + 3 * MINUTE, card=card_uuid(ID, 2), override_reason_code=None),
    ]
    assert moments(decision, answers)[1:] == [
        Moment(AT + MINUTE, "A card was accepted", ("First", "Chosen: Change it"), "good"),
        Moment(AT + 2 * MINUTE, "A card was accepted", ("Second",), "good"),
        Moment(
            AT + 3 * MINUTE,
            "A card was overridden",
            ("Second", "Reason: no reason was given", "In their own words: Already discussed"),
            "warning",
        ),
    ]


def test_outcomes_say_what_happened_when_and_which_version_it_is() -> None:
    event = Outcome(ID, "planning", "a hospital", "event", "mortality_5y", "no", "2027-01-01", "fhir", AT + MINUTE, 1)
    order = Outcome(ID, "planning", "a hospital", "order", "", "withdrawn", None, "api", AT + 2 * MINUTE, 2)
    assert moments(recorded([]), (), [order, event])[1:] == [
        Moment(AT + MINUTE, "Outcome reported: event mortality_5y", ("no", "It happened 2027-01-01", "Source: fhir")),
        Moment(AT + 2 * MINUTE, "Outcome reported: order", ("withdrawn", "Source: api", "Version 2: a correction")),
    ]
