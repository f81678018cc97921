"""The timeline of a decision: every moment in its order, in whole sentences."""

import json
from typing import Any

import pytest

from cds_hooks.decision_history import decision_history
from cds_hooks.pages.explain.views import timeline
from cds_hooks.storage.decision import Decision, new_decision_id
from cds_hooks.storage.outcomes import Outcome
from tests.cds_hooks.storage.samples import a_decision

AT = 1_795_165_200_000_000  # 2026-11-20 09:00 UTC
MINUTE = 60_000_000
ID = new_decision_id()


def recorded(cards: list[dict[str, Any]], basis: dict[str, Any] | None = None, **changes: Any) -> Decision:
    """A decision of 09:00 with these cards."""
    whole = {"as_of": "2026-11-20T09:00:00+00:00"} | (basis or {})
    texts = {"response": json.dumps({"cards": cards}).encode(), "basis": json.dumps(whole).encode()}
    return a_decision(**({"id": ID, "decided_at": AT, "hook_instance": "i", "user_id": "u7"} | texts | changes))


def moments(decision: Decision, answers: Any = (), outcomes: Any = ()) -> list[tuple[str, str]]:
    """What happened, with the time of day."""
    every = timeline(decision, decision_history(decision, answers), outcomes).moments
    return [(at[11:16], what) for at, what in every]


CALLED = "a hospital called patient-view. Service planning, hook instance i, for: u7"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, CALLED),
        ({"hook": ""}, CALLED.replace("patient-view", "a hook that was not read")),
        (
            {"hook_instance": "", "user_id": ""},
            "a hospital called patient-view. Service planning, hook instance not recorded, for: no user named, or "
            "users are not recorded here",
        ),
        ({"user_id": None}, CALLED.replace("u7", "not recorded by the version that wrote this")),
        (
            {"client": "trial:ehr"},
            CALLED.replace(
                "a hospital called patient-view", "Somebody tried patient-view at /try, as ehr; a trial counts nowhere"
            ),
        ),
    ],
)
def test_what_a_call_does_not_say_is_said(changes: Any, sentence: str) -> None:
    assert moments(recorded([], **changes)) == [("09:00", sentence)]


def test_outcomes_say_what_happened_when_and_which_version_it_is() -> None:
    event = Outcome(ID, "planning", "a hospital", "event", "mortality_5y", "no", "2027-01-01", "fhir", AT + MINUTE, 1)
    order = Outcome(ID, "planning", "a hospital", "order", "", "withdrawn", None, "api", AT + 2 * MINUTE, 2)
    assert moments(recorded([]), (), [order, event])[1:] == [
        ("09:01", "Outcome reported: event mortality_5y is no, which happened 2027-01-01 (source: fhir)"),
        ("09:02", "Outcome reported: order is withdrawn (source: api, version 2: a correction)"),
    ]
