"""Coverage requirements at the order: the given cases, look-alikes, and what the protocol and CRD ask."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx

from cards.coverage.policy import load_policies
from cds_hooks.call.security.trust import TrustedClient
from cds_hooks.call.services import Service
from cds_hooks.call.services.coverage_requirements import ADVISOR
from fhir.terminology.analytes import ANALYTES
from tests.cds_hooks.call.services.coverage_calls import (
    COPD,
    LISTED,
    OPEN,
    SERVICE,
    Json,
    answer_of,
    ask,
    bundle,
    chart,
    concept,
    coverage,
    decided,
    entry_for,
    extensions_of,
    order,
    patient,
    reasons_of,
    request_of,
    saturation,
    visit,
)
from tests.cds_hooks.calls import client

DECLARED = Service.of(ADVISOR)


def test_every_hook_has_its_address_and_its_configuration_options(tmp_path: Path) -> None:
    entries = DECLARED.discovery()
    assert {entry["hook"] for entry in entries} == {
        "order-sign", "order-select", "order-dispatch", "appointment-book", "encounter-start", "encounter-discharge",
    }  # fmt: skip
    assert len({entry["id"] for entry in entries}) == 6
    for entry in entries:
        options = entry["extension"]["davinci-crd.configuration-options"]
        assert [option["code"] for option in options] == [
            "coverage-info", "claim", "guideline", "therapy-alternatives-opt", "insurance",
        ]  # fmt: skip
        for option in options:
            assert option["type"] == "boolean"
            assert option["name"]
            assert option["description"]
            assert option["default"] is True
        for name in ("code", "name", "description"):
            assert len({option[name] for option in options}) == len(options)


def _codes_of(test: Mapping[str, Any]) -> Iterator[str]:
    """Return the LOINC codes that a test reads."""
    ((name, wanted),) = test.items()
    if name in ("any", "all"):
        for part in wanted:
            yield from _codes_of(part)
    elif name == "not":
        yield from _codes_of(wanted)
    elif name == "observation":
        yield from wanted.get("loinc", ())


def test_the_service_asks_for_every_code_that_criteria_read() -> None:
    rules = load_policies()
    read = {code for group in rules.criteria.values() for one in group.criteria for code in _codes_of(one.test)}
    asked = DECLARED.needs.lab_codes | {code for name in DECLARED.needs.analytes for code in ANALYTES[name].loinc}
    assert read <= asked


def test_a_client_without_system_actions_gets_a_card_that_writes_the_note(tmp_path: Path) -> None:
    (response,) = asyncio.run(
        ask(tmp_path, {"knee": ([order("L5856")], chart())}, settings={"protocol_version": "1.1"})
    ).values()
    assert "systemActions" not in response
    card = next(card for card in response["cards"] if card["source"]["topic"]["code"] == "coverage-info")
    (action,) = card["suggestions"][0]["actions"]
    assert card["suggestions"][0]["uuid"]
    assert decided(action["resource"]["extension"][0]) == LISTED


def test_options_switch_each_kind_off_and_what_is_not_known_is_ignored(tmp_path: Path) -> None:
    def configured(**options: Any) -> Json:
        extension = {"davinci-crd.configuration": options}
        (response,) = asyncio.run(
            ask(_new(tmp_path), {"x": ([order("E1390")], chart(COPD))}, extension=extension)
        ).values()
        return response

    def kinds(response: Json) -> set[str]:
        topics = {card["source"]["topic"]["code"] for card in response["cards"]}
        return topics | ({"coverage-info"} if "systemActions" in response else set())

    assert kinds(configured()) == {"coverage-info", "claim", "guideline"}
    assert kinds(configured(claim=False)) == {"coverage-info", "guideline"}
    assert kinds(configured(guideline=False, claim=False)) == {"coverage-info"}
    assert kinds(configured(**{"coverage-info": False})) == {"claim", "guideline"}
    assert kinds(configured(claim="no", cost=False, nonsense={"a": 1})) == {"coverage-info", "claim", "guideline"}


def _new(folder: Path) -> Path:
    path = folder / f"server-{len(list(folder.iterdir()))}"
    path.mkdir()
    return path


def test_cards_name_their_order_and_say_where_the_rule_stands(tmp_path: Path) -> None:
    response = asyncio.run(ask(tmp_path, {"x": ([order("E1390"), order("L5856")], chart(COPD))}))["x"]
    for card in response["cards"]:
        (reference,) = card["extension"]["davinci-associated-resource"]
        assert reference.removeprefix("DeviceRequest/order-").upper() in card["detail"]
        assert "DeviceRequest" not in card["detail"]
        assert card["indicator"] == "info"
        assert card["source"]["label"] == "Medicare"
    documents = [card for card in response["cards"] if card["source"]["topic"]["code"] == "guideline"]
    assert documents
    assert all(link["type"] == "absolute" for card in documents for link in card["links"])
    steps = [card for card in response["cards"] if card["source"]["topic"]["code"] == "claim"]
    assert any("blood gas or oxygen saturation" in card["detail"] for card in steps)


def test_at_early_hooks_nothing_is_said_of_documents(tmp_path: Path) -> None:
    response = asyncio.run(ask(tmp_path, {"x": ([order("L5856")], chart())}, hook="order-select"))["x"]
    assert answer_of(response) == {"covered": "conditional", "pa-needed": "performpa"}
    assert response["cards"] == []


def test_an_answer_that_still_holds_is_not_sent_again_and_a_new_one_takes_its_place(tmp_path: Path) -> None:
    pool = chart(COPD, saturation(87), visit())
    first = asyncio.run(ask(_new(tmp_path), {"x": ([order("E1390")], pool)}))["x"]
    annotated = first["systemActions"][0]["resource"]
    again = asyncio.run(ask(_new(tmp_path), {"x": ([annotated], pool)}, date(2026, 11, 23)))["x"]
    assert "systemActions" not in again
    assert "unchanged" in reasons_of(again)
    (note,) = annotated["extension"]
    (identity,) = (part["valueString"] for part in note["extension"] if part["url"] == "coverage-assertion-id")
    assert f"The answer {identity} on the order still holds" in str(again)
    nameless = [part for part in note["extension"] if part["url"] != "coverage-assertion-id"]
    without_id = annotated | {"extension": [note | {"extension": nameless}]}
    unnamed = asyncio.run(ask(_new(tmp_path), {"x": ([without_id], pool)}))["x"]
    assert "The answer ? on the order still holds" in str(unnamed)
    changed = asyncio.run(ask(_new(tmp_path), {"x": ([annotated], chart(COPD, saturation(93), visit()))}))["x"]
    assert answer_of(changed) == OPEN
    assert len(extensions_of(changed)["DeviceRequest/order-e1390"]) == 1


def test_two_coverages_have_two_answers_with_ids_of_their_own(tmp_path: Path) -> None:
    second = coverage("cov2", "Sample Advantage Plan (invented)", "x")
    mri = order("72148", insurance=[{"reference": "Coverage/cov1"}, {"reference": "Coverage/cov2"}])
    response = asyncio.run(ask(tmp_path, {"x": ([mri], chart(second))}))["x"]
    (extensions,) = extensions_of(response).values()
    assert [decided(extension)["pa-needed"] for extension in extensions] == ["no-auth", "auth-needed"]
    ids = [
        part["valueString"] for one in extensions for part in one["extension"] if part["url"] == "coverage-assertion-id"
    ]
    assert len(set(ids)) == 2


async def test_a_dispatched_order_an_appointment_and_the_orders_of_a_visit_are_answered(tmp_path: Path) -> None:
    responses = []
    async with client(tmp_path, as_of=datetime(2026, 11, 20, 12, tzinfo=UTC)) as calls:
        signed = order("L5856", status="active", encounter={"reference": "Encounter/e1"})
        appointment = {
            "resourceType": "Appointment", "id": "a1", "status": "proposed", "start": "2026-11-25T10:00:00Z",
            "end": "2026-11-25T11:00:00Z", "serviceType": [concept("http://www.ama-assn.org/go/cpt", "93798")],
            "participant": [{"actor": {"reference": "Patient/p"}, "status": "accepted"}],
        }  # fmt: skip
        for hook, context in (
            ("order-dispatch", {"dispatchedOrders": ["DeviceRequest/order-l5856"], "performer": "Organization/1"}),
            ("appointment-book", {"userId": "Practitioner/dr1", "appointments": bundle([appointment])}),
            ("encounter-discharge", {"userId": "Practitioner/dr1", "encounterId": "e1"}),
        ):
            entry = await entry_for(calls, hook)
            request = request_of(entry, [], chart(signed)) | {"context": {"patientId": "p"} | context}
            answer = await calls.post(f"/cds-services/{entry['id']}", json=request)
            assert answer.status_code == 200, answer.text
            responses.append(answer.json())
    dispatched, booked, discharged = responses
    assert answer_of(dispatched) == LISTED
    assert answer_of(booked) == OPEN
    assert answer_of(discharged) == {"covered": "conditional", "pa-needed": "performpa"}


def test_nothing_is_answered_about_another_patient_or_without_a_coverage(tmp_path: Path) -> None:
    async def call(orders: Iterable[Json], pool: Iterable[Json]) -> httpx.Response:
        async with client(_new(tmp_path), as_of=datetime(2026, 11, 20, 12, tzinfo=UTC)) as calls:
            entry = await entry_for(calls)
            return await calls.post(f"/cds-services/{entry['id']}", json=request_of(entry, orders, pool))

    foreign = order("L5856", subject={"reference": "Patient/other"})
    assert asyncio.run(call([foreign], chart())).status_code == 400
    none = asyncio.run(call([order("L5856")], [patient()]))
    assert "systemActions" not in none.json()
    assert "no-coverage" in reasons_of(none.json())
    unknown = asyncio.run(call([order("L5856")], chart(payer=coverage(payor="Another Health Plan", plan="Gold"))))
    assert "no-rules-for-payer" in reasons_of(unknown.json())


def test_a_client_of_the_trust_file_has_the_service_only_where_it_is_named() -> None:
    assert TrustedClient("development").may_call({SERVICE})
    assert not TrustedClient("ehr", issuers=frozenset({"x"})).may_call({SERVICE})
    assert TrustedClient("ehr", issuers=frozenset({"x"})).may_call({"order-safety"})
    assert TrustedClient("payer", issuers=frozenset({"x"}), services=frozenset({SERVICE})).may_call({SERVICE})
