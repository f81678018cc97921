"""Charts as a user of an EHR opens them: without a visit, in their newest visit, and in one that goes on."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx

from cds_hooks.call.services import find_services
from cds_hooks.tools.kit.simulator.chart import Chart, Resource, last_event, move_dates
from cds_hooks.tools.kit.simulator.request import build_request

_CLASSES = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def opened(chart: Chart, way: str, now: datetime) -> tuple[list[Resource], str | None]:
    """The chart moved so that it ends today, and the id of the visit in which it is opened."""
    last = last_event(chart.resources)
    days = (now - timedelta(minutes=10) - last) // timedelta(days=1) if last else 0
    resources: list[Resource] = move_dates(chart.resources, days)
    if way == "visit that goes on":
        visit = {
            "resourceType": "Encounter", "id": "visit-now", "status": "in-progress",
            "class": {"system": _CLASSES, "code": "AMB"}, "subject": {"reference": f"Patient/{chart.patient['id']}"},
            "period": {"start": now.date().isoformat()},
        }  # fmt: skip
        return [*resources, visit], "visit-now"
    visits = [resource for resource in resources if resource["resourceType"] == "Encounter"]
    if way == "looked into" or not visits:
        return resources, None
    return resources, str(max(visits, key=lambda visit: str((visit.get("period") or {}).get("start")))["id"])


async def cards_of(
    client: httpx.AsyncClient, resources: list[Resource], visit: str | None, today: datetime
) -> dict[str, Any]:
    """The cards of every service of patient-view for one opened chart, all asked in one moment."""
    instance = str(uuid4())
    chart = Chart(resources)

    async def ask(service: str, entry: dict[str, Any]) -> tuple[str, Any]:
        request = build_request(entry, chart, [], today=today.date())
        request["hookInstance"] = instance
        if visit is not None:
            request["context"]["encounterId"] = visit
        answer = await client.post(f"/cds-services/{entry['id']}", json=request)
        while answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:  # the machine is busy with something else
            await asyncio.sleep(1)
            answer = await client.post(f"/cds-services/{entry['id']}", json=request)
        assert answer.status_code == httpx.codes.OK, f"{service}: {answer.text[:500]}"
        return service, answer.json()["cards"]

    entries = [
        (service.id, entry)
        for service in find_services(file="separate").values()
        for entry in service.discovery()
        if entry["hook"] == "patient-view"
    ]
    return dict(await asyncio.gather(*(ask(service, entry) for service, entry in entries)))
