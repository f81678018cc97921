"""RESP: the envelope of an answer, and HTTP status."""

import pytest

from tests.cds_hooks.calls import ORDERS, PLANNING, request_for
from tests.conformance.answers import AS_OF, Answers
from tests.conformance.conftest import Opened
from tests.conformance.outside import SERVICES, Json, Outside, outcome_of, strict
from tests.conformance.rows import row

VIEW = request_for(PLANNING, "patient-view", "planning-talk", AS_OF)


@row("RESP-01", "DISC-14")
def test_success_is_200_with_an_array_of_cards(answers: Answers) -> None:
    for each in answers.all:
        assert each.response.status_code == 200
        assert isinstance(each.document["cards"], list)


@row("RESP-02", "RESP-10", "SYS-01", "SYS-02", "SYS-04")
def test_no_answer_changes_anything_by_itself(answers: Answers) -> None:
    """System actions are for scenarios that were agreed, as CRD's note on an order; an empty list would be a breach."""
    acting = [answer for answer in answers.all if "systemActions" in answer.document]
    assert all(answer.document["systemActions"] for answer in acting)
    assert [answer.about for answer in acting if not answer.about.startswith("coverage-requirements-")] == []


@row("RESP-03")
def test_nothing_to_say_is_said_with_an_empty_array(answers: Answers) -> None:
    silent = [each for each in answers.all if not each.document["cards"]]
    assert silent
    assert all(each.response.content.startswith(b'{"cards":[]') for each in silent)


REFUSED: list[tuple[int, str, str, Json, dict[str, str]]] = [
    (400, "POST", PLANNING, {}, {}),
    (404, "POST", "nobody", VIEW, {}),
    (404, "POST", "nobody/feedback", {}, {}),
    (405, "GET", PLANNING, VIEW, {}),
    (405, "PUT", f"{PLANNING}/feedback", VIEW, {}),
    (412, "POST", PLANNING, VIEW | {"prefetch": {}}, {}),
    (415, "POST", PLANNING, VIEW, {"content-type": "text/xml"}),
    (415, "POST", PLANNING, VIEW, {"content-encoding": "gzip"}),
]


@row("RESP-04", "RESP-06")
@pytest.mark.parametrize(("status", "method", "path", "body", "headers"), REFUSED)
def test_a_refusal_has_its_status_and_an_operation_outcome(
    server: Outside, status: int, method: str, path: str, body: Json, headers: dict[str, str]
) -> None:
    headers = {"content-type": "application/json"} | headers
    answer = server.request(method, f"{SERVICES}/{path}", json=body, headers=headers)
    assert answer.status_code == status
    assert outcome_of(answer)["diagnostics"]
    assert "planning-talk" not in answer.text


@row("RESP-04", "RESP-06")
def test_a_body_that_is_too_large_is_413(opened: Opened) -> None:
    answer = opened(max_body_bytes=1024).call(PLANNING, VIEW)
    assert answer.status_code == 413
    assert outcome_of(answer)


@row("RESP-04", "RESP-06")
def test_without_a_record_there_is_no_advice_but_503(opened: Opened) -> None:
    server = opened()
    (server.folder / "decisions.sqlite3").unlink()
    answer = server.call(PLANNING, VIEW)
    assert answer.status_code == 503
    assert outcome_of(answer)


@row("RESP-04", "RESP-06")
def test_a_failure_of_ours_is_500_and_never_an_empty_list_of_cards(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("cds_hooks.call.services.planning_conversation.outlook_inputs", fail)
    answer = opened().call(PLANNING, request_for(PLANNING, "patient-view", "planning-talk", AS_OF))
    assert answer.status_code == 500
    assert outcome_of(answer)
    assert "cards" not in strict(answer.content)


@row("RESP-05", "PRE-13")
@pytest.mark.parametrize(
    ("prefetch", "status"),
    [
        ({}, 412),
        ({"patient": None}, 200),
        ({"patient": VIEW["prefetch"]["patient"]}, 412),
        ({"patient": VIEW["prefetch"]["patient"], "labs": None}, 200),
    ],
)
def test_412_is_for_data_that_was_not_sent_and_cannot_be_had(server: Outside, prefetch: Json, status: int) -> None:
    answer = server.call(PLANNING, VIEW | {"prefetch": prefetch})
    assert answer.status_code == status
    if status == 412:
        assert outcome_of(answer)["code"] == "required"
        assert outcome_of(answer)["expression"][0].startswith("prefetch.")


@row("RESP-05", "PRE-13")
def test_412_is_not_for_a_key_without_which_there_is_advice(server: Outside) -> None:
    request = request_for(ORDERS, "order-select", "ckd4-metformin", AS_OF, "metformin-ckd4-coded")
    for key in ("statements", "tests", "encounters"):
        del request["prefetch"][key]
    assert len(server.call(ORDERS, request).json()["cards"]) == 1
