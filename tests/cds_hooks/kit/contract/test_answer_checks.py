"""What the kit finds in one answer, whatever it was the answer to: each status, body and patient by itself."""

import json
from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from cds_hooks.kit.contract.checks import answers
from cds_hooks.kit.contract.connection import Exchange, Purpose
from cds_hooks.kit.contract.document import NotTested
from cds_hooks.kit.contract.registry import Check, Scope, all_checks
from tests.cds_hooks.kit.contract.test_answers import said
from tests.each import for_rows

Json = dict[str, Any]
CHECKS = [check for check in all_checks() if check.subject is Scope.EXCHANGE]
OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "x"}]}


def answer(status: int, document: Any = None, **changes: Any) -> Exchange:
    """An answer to a call about the patient pat-1."""
    members: Json = {
        "title": "a call", "purpose": Purpose.CALL, "broken": False, "method": "POST", "path": "/s", "status": status,
        "headers": {"content-type": "application/json"}, "seconds": 0.1, "patient": "pat-1",
        "body": document if isinstance(document, bytes) else json.dumps(document).encode(),
    }  # fmt: skip
    return Exchange(**(members | changes))


def faults(exchange: Exchange) -> dict[str, list[tuple[str, str]]]:
    """Every check of answers that finds something in this one, with sentences and places."""
    everything = {check.name: _places(check, exchange) for check in CHECKS}
    return {name: places for name, places in everything.items() if places}


def _places(check: Check, exchange: Exchange) -> list[tuple[str, str]]:
    try:
        return [(fault.message, fault.location) for fault in check.run(exchange)]
    except NotTested:
        return []


def untested(exchange: Exchange) -> dict[str, str]:
    """Every check that this answer says nothing about, with the reason."""
    words = {check.name: said(check.run(exchange)) for check in CHECKS}
    start = "not tested: "
    return {name: line[0].removeprefix(start) for name, line in words.items() if line and line[0].startswith(start)}


CARD: Json = {"uuid": "u", "summary": "s", "source": {"label": "l", "url": "https://a.example/about"}}
STRANGE = "the resource is about another patient than context.patientId"
NO_UUID = "card without uuid: no feedback will come"


@for_rows(
    ("exchange", "found"),
    [
        (answer(200, {"cards": []}), {}),
        (answer(200, {"cards": [CARD]}), {}),
        (answer(412, OUTCOME), {}),
        (answer(400, OUTCOME, broken=True), {}),
        (answer(0, b"", failure="timed out"), {"every_call_gets_an_answer": [("no answer (timed out)", "")]}),
        (answer(200, {"cards": {}}),
         {"a_conformant_call_is_answered_with_200": [("answered 200 without a cards array", "")]}),
        (answer(204, b""),
         {"a_conformant_call_is_answered_with_200": [("answered 204 without a cards array", "")],
          "nothing_to_say_is_said_with_200": [("answered 204 with an empty body", "")]}),
        (answer(200, b" \n"),
         {"a_conformant_call_is_answered_with_200": [("answered 200 without a cards array", "")],
          "nothing_to_say_is_said_with_200": [("answered 200 with an empty body", "")],
          "an_answer_is_strict_json": [("no JSON: Expecting value: line 2 column 1 (char 2)", "")]}),
        (answer(200, b'{"cards": [], "cards": [], "b": 1, "b": 2}'),
         {"no_member_stands_twice": [("twice: b, cards", "")]}),
        (answer(200, {"cards": []}, headers={"content-type": "text/html"}),
         {"an_answer_is_declared_as_json": [("content-type is text/html", "")]}),
        (answer(200, {"cards": []}, headers={"content-type": 'Application/JSON; charset="UTF-8"'}), {}),
        (answer(412, OUTCOME, broken=True), {"a_mistake_of_the_client_is_not_412": [("answered 412", "")]}),
        (answer(418, OUTCOME), {"a_status_is_one_that_http_defines": [("answered 418", "")]}),
        (answer(499, OUTCOME, purpose=Purpose.FEEDBACK), {"a_status_is_one_that_http_defines": [("answered 499", "")]}),
        (answer(499, OUTCOME, purpose=Purpose.OTHER), {}),
        (answer(500, OUTCOME, broken=True), {"a_mistake_of_the_client_is_a_4xx": [("answered 500", "")]}),
        (answer(501, OUTCOME, broken=True), {}),
        (answer(500, OUTCOME, purpose=Purpose.FEEDBACK),
         {"a_conformant_request_is_not_failed_on": [("answered 500", "")]}),
        (answer(500, OUTCOME, purpose=Purpose.DISCOVERY), {}),
        (answer(400, b"no", broken=True),
         {"an_error_carries_an_operation_outcome": [("answered 400 without an OperationOutcome", "")]}),
        (answer(400, OUTCOME | {"issue": []}, broken=True),
         {"an_error_carries_an_operation_outcome": [("answered 400 without an OperationOutcome", "")]}),
        (answer(404, OUTCOME | {"resourceType": "Bundle"}, purpose=Purpose.FEEDBACK),
         {"an_error_carries_an_operation_outcome": [("answered 404 without an OperationOutcome", "")]}),
        (answer(404, b"no", purpose=Purpose.OTHER), {}),
        (answer(400, OUTCOME | {"issue": [*OUTCOME["issue"], {"severity": "error"}]}, broken=True),
         {"an_error_carries_an_operation_outcome": [("an issue lacks severity or code", "")]}),
        (answer(400, OUTCOME | {"issue": ["wrong"]}, broken=True),
         {"an_error_carries_an_operation_outcome": [("an issue lacks severity or code", "")]}),
        (answer(400, OUTCOME | {"text": 'File "/app/x.py", line 5'}, broken=True, purpose=Purpose.OTHER),
         {"an_error_does_not_tell_where_it_was_made": [("the error holds a stack trace", "")]}),
        (answer(400, b'File "/app/x.py", line 5', broken=True, purpose=Purpose.OTHER),
         {"an_error_does_not_tell_where_it_was_made": [("the error holds a stack trace", "")]}),
        (answer(400, OUTCOME | {"text": "no Patient/pat-1 here"}, broken=True),
         {"an_error_does_not_name_the_patient": [("the error holds the patient's id", "")]}),
        (answer(400, OUTCOME | {"text": "no Patient/pat-12, pat-1-a or x-pat-1 here"}, broken=True), {}),
        (answer(400, OUTCOME | {"text": "no pat here"}, broken=True, patient="pat"), {}),
        (answer(400, OUTCOME | {"text": "no pat4 here"}, broken=True, patient="pat4"),
         {"an_error_does_not_name_the_patient": [("the error holds the patient's id", "")]}),
        (answer(200, {"cards": [CARD, {"summary": "s"}, "card"]}), {"a_card_has_a_uuid": [(NO_UUID, "cards[1]")]}),
        (answer(200, {"cards": [CARD, CARD | {"source": {"label": "l", "url": "https://a.example/?p=pat%2D1"}}]}),
         {"a_source_does_not_point_at_the_patient": [("source.url holds the patient's id", "cards[1].source.url")]}),
        (answer(200, {"cards": [CARD | {"links": [{"url": "https://a.example"}, {"url": "https://a.example/pat-1"}]}]}),
         {"a_link_does_not_carry_the_patient": [("the URL holds the patient's id", "cards[0].links[1].url")]}),
    ],
)  # fmt: skip
def test_what_is_found_in_one_answer(exchange: Exchange, found: dict[str, list[tuple[str, str]]]) -> None:
    assert faults(exchange) == found


