"""The timeline of a decision: every moment in its order, in whole sentences."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from cards.extension import EXTENSION_KEY
from cds_hooks.decision_history import decision_history
from cds_hooks.hold_back.acts import RELEASE_EVENT
from cds_hooks.pages.explain.timeline import Moment, Timeline, timeline
from cds_hooks.storage import card_uuid
from cds_hooks.storage.decision import Decision, new_decision_id
from cds_hooks.storage.entries import add_event
from cds_hooks.storage.outcomes import Outcome
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import events
from tests.cds_hooks.storage.samples import a_decision, some_feedback
from tests.live import record_in

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


@pytest.fixture
def url(tmp_path: Path) -> str:
    """An empty record."""
    return record_in(tmp_path)


def of(url: str, decision: Decision) -> Timeline:
    """The timeline of a decision that nobody answered."""
    return timeline(url, decision, decision_history(decision, ()), ())


def moments(url: str, decision: Decision, answers: Any = (), outcomes: Any = ()) -> list[Moment]:
    """The moments but for the call."""
    every = timeline(url, decision, decision_history(decision, answers), outcomes).moments
    return [moment for moment in every if not moment.what.startswith("a hospital called ")]


CALLED = ("Service planning", "Hook instance i", "Shown to: u7")


def test_the_call_began_as_long_before_the_answer_as_its_stages_took(url: str) -> None:
    basis = {
        "timings": {"decode": 1.5, "decide": 6.0, "other": 0.5},
        "prefetch": {"patient": "given", "labs": {"state": "part"}, "drugs": "given"},
        "config": "",
        "trace": {"id": "4bf92f"},
    }
    whole = of(url, recorded([a_card(1, "First"), a_card(2, "Second")], basis))
    assert whole.moments == (
        Moment(AT - 8_000, "a hospital called patient-view", CALLED),
        Moment(AT, "Answered with 2 cards", ("First", "Second"), "info"),
    )
    assert [moment.time for moment in whole.moments] == ["2026-11-20 08:59:59 UTC", "2026-11-20 09:00:00 UTC"]
    assert [(bar.words, bar.took) for bar in whole.stages.bars] == [
        ("Read and check the request", "1.5"),
        ("Decide: rules, models, cards", "6.0"),
        ("other", "0.50"),
    ]
    assert (whole.stages.total, whole.keys) == ("8.0", {"given": ["patient", "drugs"], "part": ["labs"]})
    assert (whole.config, whole.trace) == ("", "4bf92f")
    assert of(url, recorded([])).trace == ""


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
def test_what_a_call_does_not_say_is_said(url: str, changes: Any, title: str, details: tuple[str, ...]) -> None:
    called = of(url, recorded([], **changes)).moments[0]
    assert (called.what, called.details) == (title, details)


def test_an_answer_without_cards_and_a_refusal_say_why(url: str) -> None:
    why = [["a", "below-threshold", "It is low."], ["b", "budget", "There were many."]]
    assert [moments(url, recorded([], {"silence": silence})) for silence in (why[:1], why)] == [
        [Moment(AT, "Answered without a card", ("1 reason is on record, below.",), "none")],
        [Moment(AT, "Answered without a card", ("2 reasons are on record, below.",), "none")],
    ]
    assert moments(url, recorded([a_card(1, "First")])) == [Moment(AT, "Answered with 1 card", ("First",), "info")]
    refused = recorded([a_card(1, "First")], {"silence": why}, outcome="error")
    assert moments(url, refused) == [Moment(AT, "The call was refused", ("It is low.", "There were many."), "critical")]


def test_answers_name_their_card_and_what_was_chosen_or_why_not(url: str) -> None:
    decision = recorded([a_card(1, "First", "Stop it", "Change it"), a_card(2, "Second", "Order it")])
    accepted = {"outcome": "accepted", "override_reason_code": None, "user_comment": None}
    answers = [
        some_feedback(ID, received_at=AT + MINUTE, **accepted, accepted_suggestions=("1-Change it",)),
        some_feedback(ID, received_at=AT + 2 * MINUTE, **accepted, card=card_uuid(ID, 2)),
        some_feedback(ID, received_at=AT + 3 * MINUTE, card=card_uuid(ID, 2), override_reason_code=None),
    ]
    assert moments(url, decision, answers)[1:] == [
        Moment(AT + MINUTE, "A card was accepted", ("First", "Chosen: Change it"), "good"),
        Moment(AT + 2 * MINUTE, "A card was accepted", ("Second",), "good"),
        Moment(
            AT + 3 * MINUTE,
            "A card was overridden",
            ("Second", "Reason: no reason was given", "In their own words: Already discussed"),
            "warning",
        ),
    ]


def test_outcomes_say_what_happened_when_and_which_version_it_is(url: str) -> None:
    event = Outcome(ID, "planning", "a hospital", "event", "mortality_5y", "no", "2027-01-01", "fhir", AT + MINUTE, 1)
    order = Outcome(ID, "planning", "a hospital", "order", "", "withdrawn", None, "api", AT + 2 * MINUTE, 2)
    assert moments(url, recorded([]), (), [order, event])[1:] == [
        Moment(AT + MINUTE, "Outcome reported: event mortality_5y", ("no", "It happened 2027-01-01", "Source: fhir")),
        Moment(AT + 2 * MINUTE, "Outcome reported: order", ("withdrawn", "Source: api", "Version 2: a correction")),
    ]


def test_releases_of_what_took_part_are_the_last_before_the_decision_and_all_after_it(url: str) -> None:
    subjects = [
        ("service", "planning"), ("client", "a hospital"), ("model", "mortality_5y"), ("equation", "mortality_5y"),
        ("rule", "rule-1"),
    ]  # fmt: skip
    others = [("service", "another"), ("rule", "rule-2"), ("rule", "planning")]

    def act(kind: str, name: str, state: str) -> None:
        detail = {"kind": kind, "name": name, "state": state, "by": "Ann", "why": f"because {state}"}
        add_event(url, RELEASE_EVENT, "Ann", detail)

    for kind, name in [*subjects, *others]:
        act(kind, name, "shadow")
    add_event(url, RELEASE_EVENT, "Ann", {"an": "act of another form"})
    for kind, name in subjects[:2]:
        act(kind, name, "on")
    add_event(url, "configuration", "cds-hooks", {"digest": "0123456789abcdef0123", "content": {}})
    ats = [row.at for row in read_rows(url, select(events.c.at).order_by(events.c.sequence))][-12:]

    def moment(at: int, kind: str, name: str, state: str) -> Moment:
        return Moment(at, f"The {kind} {name} was set to {state} by Ann", (f"because {state}",))

    in_shadow = [moment(at, kind, name, "shadow") for at, (kind, name) in zip(ats, subjects, strict=False)]
    on = [moment(at, kind, name, "on") for at, (kind, name) in zip(ats[-3:], subjects[:2], strict=False)]
    in_force = Moment(ats[-1], "Settings, models and rules with the digest 0123456789abcdef came into force")
    config = {"config": "0123456789abcdef0123"}
    first_answer = Moment(ats[7], "Answered with 1 card", ("First",), "info")
    assert moments(url, recorded([a_card(1, "First")], config, decided_at=ats[7])) == [
        *in_shadow, first_answer, *on, in_force,
    ]  # fmt: skip
    silent = Moment(ats[-3], "Answered without a card", ("0 reasons are on record, below.",), "none")
    # at the same moment the act counts as before; without its card the rule took no part
    assert moments(url, recorded([], {"config": "f" * 20}, decided_at=ats[-3])) == [
        in_shadow[1], in_shadow[2], in_shadow[3], silent, on[0], on[1],
    ]  # fmt: skip
