"""FB: feedback."""

import json
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cds_hooks.evidence.storage.decision import FeedbackItem
from cds_hooks.evidence.storage.queries import feedback_on
from tests.cds_hooks.calls import PLANNING, ours, request_for
from tests.conformance.answers import AS_OF
from tests.conformance.outside import Json, Outside, outcome_of
from tests.conformance.rows import row
from tests.conformance.trusted import OTHER_KEY, Site
from tests.each import each_row

OPERATOR = "a token for operators"
UNKNOWN = "01a1f845-4e95-75a9-93e4-433f36c90100"
OVERRIDDEN: Json = {"card": UNKNOWN, "outcome": "overridden", "outcomeTimestamp": "2026-11-20T09:00:00Z"}
ACCEPTED: Json = {
    "card": UNKNOWN,
    "outcome": "accepted",
    "outcomeTimestamp": "2026-11-20T09:00:00Z",
    "acceptedSuggestions": [{"id": UNKNOWN[:-2] + "01"}],
}


def _card(server: Outside) -> tuple[str, Json]:
    """A decision, and its card as it was sent; about a patient of its own, for an answered card is not sent again."""
    request = json.dumps(request_for(PLANNING, "patient-view", "planning-talk", AS_OF))
    answer = server.call(PLANNING, json.loads(request.replace("planning-talk", f"patient-{uuid4()}")))
    return ours(answer)["decision"], answer.json()["cards"][0]


def _stored(server: Outside, decision: str) -> list[FeedbackItem]:
    return feedback_on(f"sqlite:///{server.folder}/decisions.sqlite3", decision)


@row("FB-01", "FB-04")
def test_every_service_takes_feedback(server: Outside, discovery: list[Json]) -> None:
    for entry in discovery:
        assert server.feedback(entry["id"], OVERRIDDEN).status_code == 200
    assert server.feedback("nobody", OVERRIDDEN).status_code == 404


