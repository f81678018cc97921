"""What a call does not bring is read from its FHIR server, over real HTTP, in every mood of that server."""

import json
import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.tools.kit.simulator.chart import Chart
from cds_hooks.tools.kit.simulator.signing import new_key, sign_token
from tests.cds_hooks.call.prefetch.fetch_calls import TOKEN, at_server, post, silences, with_app, without
from tests.cds_hooks.calls import PLANNING, counted_request_for, request_for
from tests.each import each_row
from tests.fhir_charts import sample_chart, serving_fhir


@pytest.fixture
def planning(as_of: datetime) -> dict[str, Any]:
    """The whole request for a patient who gets a model card."""
    return request_for(PLANNING, "patient-view", "planning-talk", as_of)


@each_row(("server", "token", "reason"))
def test_every_reason_for_not_asking_is_a_reason_of_its_own(
    tmp_path: Path, as_of: datetime, planning: dict[str, Any], server: str | None, token: str | None, reason: str
) -> None:
    request = without(planning, "conditions")
    answer = post(tmp_path, PLANNING, at_server(request, server, token) if server else request, as_of=as_of)
    assert silences(answer) == {"prefetch.conditions": reason}
    assert len(answer.json()["cards"]) == 1


def test_a_server_that_does_not_know_the_patient_is_answered_412(
    tmp_path: Path, as_of: datetime, planning: dict[str, Any]
) -> None:
    with serving_fhir([sample_chart("healthy-adult", as_of)]) as running:
        answer = post(tmp_path, PLANNING, at_server(without(planning), running.base), as_of=as_of)
    assert answer.status_code == 412
    assert "no such patient" in answer.json()["issue"][0]["details"]["text"]


def test_everything_is_asked_for_at_the_same_time(tmp_path: Path, as_of: datetime, planning: dict[str, Any]) -> None:
    with serving_fhir([sample_chart("planning-talk", as_of)], mode="slow", delay_seconds=0.5) as running:
        answer = post(tmp_path, PLANNING, at_server(without(planning), running.base), as_of=as_of)
    assert len(answer.json()["cards"]) == 1
    assert len(running.log.requests) == 12
    assert running.log.most_at_once == 12


def test_a_busy_server_is_asked_again(tmp_path: Path, as_of: datetime, planning: dict[str, Any]) -> None:
    chart = sample_chart("planning-talk", as_of)
    with serving_fhir([chart], mode="429", retry_after=0, failures=1) as running:
        answer = post(tmp_path, PLANNING, at_server(without(planning), running.base), as_of=as_of)
    assert len(answer.json()["cards"]) == 1
    assert len(running.log.requests) == 24


def test_another_patients_data_from_the_server_stops_the_call(
    tmp_path: Path, as_of: datetime, planning: dict[str, Any]
) -> None:
    chart = sample_chart("planning-talk", as_of)
    lie = {"resourceType": "Condition", "id": "x", "subject": {"reference": "Patient/other"}}
    chart.resources.append(lie | {"patient": {"reference": "Patient/planning-talk"}})  # found by a server that errs
    with serving_fhir([chart]) as running:
        answer = post(tmp_path, PLANNING, at_server(without(planning, "conditions"), running.base), as_of=as_of)
    assert answer.status_code == 400
    assert "a Condition, is about another patient than context.patientId" in answer.text
    assert "Patient/other" not in answer.text


# Neither the token nor anything of the patient leaves by another door: logs, errors, metrics, record.
MODES = ("normal", "401", "403", "429", "garbage", "redirect", "next-elsewhere")


