"""The service `discharge-follow-up` on charts that the samples do not have."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fhir.resources.R4B.medicationrequest import MedicationRequest
from fhir.resources.R4B.servicerequest import ServiceRequest

from tests.cds_hooks.call.services.equation_calls import (
    NOW,
    added,
    answer,
    born,
    changed,
    only_card,
    reasons,
    said,
    service_request,
    visit_of,
)
from tests.cds_hooks.calls import client, ours, request_for
from tests.fhir import builders

HOME = ("discharge-follow-up", "going-home")


@pytest.mark.parametrize("years", [8, 17])
def test_the_scores_of_a_discharge_are_for_adults(server_here: str, years: int) -> None:
    silent = answer(server_here, *HOME, born(years))
    assert reasons(silent) == ["outside-population"]
    assert f"the patient is {years}" in said(silent)


@pytest.mark.parametrize("ward", ["Inpatient psychiatry", "Obstetrics and gynaecology", "Labor and delivery"])
def test_the_scores_of_a_discharge_are_for_medicine_and_surgery(server_here: str, ward: str) -> None:
    def on_that_ward(resource: dict[str, Any]) -> None:
        resource["serviceType"] = {"text": ward}

    assert reasons(answer(server_here, *HOME, changed("Encounter", on_that_ward))) == ["outside-population"]


def test_procedures_that_were_not_sent_are_not_none(server_here: str) -> None:
    def unsent(request: dict[str, Any]) -> None:
        del request["prefetch"]["procedures"]

    card = only_card(answer(server_here, *HOME, unsent))
    assert card["extension"]["org.cds-hooks-onnx"]["model"]["id"] == "lace"


def test_a_planned_visit_is_a_follow_up_and_a_planned_scan_is_none(server_here: str) -> None:
    ahead = (datetime.now(UTC) + timedelta(days=6)).date().isoformat()
    visit = visit_of("going-home", "Hospital follow-up visit", "planned", 0, period={"start": ahead})
    assert reasons(answer(server_here, *HOME, added("encounters", visit))) == ["already-done"]
    scan = service_request("going-home", "Follow-up CT chest", authoredOn=NOW.isoformat())
    assert only_card(answer(server_here, *HOME, added("tests", scan)))


# Medications at discharge: what goes home is judged, what is offered is an order of today for this encounter.
DISCHARGE = "discharge-medications"
METFORMIN = "ckd3b-metformin"

Change = Callable[[dict[str, Any]], None]


def _answer(folder: Path, as_of: datetime, sample: str = METFORMIN, change: Change | None = None) -> httpx.Response:
    request = request_for(DISCHARGE, "encounter-discharge", sample, as_of)
    if change is not None:
        change(request)

    async def call() -> httpx.Response:
        async with client(folder, as_of=as_of) as calls:
            return await calls.post(f"/cds-services/{DISCHARGE}", json=request)

    return asyncio.run(call())


def _orders(request: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in request["prefetch"]["medications"]["entry"]]


def _metformin(request: dict[str, Any]) -> dict[str, Any]:
    return next(order for order in _orders(request) if "metformin" in json.dumps(order) and order["status"] == "active")


def _reasons(answer: httpx.Response) -> set[tuple[str, str]]:
    return {(each["subject"], each["reason"]) for each in ours(answer).get("silence", [])}


def _nsaid(request: dict[str, Any], status: str = "active") -> None:
    order = _metformin(request)
    order["medicationCodeableConcept"] = {"text": "naproxen 500 MG Oral Tablet"}
    order["status"] = status
    order.pop("dosageInstruction")


def test_an_active_order_is_stopped_and_never_deleted(tmp_path: Path, as_of: datetime) -> None:
    def low(request: dict[str, Any]) -> None:
        _nsaid(request)
        for entry in request["prefetch"]["labs"]["entry"]:
            entry["resource"]["valueQuantity"]["value"] = 3.2

    (card,) = _answer(tmp_path, as_of, change=low).json()["cards"]
    actions = [each for suggestion in card["suggestions"] for each in suggestion["actions"]]
    assert {each["type"] for each in actions} == {"update", "create"}
    stopped = [each for each in actions if each["type"] == "update"]
    assert all(each["resource"]["status"] == "stopped" for each in stopped)
    assert all(each["description"].startswith("Stop naproxen") for each in stopped)
    assert "Cancel this order" not in json.dumps(card)
    for each in actions:
        (
            MedicationRequest if each["resource"]["resourceType"] == "MedicationRequest" else ServiceRequest
        ).model_validate(each["resource"])
    ordered = [each["resource"] for each in actions if each["type"] == "create"]
    assert all(
        each["category"][0]["coding"][0]["code"] == "discharge" for each in ordered if "medication" in json.dumps(each)
    )


def test_of_two_anticoagulants_the_one_by_mouth_goes_home(tmp_path: Path, as_of: datetime) -> None:
    def both(request: dict[str, Any]) -> None:
        order = _metformin(request)
        order["medicationCodeableConcept"] = {"text": "apixaban 5 mg tablet"}
        order["dosageInstruction"] = [{"text": "1 tablet twice daily"}]
        heparin = {**order, "id": "drip", "medicationCodeableConcept": {"text": "heparin 25000 units/250 mL infusion"}}
        heparin["dosageInstruction"] = [{"text": "1000 units/hour IV"}]
        request["prefetch"]["medications"]["entry"].insert(0, {"resource": heparin})

    card = next(card for card in _answer(tmp_path, as_of, change=both).json()["cards"] if "two anti" in card["summary"])
    assert {offer["label"] for offer in card["suggestions"] if "stop" in offer["label"].lower()} == {
        "Switch: stop heparin"
    }


def test_with_palliative_care_only_what_is_critical_is_told(tmp_path: Path, as_of: datetime) -> None:
    def comfort(request: dict[str, Any]) -> None:
        palliative, infarction = builders.problem("Palliative care"), builders.condition("I21.4", builders.ICD10)
        for problem in (palliative, infarction | {"onsetDateTime": as_of.isoformat()}):
            problem["subject"] = {"reference": f"Patient/{request['context']['patientId']}"}
            request["prefetch"]["conditions"]["entry"].append({"resource": problem})

    answer = _answer(tmp_path, as_of, change=comfort)
    assert answer.json()["cards"] == []
    assert "palliative" in {reason for _, reason in _reasons(answer)}


@pytest.mark.parametrize("category", [["inpatient"], "inpatient"])
def test_an_order_of_the_stay_only_is_not_judged_and_named(tmp_path: Path, as_of: datetime, category: Any) -> None:
    def inpatient(request: dict[str, Any]) -> None:
        concept = {"coding": [{"code": "inpatient"}]}
        # Epic sends one concept where R4 has a list
        _metformin(request)["category"] = [concept] if isinstance(category, list) else concept

    answer = _answer(tmp_path, as_of, change=inpatient)
    assert answer.json()["cards"] == []
    assert "inpatient-order" in {reason for _, reason in _reasons(answer)}


def test_no_orders_are_an_answer(tmp_path: Path, as_of: datetime) -> None:
    answer = _answer(tmp_path, as_of, change=lambda request: request["prefetch"].update(medications=None))
    assert answer.json()["cards"] == []
    assert ("medications", "nothing-to-judge") in _reasons(answer)


def test_the_dead_go_home_with_nothing(tmp_path: Path, as_of: datetime) -> None:
    answer = _answer(tmp_path, as_of, "deceased")
    assert answer.json()["cards"] == []
    assert _reasons(answer) == {("patient", "deceased")}


def test_a_discharge_has_an_encounter(tmp_path: Path, as_of: datetime) -> None:
    answer = _answer(tmp_path, as_of, change=lambda request: request["context"].pop("encounterId"))
    assert answer.status_code == 400
    assert "encounterId" in answer.text


def test_more_orders_than_anyone_takes_are_refused(tmp_path: Path, as_of: datetime) -> None:
    def many(request: dict[str, Any]) -> None:
        order = _metformin(request)
        entries = request["prefetch"]["medications"]["entry"]
        entries += [{"resource": order | {"id": f"copy-{number}"}} for number in range(250)]

    assert _answer(tmp_path, as_of, change=many).status_code == 413


@pytest.mark.parametrize("number", ["1e999", "[" * 600 + "]" * 600])
async def test_orders_that_cannot_be_given_back_are_judged_without_a_correction(
    tmp_path: Path, as_of: datetime, number: str
) -> None:
    request = request_for(DISCHARGE, "encounter-discharge", METFORMIN, as_of)
    _metformin(request)["instantiatesUri"] = ["here"]
    body = json.dumps(request).replace('"here"', number)
    async with client(tmp_path, as_of=as_of) as calls:
        headers = {"content-type": "application/json"}
        answer = await calls.post(f"/cds-services/{DISCHARGE}", content=body, headers=headers)
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        (card,) = answer.json()["cards"]
        actions = [each["type"] for suggestion in card.get("suggestions", ()) for each in suggestion["actions"]]
        assert set(actions) <= {"create", "update"}