@row("FB-03", "SEC-02")
def test_feedback_needs_a_token_like_any_call(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        assert site.server.feedback(PLANNING, OVERRIDDEN).status_code == 401
        assert site.call(f"{PLANNING}/feedback", {"feedback": [OVERRIDDEN]}).status_code == 200


@row("FB-04")
@pytest.mark.parametrize("body", [{}, [], [OVERRIDDEN], {"feedback": {}}, {"feedback": []}, {"feedback": [7]}, "x"])
def test_feedback_is_an_object_with_an_array(server: Outside, body: Json) -> None:
    answer = server.call(f"{PLANNING}/feedback", body)
    assert answer.status_code == 400
    assert outcome_of(answer)


@row("FB-05", "FB-06", "FB-12")
@pytest.mark.parametrize("member", ["card", "outcome", "outcomeTimestamp"])
@pytest.mark.parametrize("value", ["absent", 7, None, " "])
def test_a_member_that_every_item_has_is_missed(server: Outside, member: str, value: Json) -> None:
    item = {name: each for name, each in OVERRIDDEN.items() if name != member}
    answer = server.feedback(PLANNING, item if value == "absent" else item | {member: value})
    assert answer.status_code == 400
    assert "ignored" not in answer.text


@row("FB-06")
def test_nobody_says_ignored(server: Outside) -> None:
    assert server.feedback(PLANNING, OVERRIDDEN | {"outcome": "ignored"}).status_code == 400


@row("FB-07", "FB-08")
@pytest.mark.parametrize("suggestions", [None, [], ["uuid"], [{}], [{"id": 7}], {"id": "x"}])
def test_what_was_accepted_is_named_by_objects(server: Outside, suggestions: Json) -> None:
    item = {name: each for name, each in ACCEPTED.items() if name != "acceptedSuggestions"}
    if suggestions is not None:
        item["acceptedSuggestions"] = suggestions
    assert server.feedback(PLANNING, item).status_code == 400


@row("FB-09", "FB-10", "FB-11", "CARD-18")
@each_row("reason")
def test_a_reason_is_stored_as_it_was_given(server: Outside, reason: Json) -> None:
    decision, card = _card(server)
    item = OVERRIDDEN | {"card": card["uuid"]} | ({"overrideReason": reason} if reason else {})
    assert server.feedback(PLANNING, item).status_code == 200
    (stored,) = _stored(server, decision)
    coding = (reason or {}).get("reason", {})
    assert stored.outcome == "overridden"
    assert (stored.override_reason_code, stored.override_reason_system) == (coding.get("code"), coding.get("system"))
    assert stored.user_comment == (reason or {}).get("userComment")


@row("FB-12")
@each_row(("moment", "status"))
def test_a_moment_is_an_instant(server: Outside, moment: str, status: int) -> None:
    assert server.feedback(PLANNING, OVERRIDDEN | {"outcomeTimestamp": moment}).status_code == status


@row("FB-14", "CARD-01", "CARD-02", "SUG-02")
def test_a_suggestion_that_was_accepted_is_joined_to_its_card(server: Outside) -> None:
    decision, card = _card(server)
    suggestion = card["suggestions"][0]["uuid"]
    item = ACCEPTED | {"card": card["uuid"], "acceptedSuggestions": [{"id": suggestion}]}
    assert server.feedback(PLANNING, item).status_code == 200
    (stored,) = _stored(server, decision)
    assert stored.accepted_suggestions == (suggestion,)


@row("FB-15")
def test_the_same_report_twice_is_one_and_several_come_together(server: Outside) -> None:
    (one, first), (other, second) = _card(server), _card(server)
    items = [OVERRIDDEN | {"card": card["uuid"]} for card in (first, second)]
    for _ in range(2):
        assert server.feedback(PLANNING, *items, items[0]).status_code == 200
    assert [len(_stored(server, decision)) for decision in (one, other)] == [1, 1]


@row("FB-15")
def test_of_a_batch_with_a_bad_item_nothing_is_stored(server: Outside) -> None:
    decision, card = _card(server)
    bad: dict[str, Any] = OVERRIDDEN | {"outcome": "ignored"}
    assert server.feedback(PLANNING, OVERRIDDEN | {"card": card["uuid"]}, bad).status_code == 400
    assert _stored(server, decision) == []


@row("FB-17")
def test_a_card_that_nobody_knows_is_no_error_and_counted(server: Outside) -> None:
    before = _unmatched(server)
    answer = server.feedback(PLANNING, OVERRIDDEN | {"card": "01a1f845-4e95-75a9-93e4-433f36c9ff00"})
    assert answer.status_code == 200
    assert answer.json() == {}
    assert _unmatched(server) == before + 1


def _unmatched(server: Outside) -> float:
    page = server.request("GET", "/metrics", headers={"authorization": f"Bearer {OPERATOR}"}).text
    return sum(
        float(number) for number in re.findall(r"^cds_feedback_unmatched_total\{[^}]*\} (\S+)$", page, re.MULTILINE)
    )


@row("FB-18")
def test_what_one_client_says_of_another_clients_card_does_not_count(tmp_path: Path) -> None:
    with Site(tmp_path, as_of=AS_OF, operator_token=OPERATOR) as site:
        answer = site.call(PLANNING, request_for(PLANNING, "patient-view", "planning-talk", AS_OF))
        decision, card = ours(answer)["decision"], answer.json()["cards"][0]
        body = {"feedback": [OVERRIDDEN | {"card": card["uuid"]}]}
        assert site.call(f"{PLANNING}/feedback", body, OTHER_KEY).status_code == 200
        assert _stored(site.server, decision) == []
        assert _unmatched(site.server) == 1
        assert site.call(f"{PLANNING}/feedback", body).status_code == 200
        assert [each.client for each in _stored(site.server, decision)] == ["ehr"]


@row("FB-17", "FB-18")
def test_nobody_learns_from_the_answer_whether_a_card_of_another_client_is_there(tmp_path: Path) -> None:
    with Site(tmp_path, as_of=AS_OF) as site:
        answer = site.call(PLANNING, request_for(PLANNING, "patient-view", "planning-talk", AS_OF))
        card = answer.json()["cards"][0]
        accepted = {"outcome": "accepted", "outcomeTimestamp": "2026-11-20T09:00:00Z"}
        taken = [accepted | {"acceptedSuggestions": [{"id": each["uuid"]}]} for each in card["suggestions"]]
        for said in (OVERRIDDEN, *taken):
            theirs, nobodys = (
                site.call(f"{PLANNING}/feedback", {"feedback": [said | {"card": uuid}]}, OTHER_KEY)
                for uuid in (card["uuid"], str(uuid4()))
            )
            assert (theirs.status_code, theirs.content) == (nobodys.status_code, nobodys.content) == (200, b"{}")
            assert set(theirs.headers) == set(nobodys.headers)
        assert _stored(site.server, ours(answer)["decision"]) == []


@row("FB-19")
def test_a_reason_holds_something(server: Outside) -> None:
    for reason in ({}, {"reason": {"display": "no code"}}, "benefit"):
        assert server.feedback(PLANNING, OVERRIDDEN | {"overrideReason": reason}).status_code == 400
