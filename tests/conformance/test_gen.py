"""GEN: JSON and transport."""

import copy
import json

import pytest

from cards.card import Card, CardError, Source, check_card
from cds_hooks.call.protocol.body import encode_response
from tests.cds_hooks.calls import ORDERS, PLANNING, request_for
from tests.conformance.answers import AS_OF, Answers
from tests.conformance.outside import SERVICES, Json, Outside, outcome_of, paths_where, strict, walk
from tests.conformance.rows import row

ERRORS = (
    ("POST", f"{SERVICES}/nobody", b"{}"),
    ("GET", f"{SERVICES}/{PLANNING}", b""),
    ("POST", f"{SERVICES}/{PLANNING}", b"{"),
    ("POST", f"{SERVICES}/{PLANNING}", b"{}"),
    ("POST", f"{SERVICES}/{PLANNING}/feedback", b"{}"),
)


def _documents(server: Outside, answers: Answers) -> list[Json]:
    errors = [server.request(method, path, content=body) for method, path, body in ERRORS]
    discovery = server.request("GET", SERVICES)
    return [strict(each.content) for each in (discovery, *errors)] + [each.document for each in answers.all]


@row("GEN-01")
@pytest.mark.parametrize(
    "kind", ["application/xml", "text/xml", "application/x-www-form-urlencoded", "multipart/form-data"]
)
@pytest.mark.parametrize("path", [PLANNING, f"{PLANNING}/feedback"])
def test_what_is_not_declared_as_json_is_refused(server: Outside, kind: str, path: str) -> None:
    answer = server.call(path, b"<Patient/>", headers={"content-type": kind})
    assert answer.status_code == 415
    assert outcome_of(answer)


@row("GEN-01")
@pytest.mark.parametrize("body", [b"<Patient/>", b"hook=patient-view", b"", b"{'hook': 'patient-view'}"])
def test_a_body_that_is_no_json_is_refused(server: Outside, body: bytes) -> None:
    assert server.call(PLANNING, body).status_code == 400


@row("GEN-01", "GEN-07")
def test_every_document_of_ours_is_strict_json(server: Outside, answers: Answers) -> None:
    assert len(_documents(server, answers)) > 100


@row("GEN-03")
def test_no_member_of_ours_is_null(server: Outside, answers: Answers) -> None:
    for document in _documents(server, answers):
        assert paths_where(document, lambda value: value is None) == []


@row("GEN-04")
def test_nothing_of_ours_is_empty_but_cards_and_services(server: Outside, answers: Answers) -> None:
    empty = {
        path for document in _documents(server, answers) for path in paths_where(document, lambda v: v in ("", [], {}))
    }
    assert empty <= {"cards", "services"}
    assert "cards" in empty


@row("GEN-05")
def test_a_card_without_optional_members_has_the_required_ones_only() -> None:
    card = Card(uuid="u", summary="s", indicator="info", source=Source(label="l"))
    (written,) = strict(encode_response([card], "d", (), None))["cards"]
    assert written == {"uuid": "u", "summary": "s", "indicator": "info", "source": {"label": "l"}}


@row("GEN-06")
@pytest.mark.parametrize("blank", ["", " ", "\t\n", "\u00a0"])
def test_a_blank_required_text_is_never_sent(blank: str) -> None:
    for card in (
        Card(uuid="u", summary=blank, indicator="info", source=Source(label="l")),
        Card(uuid="u", summary="s", indicator="info", source=Source(label=blank)),
    ):
        with pytest.raises(CardError):
            check_card(card)


@row("GEN-06")
def test_no_text_of_ours_is_blank(server: Outside, answers: Answers) -> None:
    for document in _documents(server, answers):
        assert paths_where(document, lambda value: isinstance(value, str) and not value.strip()) == []


@row("GEN-06", "REQ-03")
@pytest.mark.parametrize("place", ["hookInstance", "context.userId", "context.patientId"])
def test_a_blank_required_text_is_not_taken(server: Outside, place: str) -> None:
    request = request_for(PLANNING, "patient-view", "infant", AS_OF)
    holder, _, name = place.rpartition(".")
    (request[holder] if holder else request)[name] = "  "
    assert server.call(PLANNING, request).status_code == 400


@row("GEN-08", "ACT-04")
def test_a_draft_comes_back_with_everything_it_carried(server: Outside) -> None:
    request = request_for(ORDERS, "order-select", "ckd3b-metformin", AS_OF, "metformin-renewal-2000")
    carried: Json = {
        "_authoredOn": {"extension": [{"url": "http://example.org/precision", "valueCode": "day"}]},
        "extension": [{"url": "http://example.org/x", "valueDecimal": 1.25}],
        "note": [{"text": "nach dem Essen 🍽"}],
        "priority": "routine",
        "vendorOwn": {"a": [1, "2", True]},
    }
    draft = request["context"]["draftOrders"]["entry"][0]["resource"]
    draft.update(copy.deepcopy(carried))
    cards = server.call(ORDERS, request).json()["cards"]
    updates = [
        action["resource"]
        for card in cards
        for suggestion in card["suggestions"]
        for action in suggestion["actions"]
        if action["type"] == "update"
    ]
    assert updates
    for resource in updates:
        assert {name: resource.get(name) for name in carried} == carried
        changed = {name for name in draft.keys() | resource.keys() if draft.get(name) != resource.get(name)}
        assert changed <= {"dosageInstruction", "dispenseRequest"}
        for path, value in walk(resource):
            assert value is not None, path


@row("GEN-10", "EXT-03", "REQ-10")
@pytest.mark.parametrize("place", ["", "context", "fhirAuthorization", "prefetch.patient", "extension"])
def test_members_that_are_not_known_change_nothing(server: Outside, place: str) -> None:
    request = request_for(PLANNING, "patient-view", "planning-talk", AS_OF)
    request["fhirServer"] = "http://127.0.0.1:9/fhir"
    request["fhirAuthorization"] = {
        "access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "user/*.read", "subject": "s",
    }  # fmt: skip
    request["extension"] = {"com.example.workflow": {"a": [1]}}
    holder: Json = request
    for step in filter(None, place.split(".")):
        holder = holder[step]
    holder |= {"com.example.added": {"deep": [1, {"x": None}]}, "addedText": "y", "addedNumber": 7}
    assert len(server.call(PLANNING, request).json()["cards"]) == 1


@row("GEN-10", "EXT-03")
def test_members_that_are_not_known_are_no_fault_of_feedback(server: Outside) -> None:
    item = {
        "card": "01a1f845-4e95-75a9-93e4-433f36c90100", "outcome": "overridden",
        "outcomeTimestamp": "2026-11-20T09:00:00Z", "added": {"x": [1]}, "extension": {"com.example.x": 1},
    }  # fmt: skip
    body = json.dumps({"feedback": [item], "added": 1, "extension": {"com.example.y": 2}}).encode()
    assert server.call(f"{PLANNING}/feedback", body).status_code == 200


@row("GEN-11")
@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=utf-8"]
)
@pytest.mark.parametrize("accept", [None, "*/*", "application/json"])
def test_json_is_taken_however_it_is_declared_and_answered_as_json(
    server: Outside, kind: str, accept: str | None
) -> None:
    headers = {"content-type": kind} | ({"accept": accept} if accept else {})
    answer = server.call(PLANNING, request_for(PLANNING, "patient-view", "infant", AS_OF), headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == "application/json"
    assert server.request("GET", SERVICES).headers["content-type"].partition(";")[0] == "application/json"
