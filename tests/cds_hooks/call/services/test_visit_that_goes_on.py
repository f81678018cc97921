"""A visit from opening the chart to signing: no offer is warned of, and what signing forbids the review has said."""

import asyncio
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.call.services import find_services
from cds_hooks.tools.kit.simulator.fhir_search import prefetch_from
from tests.cds_hooks.call.services import invented_charts
from tests.cds_hooks.call.services.chart_cases import AS_OF, VISIT, as_call, text_of
from tests.cds_hooks.call.services.invented_charts import Chart
from tests.cds_hooks.calls import ORDERS, client

Json = dict[str, Any]
CHARTS = [chart for charts in invented_charts.CHARTS.values() for chart in charts]
HOOKS = ("patient-view", "encounter-discharge")
IN_HOSPITAL = {"dm2", "dm4"}
"""Stays: what is taken at home is not reviewed in them, and at discharge it is."""


async def _faults_of(folder: Path, charts: list[Chart]) -> list[str]:
    async with client(folder, as_of=AS_OF) as calls:
        return [fault for number, chart in enumerate(charts) for fault in await _visit(calls, number, chart)]


async def _visit(calls: httpx.AsyncClient, number: int, chart: Chart) -> list[str]:
    """Opens and discharges in all services, signs every order that they offer, and drafts again what is taken."""
    asked = [
        (service.id, hook)
        for service in find_services(file="separate").values()
        for hook in HOOKS
        if hook in service.hooks
    ]
    bodies = [as_call(service, hook, number, chart.resources) for service, hook in asked]
    services = [service for service, _ in asked]
    answers = await asyncio.gather(*(_cards(calls, *call) for call in zip(services, bodies, strict=True)))
    view = dict(zip(services, answers, strict=True))
    resources = [resource for body in bodies for resource in _resources(body["prefetch"])]
    pool = list({(resource["resourceType"], resource["id"]): resource for resource in resources}.values())
    faults = [
        f"{chart.id}: {service} offers {draft['code'] if 'code' in draft else draft['id']}, {hook}: {card['summary']}"
        for service, cards in view.items()
        for draft in _offered(cards)
        for hook in ("order-select", "order-sign")
        for card in await _cards(calls, f"{ORDERS}-{hook[6:]}", _ordering(hook, pool, draft))
    ]
    review = text_of({"cards": view["medication-review"]}).lower()
    for order in chart.resources if chart.id not in IN_HOSPITAL else ():
        if order["resourceType"] == "MedicationRequest" and order["status"] == "active":
            draft = {**order, "id": "again", "status": "draft", "authoredOn": AS_OF.isoformat()}
            cards = await _cards(calls, f"{ORDERS}-sign", _ordering("order-sign", pool, draft))
            critical = [card["summary"] for card in cards if card["indicator"] == "critical"]
            name = order["medicationCodeableConcept"]["text"].split()[0].lower()
            faults += [
                f"{chart.id}: signing says {summary}, the review nothing" for summary in critical if name not in review
            ]
    return faults


async def _cards(calls: httpx.AsyncClient, service: str, body: Json) -> list[Json]:
    answer = await calls.post(f"/cds-services/{service}", json=body)
    assert answer.status_code == httpx.codes.OK, answer.text
    cards: list[Json] = answer.json()["cards"]
    return cards


def _resources(prefetch: Json) -> list[Json]:
    bundles = (value for value in prefetch.values() if value)
    return [
        resource
        for bundle in bundles
        for resource in ([entry["resource"] for entry in bundle.get("entry", [])] if "entry" in bundle else [bundle])
        if resource["resourceType"] != "Bundle"
    ]


def _offered(cards: list[Json]) -> list[Json]:
    """The orders that the buttons of these cards make."""
    actions = (action for card in cards for offer in card.get("suggestions", []) for action in offer.get("actions", []))
    created = [deepcopy(action["resource"]) for action in actions if action["type"] == "create"]
    orders = [order for order in created if order["resourceType"] in ("MedicationRequest", "ServiceRequest")]
    return [{**order, "id": f"offer-{place}", "status": "draft"} for place, order in enumerate(orders)]


def _ordering(hook: str, pool: list[Json], draft: Json) -> Json:
    entry = next(entry for entry in find_services(file="separate")[ORDERS].discovery() if entry["hook"] == hook)
    patient = next(resource["id"] for resource in pool if resource["resourceType"] == "Patient")
    draft = {**draft, "subject": {"reference": f"Patient/{patient}"}}
    drafts = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": draft}]}
    context = {"userId": "Practitioner/dr1", "patientId": patient, "encounterId": VISIT, "draftOrders": drafts}
    if hook == "order-select":
        context["selections"] = [f"{draft['resourceType']}/{draft['id']}"]
    prefetch = prefetch_from(pool, entry["prefetch"], context, AS_OF.date())
    return {
        "hook": hook,
        "hookInstance": "00000000-0000-4000-9000-000000000001",
        "context": context,
        "prefetch": prefetch,
    }


_EVERY = 12
"""Each 96th chart is asked in `make test`; each fourth of the others in the slow tests."""


@pytest.mark.parametrize("is_quick", [pytest.param(False, marks=pytest.mark.slow), True])
def test_no_card_of_a_visit_contradicts_another(tmp_path: Path, is_quick: bool) -> None:
    charts = CHARTS[:: 8 * _EVERY] if is_quick else [*CHARTS[4::_EVERY], *CHARTS[8::_EVERY]]
    assert len(charts) > 3
    assert asyncio.run(_faults_of(tmp_path, charts)) == []