def acting(*actions: Json, **changes: Any) -> Exchange:
    """An answer with these actions of a suggestion."""
    return answer(200, {"cards": [CARD | {"suggestions": [{"label": "l", "actions": list(actions)}]}]}, **changes)


def test_what_is_ordered_is_for_the_patient_of_the_call() -> None:
    name = "what_is_ordered_is_for_this_patient"
    first = "cards[0].suggestions[0].actions[0]"
    for member in ("subject", "patient", "beneficiary", "for"):
        for reference in ("Patient/pat-1", "https://a.example/fhir/Patient/pat-1/_history/2", "Group/2", "#p", "pat-2"):
            assert faults(acting({"resource": {member: {"reference": reference}}})) == {}
        for reference in ("Patient/pat-2", "https://a.example/Patient/pat-2", "Patient/pat-2/_history/pat-1"):
            exchange = acting({"resource": {member: {"reference": reference}}})
            assert faults(exchange) == {name: [(STRANGE, f"{first}.resource")]}
    held = {"contained": [{"subject": {"reference": "Patient/pat-1"}}, {"for": {"reference": "Patient/pat-2"}}]}
    assert faults(acting({"resource": held})) == {name: [(STRANGE, f"{first}.resource.contained[1]")]}
    assert faults(acting({"resourceId": "Patient/pat-2"})) == {name: [("the action is on another patient", first)]}
    assert faults(acting({"resourceId": "Patient/pat-1"}, {"resourceId": "Task/pat-2"})) == {}
    assert faults(acting({"resourceId": "Patient/pat-2"}, patient="")) == {}
    assert untested(acting({"resourceId": "Patient/pat-2"}, broken=True))[name] == "no action was seen"
    assert untested(answer(200, {"cards": [CARD]}))[name] == "no action was seen"


def _timed(*seconds: float, status: int = 200) -> Any:
    calls = [SimpleNamespace(exchange=answer(status, {"cards": []}, seconds=each), sent={}) for each in seconds]
    again = iter(seconds[:1] * 3)
    return SimpleNamespace(calls=calls, as_new=dict, send=lambda *_: answer(status, {"cards": []}, seconds=next(again)))