def test_no_canary_is_heard(
    tmp_path: Path, as_of: datetime, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    request = without(counted_request_for(PLANNING, "patient-view", "planning-talk", as_of), "labs", "conditions")
    sample = json.dumps(sample_chart("planning-talk", as_of).resources)
    chart = Chart(json.loads(sample.replace('planning-talk"', 'planning-talk-own"')))
    texts: list[str] = []

    async def call_all(calls: httpx.AsyncClient) -> None:
        for mode in MODES:
            with serving_fhir([chart], mode=mode, page_size=5) as running:
                answer = await calls.post(f"/cds-services/{PLANNING}", json=at_server(request, running.base))
                texts.append(answer.text)
                texts.extend(str(value) for value in answer.headers.values())
        texts.append((await calls.get("/metrics")).text)

    with_app(tmp_path, call_all, as_of=as_of, fetch_milliseconds=2000)
    logged = [
        record.getMessage() for record in caplog.records if record.name.startswith(("cds_hooks", "httpx", "httpcore"))
    ]
    out, err = capfd.readouterr()
    record = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert TOKEN.encode() not in record
    for text in (*texts, *logged, out, err):
        assert TOKEN not in text
    for text in (texts[-1], *logged, out, err):
        assert "planning-talk" not in text
    assert f'cds_prefetch_total{{client="anonymous",key="labs",service="{PLANNING}",state="fetched"}} 2.0' in texts[-1]
    assert 'cds_fetch_seconds_count{client="anonymous"' in texts[-1]


# With a trust file a client is read from where it is registered, within its own budgets, and nowhere else.
PATH = f"/cds-services/{PLANNING}"
TRUST = """\
version = 1

[[client]]
name = "Example"
issuers = ["https://ehr.example.org"]
jwks_file = "jwks.json"
fhir = [{base}]
fhir_client_id = "service"

[client.budgets]
fetch_milliseconds = {milliseconds}
max_pages = {pages}
"""


def _post(
    folder: Path, request: dict[str, Any], base: str, as_of: datetime, milliseconds: int = 20_000, pages: int = 20
) -> httpx.Response:
    key = new_key("https://ehr.example.org")
    (folder / "jwks.json").write_text(json.dumps(key.key_set()))
    (folder / "trust.toml").write_text(
        TRUST.format(base=base if base.startswith("{") else f'"{base}"', milliseconds=milliseconds, pages=pages)
    )
    headers = {"authorization": f"Bearer {sign_token(key, f'http://test{PATH}')}"}
    settings: dict[str, Any] = {"trust_file": folder / "trust.toml", "public_url": "http://test", "as_of": as_of}
    return with_app(folder, lambda calls: calls.post(PATH, json=request, headers=headers), **settings)


@pytest.fixture
def request_without_conditions(as_of: datetime) -> dict[str, Any]:
    """All but the problems of a patient who gets a model card."""
    return without(request_for(PLANNING, "patient-view", "planning-talk", as_of), "conditions")


def test_an_open_server_is_read_without_a_token_where_the_file_says_so(
    tmp_path: Path, as_of: datetime, request_without_conditions: dict[str, Any]
) -> None:
    with serving_fhir([sample_chart("planning-talk", as_of)]) as running:
        request = at_server(request_without_conditions, running.base, None)
        closed = _post(tmp_path, request, running.base, as_of)
        opened = _post(tmp_path, request, f'{{ url = "{running.base}", open = true }}', as_of)
    assert silences(closed) == {"prefetch.conditions": "no-token"}
    assert silences(opened) == {}
    assert [asked.token for asked in running.log.requests] == [None] or not running.log.requests[0].token


def test_a_token_for_another_subject_is_not_used(
    tmp_path: Path, as_of: datetime, request_without_conditions: dict[str, Any]
) -> None:
    with serving_fhir([sample_chart("planning-talk", as_of)]) as running:
        request = at_server(request_without_conditions, running.base, subject="somebody")
        answer = _post(tmp_path, request, running.base, as_of)
    assert silences(answer) == {"prefetch.conditions": "not-allowed"}
    assert running.log.requests == []


def test_the_clients_own_budgets_hold(
    tmp_path: Path, as_of: datetime, request_without_conditions: dict[str, Any]
) -> None:
    chart = sample_chart("planning-talk", as_of)
    with serving_fhir([chart], mode="slow", delay_seconds=30) as running:
        request = at_server(request_without_conditions, running.base)
        answer = _post(tmp_path, request, running.base, as_of, milliseconds=200)
    assert silences(answer) == {"prefetch.conditions": "timeout"}
    with serving_fhir([chart], page_size=1) as running:
        request = at_server(request_without_conditions, running.base)
        answer = _post(tmp_path, request, running.base, as_of, pages=2)
    assert silences(answer) == {"prefetch.conditions": "partial"}
    assert len(running.log.requests) == 2
