"""What a call does not bring is read from its FHIR server, over real HTTP, in every mood of that server."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.storage.queries import list_decisions
from tests.cds_hooks.calls import PLANNING, request_for
from tests.cds_hooks.prefetch.fetch_calls import TOKEN, at_server, facts_of, post, silences, without
from tests.fhir_charts import sample_chart, serving_fhir


@pytest.fixture
def planning(as_of: datetime) -> dict[str, Any]:
    """The whole request for a patient who gets a model card."""
    return request_for(PLANNING, "patient-view", "planning-talk", as_of)


def test_only_what_is_missing_is_asked_for(tmp_path: Path, as_of: datetime, planning: dict[str, Any]) -> None:
    request = without(planning, "conditions")
    request["prefetch"]["body"] = None
    with serving_fhir([sample_chart("planning-talk", as_of)]) as running:
        answer = post(tmp_path, PLANNING, at_server(request, running.base), as_of=as_of)
    assert running.queries == ["/Condition?patient=planning-talk"]
    assert silences(answer) == {}


def test_a_whole_prefetch_asks_for_nothing(tmp_path: Path, as_of: datetime, planning: dict[str, Any]) -> None:
    with serving_fhir([sample_chart("planning-talk", as_of)]) as running:
        assert len(post(tmp_path, PLANNING, at_server(planning, running.base), as_of=as_of).json()["cards"]) == 1
    assert running.log.requests == []


def test_what_failed_at_the_client_is_asked_for(tmp_path: Path, as_of: datetime, planning: dict[str, Any]) -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]}
    planning["prefetch"]["labs"] = outcome
    with serving_fhir([sample_chart("planning-talk", as_of)]) as running:
        answer = post(tmp_path, PLANNING, at_server(planning, running.base), as_of=as_of)
    assert running.types == ["Observation"]
    assert len(answer.json()["cards"]) == 1


@pytest.mark.parametrize(
    ("server", "token", "reason"),
    [
        (None, None, "no-server"),
        ("https://ehr.example/fhir", None, "not-allowed"),
        ("http://127.0.0.1:9/fhir", None, "unreachable"),
        ("https://ehr.example/fhir", TOKEN, "not-allowed"),
        ("http://169.254.169.254/latest", TOKEN, "not-allowed"),
        ("http://[::ffff:10.0.0.1]/fhir", TOKEN, "not-allowed"),
        ("http://127.0.0.1@ehr.example/fhir", TOKEN, "not-allowed"),
        ("http://127.0.0.1:9/fhir", "two words", "token"),
        ("http://127.0.0.1:9/fhir", TOKEN, "unreachable"),
    ],
)
def test_every_reason_for_not_asking_is_a_reason_of_its_own(
    tmp_path: Path, as_of: datetime, planning: dict[str, Any], server: str | None, token: str | None, reason: str
) -> None:
    request = without(planning, "conditions")
    answer = post(tmp_path, PLANNING, at_server(request, server, token) if server else request, as_of=as_of)
    assert silences(answer) == {"prefetch.conditions": reason}
    assert len(answer.json()["cards"]) == 1


def test_an_open_server_on_this_machine_is_read_without_a_token(
    tmp_path: Path, as_of: datetime, planning: dict[str, Any]
) -> None:
    with serving_fhir([sample_chart("planning-talk", as_of)]) as running:
        answer = post(tmp_path, PLANNING, at_server(without(planning), running.base, None), as_of=as_of)
    assert len(answer.json()["cards"]) == 1
    assert running.log.requests
    assert not any(asked.token for asked in running.log.requests)


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
    assert len(running.log.requests) == 11
    assert running.log.most_at_once == 11


def test_a_busy_server_is_asked_again(tmp_path: Path, as_of: datetime, planning: dict[str, Any]) -> None:
    chart = sample_chart("planning-talk", as_of)
    with serving_fhir([chart], mode="429", retry_after=0, failures=1) as running:
        answer = post(tmp_path, PLANNING, at_server(without(planning), running.base), as_of=as_of)
    assert len(answer.json()["cards"]) == 1
    assert len(running.log.requests) == 22


def _paged(planning: dict[str, Any], base: str, kept: int) -> dict[str, Any]:
    """The labs as a client sends the first page of them, with where the next is."""
    labs = planning["prefetch"]["labs"]
    link = [{"relation": "next", "url": f"{base}/Observation?patient=planning-talk&_sort=-date"}]
    return planning | {
        "prefetch": planning["prefetch"] | {"labs": labs | {"entry": labs["entry"][:kept], "link": link}}
    }


def test_a_paged_prefetch_is_continued(tmp_path: Path, as_of: datetime, planning: dict[str, Any]) -> None:
    whole = post(tmp_path, PLANNING, planning, as_of=as_of)
    with serving_fhir([sample_chart("planning-talk", as_of)], page_size=20) as running:
        request = at_server(_paged(planning, running.base, 2), running.base)
        answer = post(tmp_path, PLANNING, request, as_of=as_of)
    assert facts_of(answer) == facts_of(whole)
    assert silences(answer) == {}
    assert all(asked.token for asked in running.log.requests)


@pytest.mark.parametrize(("token", "reason"), [(TOKEN, "elsewhere"), (None, "elsewhere")])
def test_a_paged_prefetch_that_cannot_be_continued_is_a_part(
    tmp_path: Path, as_of: datetime, planning: dict[str, Any], token: str | None, reason: str
) -> None:
    with serving_fhir([sample_chart("planning-talk", as_of)]) as running:
        elsewhere = _paged(planning, "http://127.0.0.1:9/fhir", 12)
        answer = post(tmp_path, PLANNING, at_server(elsewhere, running.base, token), as_of=as_of)
    assert running.log.requests == []
    assert silences(answer)["prefetch.labs"] == "partial"
    assert _states(tmp_path)["labs"] == {"state": "given", "reason": "partial", "cause": reason}
    for card in answer.json()["cards"]:
        assert "**Not complete:** laboratory results (the EHR sent the first page only)." in card["detail"]


def test_a_search_whose_next_page_is_elsewhere_is_a_part(
    tmp_path: Path, as_of: datetime, planning: dict[str, Any]
) -> None:
    with serving_fhir([sample_chart("planning-talk", as_of)], mode="next-elsewhere", page_size=12) as running:
        answer = post(tmp_path, PLANNING, at_server(without(planning, "labs"), running.base), as_of=as_of)
    assert len(running.log.requests) == 1
    assert silences(answer)["prefetch.labs"] == "partial"
    recorded = _states(tmp_path)["labs"]
    assert (recorded["state"], recorded["reason"], recorded["cause"]) == ("fetched", "partial", "elsewhere")


def test_another_patients_data_from_the_server_stops_the_call(
    tmp_path: Path, as_of: datetime, planning: dict[str, Any]
) -> None:
    chart = sample_chart("planning-talk", as_of)
    lie = {"resourceType": "Condition", "id": "x", "subject": {"reference": "Patient/other"}}
    chart.resources.append(lie | {"patient": {"reference": "Patient/planning-talk"}})  # found by a server that errs
    with serving_fhir([chart]) as running:
        answer = post(tmp_path, PLANNING, at_server(without(planning, "conditions"), running.base), as_of=as_of)
    assert answer.status_code == 400
    assert "One Condition is about another patient than context.patientId" in answer.text
    assert "Patient/other" not in answer.text


def test_what_a_patient_without_anything_has_is_nothing(
    tmp_path: Path, as_of: datetime, planning: dict[str, Any]
) -> None:
    chart = sample_chart("planning-talk", as_of)
    chart.resources[:] = [each for each in chart.resources if each["resourceType"] == "Patient"]
    with serving_fhir([chart]) as running:
        answer = post(tmp_path, PLANNING, at_server(without(planning), running.base), as_of=as_of)
    assert answer.status_code == 200
    assert silences(answer) == {"mortality_5y": "too-few-inputs"}


def _states(folder: Path) -> dict[str, Any]:
    (decision, *_) = list_decisions(f"sqlite:///{folder}/decisions.sqlite3", limit=1)
    states: dict[str, Any] = json.loads(decision.basis)["prefetch"]
    return states
