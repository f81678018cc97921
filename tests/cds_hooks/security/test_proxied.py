"""A call that a declared proxy sends again is answered from the record; every other copy of a call is refused."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from cds_hooks.kit.simulator.signing import new_key, sign_token
from cds_hooks.storage.queries import feedback_on, list_decisions
from tests.cds_hooks.calls import PLANNING, client, request_for
from tests.live import record_in

KEY = new_key("https://ehr.example")
PATH = f"/cds-services/{PLANNING}"
PUBLIC = "https://cds.example.org"
PROXIES = "127.0.0.1/32, 10.0.0.0/24"
_TRUST = f"""
version = 1

[[client]]
name = "ehr"
issuers = ["{KEY.issuer}"]
algorithms = ["ES384"]
jwks_file = "keys.json"
services = ["{PLANNING}"]
"""


async def test_a_refused_report_names_its_client_in_log_and_metrics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (f"{PATH}/feedback", "/outcomes"):
        (answer,) = await _send(tmp_path, [()], path, body=[7])
        assert answer.status_code == 400
        line = json.loads(capsys.readouterr().err.splitlines()[-1])
        assert (line["client"], line["reason"]) == ("ehr", "BadRequest")


async def _send(
    folder: Path, attempts: Sequence[tuple[str, ...]], path: str = PATH, proxies: str = PROXIES, *, body: object = None
) -> list[httpx.Response]:
    """The answers to one signed call that is sent once for each attempt, with these ids, each to another server."""
    (folder / "keys.json").write_text(json.dumps(KEY.key_set()))
    (folder / "trust.toml").write_text(_TRUST)
    token = ("authorization", f"Bearer {sign_token(KEY, PUBLIC + path)}")
    body = body or request_for(PLANNING, "patient-view", "planning-talk", datetime.now(UTC))
    answers = []
    for ids in attempts:
        settings = {"trust_file": folder / "trust.toml", "public_url": PUBLIC, "trusted_proxies": proxies}
        async with client(folder, **settings) as server:
            headers = [token, *(("x-request-id", call_id) for call_id in ids)]
            answers.append(await server.post(path, json=body, headers=headers))
    return answers


async def test_a_call_sent_again_to_the_next_server_gets_the_recorded_answer(tmp_path: Path) -> None:
    first, again = await _send(tmp_path, [("a1",), ("a1",)])
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.content == again.content
    assert len(list_decisions(record_in(tmp_path))) == 1


async def test_an_earlier_call_of_the_same_hook_instance_is_no_answer(tmp_path: Path) -> None:
    """Some clients keep one hookInstance while an order is changed; each of their calls has its own answer."""
    body = request_for(PLANNING, "patient-view", "planning-talk", datetime.now(UTC))
    (earlier,) = await _send(tmp_path, [("a1",)], body=body)
    (refused,) = await _send(tmp_path, [("a2",)], body={**body, "context": {}})
    first, again = await _send(tmp_path, [("a1",), ("a1",)], body=body)
    assert (refused.status_code, first.content == again.content) == (400, True)
    assert first.json()["extension"] != earlier.json()["extension"]


@pytest.mark.parametrize(
    "attempts",
    [
        [("a1",), ("a2",)],  # a copy of the call, to which the proxy gave an id of its own
        [("a1",), ()],
        [("a1",), ("",)],
        [("a1",), ("a1", "a1")],  # two ids are none
        [("a1",), ("x" * 300,)],
        [(), ("a1",)],
    ],
)
async def test_any_other_copy_of_a_call_is_refused_however_often_it_comes(
    tmp_path: Path, attempts: list[tuple[str, ...]]
) -> None:
    first, *copies = await _send(tmp_path, [*attempts, attempts[-1], attempts[-1]])
    assert [copy.status_code for copy in copies] == [401, 401, 401]
    assert len(list_decisions(record_in(tmp_path))) == 1
    assert first.status_code == 200


@pytest.mark.parametrize("proxies", ["", "10.0.0.0/24", "127.0.0.2/32"])
async def test_the_id_of_an_undeclared_proxy_is_worth_nothing(tmp_path: Path, proxies: str) -> None:
    _, again = await _send(tmp_path, [("a1",), ("a1",)], proxies=proxies)
    assert again.status_code == 401


async def test_a_call_that_was_not_answered_the_first_time_is_computed(tmp_path: Path) -> None:
    body = request_for(PLANNING, "patient-view", "planning-talk", datetime.now(UTC))
    del body["prefetch"]["patient"]
    first, again = await _send(tmp_path, [("a1",), ("a1",)], body=body)
    assert (first.status_code, again.status_code) == (412, 412)
    assert len(list_decisions(record_in(tmp_path))) == 2


async def test_feedback_sent_again_is_stored_once(tmp_path: Path) -> None:
    (answer,) = await _send(tmp_path, [()])
    card = answer.json()["cards"][0]["uuid"]
    report = {"feedback": [{"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-11-23T01:00:00Z"}]}
    answers = await _send(tmp_path, [("f1",), ("f1",), ("f2",)], f"{PATH}/feedback", body=report)
    assert [answer.status_code for answer in answers] == [200, 200, 401]
    decision = list_decisions(record_in(tmp_path))[0]
    assert len(feedback_on(record_in(tmp_path), decision.id)) == 1
