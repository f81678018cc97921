"""What holds for every service that is found, whoever wrote it: its declaration, and each card that it sends.

A new service is checked here without a line of its own.
"""

import asyncio
import json
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import structs

from cards.card import Card, CardError, Source, check_card
from cds_hooks.kit.samples.loader import list_samples
from cds_hooks.kit.simulator.chart import ChartError
from cds_hooks.protocol.body import encode_response
from cds_hooks.services import Service, find_services, planning_conversation
from fhir.record.record import PatientRecord
from tests.cds_hooks.calls import client, ours, request_for

SERVICES = find_services()
CALLS = [(service.id, hook) for service in SERVICES.values() for hook in service.hooks]
ORDER_HOOKS = ("order-select", "order-sign")


def requests_of(service: str, hook: str, as_of: datetime) -> list[dict[str, Any]]:
    """One call for each sample patient; at the order hooks one for each draft of the sample."""
    found = []
    for sample in list_samples():
        for draft in [order.draft for order in sample.orders] if hook in ORDER_HOOKS else [None]:
            with suppress(ChartError):  # at a discharge: a patient without a stay
                found.append(request_for(service, hook, sample.id, as_of, draft))
    return found


def answers_to(requests: list[dict[str, Any]], service: str, folder: Path, as_of: datetime) -> list[httpx.Response]:
    """What one server answers to these calls, in their order."""

    async def call() -> list[httpx.Response]:
        async with client(folder, as_of=as_of) as calls:
            return [await calls.post(f"/cds-services/{service}", json=request) for request in requests]

    return asyncio.run(call())


@pytest.mark.slow
@pytest.mark.parametrize(("service", "hook"), CALLS)
def test_a_patient_or_a_related_person_is_shown_nothing(
    service: str, hook: str, tmp_path: Path, as_of: datetime
) -> None:
    """Not a card, not a worklist entry, and one reason, which tells nothing: the services are for clinicians."""
    for user in ("Patient/1", "RelatedPerson/2", "https://ehr.example/fhir/Patient/1", "patient/1"):
        requests = requests_of(service, hook, as_of)
        for request in requests:
            request["context"]["userId"] = user
        for answer in answers_to(requests, service, tmp_path, as_of):
            assert answer.json()["cards"] == []
            assert [silence["reason"] for silence in ours(answer)["silence"]] == ["not-for-this-user"]
            assert "worklist" not in ours(answer)


@pytest.mark.parametrize("user", ["Practitioner/1", "PractitionerRole/2", "https://ehr.example/fhir/Practitioner/1"])
def test_a_clinician_is_answered(user: str, tmp_path: Path, as_of: datetime) -> None:
    requests = requests_of(planning_conversation.SERVICE.id, "patient-view", as_of)
    for request in requests:
        request["context"]["userId"] = user
    answers = answers_to(requests, planning_conversation.SERVICE.id, tmp_path, as_of)
    assert any(answer.json()["cards"] for answer in answers)
    assert not any("not-for-this-user" in answer.text for answer in answers)


@pytest.mark.parametrize(("service", "hook"), CALLS)
def test_no_resources_are_read_that_the_service_does_not_name_in_its_needs(
    service: str, hook: str, tmp_path: Path, as_of: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not asked for is empty in every call, and would look like "none on record"."""
    read = set[str]()
    facts = PatientRecord._facts

    def noted(record: PatientRecord, kind: type[Any]) -> Any:
        read.add(kind.__name__)
        return facts(record, kind)

    monkeypatch.setattr(PatientRecord, "_facts", noted)
    answers_to(requests_of(service, hook, as_of), service, tmp_path, as_of)
    # Consents and flags are asked for by a setting of the site. Medications given out and reports of studies add to
    # what is known where a client sends them; services that cannot do without them ask for them.
    read_where_sent = {"Consent", "Flag", "MedicationDispense", "MedicationAdministration", "DiagnosticReport"}
    if service == "statin-discussion":  # a delivery ends a pregnancy; without it no statin is suggested for longer
        read_where_sent.add("Procedure")
    assert read - read_where_sent <= {*SERVICES[service].needs.resources, "Observation", "Medication"}


@pytest.mark.parametrize(("service", "hook"), CALLS)
def test_every_card_keeps_the_specification_and_every_silence_has_a_reason(
    service: str, hook: str, tmp_path: Path, as_of: datetime
) -> None:
    answers = answers_to(requests_of(service, hook, as_of), service, tmp_path, as_of)
    assert {answer.status_code for answer in answers} <= {200, 412}
    answered = [answer for answer in answers if answer.status_code == 200]
    assert answered
    for answer in answered:
        for card in answer.json()["cards"]:
            check_card(msgspec.convert(card, Card))
        if not answer.json()["cards"] and not answer.json().get("systemActions"):
            silences = ours(answer)["silence"]
            assert silences
            assert all(each["reason"] and each["text"] for each in silences)


@pytest.mark.parametrize(("service", "hook"), CALLS)
def test_the_same_call_has_the_same_answer_whatever_was_asked_before(
    service: str, hook: str, tmp_path: Path, as_of: datetime
) -> None:
    requests = requests_of(service, hook, as_of)[:6]

    def call(these: list[dict[str, Any]]) -> list[Any]:
        return [without_ids(answer.json()) for answer in answers_to(these, service, tmp_path, as_of)]

    assert call(requests) == call(requests[::-1])[::-1]


def without_ids(answer: Any) -> Any:
    """The answer without the identifiers that are new in every call."""
    if isinstance(answer, dict):
        return {name: without_ids(value) for name, value in answer.items() if name not in ("uuid", "decision", "id")}
    if isinstance(answer, list):
        return [without_ids(each) for each in answer]
    return answer.partition("/explain/")[0] if isinstance(answer, str) else answer


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_a_service_says_who_it_is_for_and_asks_for_the_patient_first(service: Service) -> None:
    assert service.title
    assert service.description.endswith(".")
    assert service.usage_requirements
    assert service.templates[0].key == "patient"


def test_a_card_that_a_service_built_wrong_does_not_leave(
    tmp_path: Path, as_of: datetime, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The check is at the wire: nothing in the service itself refuses the card."""
    built = planning_conversation._card
    monkeypatch.setattr(
        planning_conversation,
        "_card",
        lambda *given: structs.replace(built(*given), summary="too long " * 20, source=Source(label=" ")),
    )

    async def call() -> Any:
        async with client(tmp_path, as_of=as_of) as calls:
            body = request_for("planning-conversation", "patient-view", "planning-talk", as_of)
            return await calls.post("/cds-services/planning-conversation", json=body)

    answer = asyncio.run(call())
    assert answer.status_code == 500
    assert "too long" not in answer.text
    line = next(json.loads(each) for each in capfd.readouterr().err.splitlines() if "call failed" in each)
    assert (line["error_type"], line["module"], line["function"]) == ("CardError", "cards.card", "check_card")
    assert line["decision"] in answer.json()["issue"][0]["diagnostics"]


def test_the_response_is_not_encoded_with_a_card_that_breaks_the_specification() -> None:
    card = Card(uuid="u", summary="s", indicator="info", source=Source(label=" "))
    with pytest.raises(CardError, match="SRC-01"):
        encode_response([card], "decision", [], None)