@for_rows(
    ("seconds", "words"),
    [
        ((9.0, 0.5), []),
        ((9.0, 0.51), ["95th percentile 510 ms, median 510 ms over 1 calls"]),
        ((9.0, *[0.1] * 19, 0.6), ["95th percentile 600 ms, median 100 ms over 20 calls"]),
        ((9.0, *[0.1] * 39, 0.6), []),
        ((9.0, 0.7, 0.2, 0.4, 0.3), ["95th percentile 700 ms, median 400 ms over 4 calls"]),
        ((0.2,), []),
        ((0.8,), ["95th percentile 800 ms, median 800 ms over 3 calls"]),
        ((), ["not tested: too few calls were answered to judge their time"]),
    ],
)
def test_calls_are_timed_after_the_first(seconds: tuple[float, ...], words: list[str]) -> None:
    assert said(answers.calls_are_answered_within_500_ms(_timed(*seconds))) == words


def _at_once(*answered: Exchange, calls: int = 2, first: tuple[str, ...] = ("0", "1")) -> list[str]:
    """What is found where the calls were answered with these cards first, and with these answers afterwards."""
    coming = iter(answered)
    made = [
        SimpleNamespace(about=str(number), sent=number, exchange=answer(200, {"cards": [{"summary": words}]}))
        for number, words in zip(range(calls), first, strict=False)
    ]
    service: Any = SimpleNamespace(calls=made, hook="h", send=lambda *_: next(coming))
    return said(answers.calls_at_once_do_not_mix(service))


def test_calls_at_once_get_the_answers_that_they_get_alone() -> None:
    zero, one = (answer(200, {"cards": [{"summary": words}]}) for words in "01")
    assert _at_once(zero, one, zero, one, zero, one) == []
    assert _at_once(zero, one, zero, one, zero, zero) == ["the answer differs from that to the same call made alone"]
    assert _at_once(zero, one, answer(500), one, zero, one) == ["answered 500"]
    assert _at_once(zero, zero) == [
        "not tested: the same call, made twice one after the other, is answered with different words"
    ]
    assert _at_once(calls=1) == ["not tested: fewer than two calls were answered"]


@pytest.mark.parametrize(
    ("alone", "clock", "words"),
    [
        ((0.099, 0.5), (), ["not tested: calls are answered too quickly to see whether they wait for each other"]),
        ((0.5, 0.1), (0.0, 0.33), []),
        ((0.1, 0.1), (0.0, 0.34, 1.0, 1.33), []),
        ((0.1, 0.1), (0.0, 0.34, 1.0, 1.35), ["4 calls at once took 0.4 s, one alone 0.1 s"]),
    ],
)
def test_four_calls_at_once_do_not_take_four_times_as_long(
    alone: tuple[float, ...], clock: tuple[float, ...], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds, ticks = iter([*alone, *[9.0] * 8]), iter(clock)
    monkeypatch.setattr(answers, "perf_counter", lambda: next(ticks))
    service: Any = SimpleNamespace(request=dict, as_new=dict, send=lambda *_: answer(200, seconds=next(seconds)))
    assert said(answers.calls_at_once_are_computed_side_by_side(service)) == words


def _beside(error: Exception | None, status: int) -> list[str]:
    def held_open(path: str) -> AbstractContextManager[None]:
        assert path == "/s"
        if error is not None:
            raise error
        return nullcontext()

    connection = SimpleNamespace(held_open=held_open)
    exchange = answer(status, b"", failure="timed out")
    service: Any = SimpleNamespace(request=dict, connection=connection, path="/s", send=lambda *_: exchange)
    return said(answers.one_caller_does_not_hold_up_the_others(service))


def test_a_call_is_answered_while_another_is_half_sent() -> None:
    assert _beside(None, 200) == _beside(None, 500) == []
    assert _beside(None, 0) == ["no answer (timed out) while another call was only half sent"]
    assert _beside(OSError("refused"), 200) == ["not tested: no second connection could be made: refused"]


def test_an_action_is_on_what_the_call_brought() -> None:
    sent = {"prefetch": {"a": {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Task", "id": "1"}}]}}}

    def judged(*actions: Json) -> list[str]:
        service: Any = SimpleNamespace(id="s", calls=[SimpleNamespace(sent=sent, exchange=acting(*actions))])
        return said(answers.an_action_is_on_something_that_the_client_has(service))

    nothing = ["not tested: s updates and deletes nothing"]
    task = {"resourceType": "Task", "id": "1"}
    assert judged() == judged({"type": "create", "resource": task}) == judged({"type": "delete"}) == nothing
    assert judged({"type": "update"}) == nothing
    assert judged({"type": "update", "resource": task}, {"type": "delete", "resourceId": "Task/1"}) == []
    assert judged({"type": "update", "resource": task | {"id": "2"}}, {"type": "delete", "resourceId": "Task/2"}) == [
        "update of what the call did not bring",
        "delete of what the call did not bring",
    ]
    assert judged({"type": "delete", "resource": task, "resourceId": "Bundle/"}) == [
        "delete of what the call did not bring"
    ]
