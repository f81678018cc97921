"""`python -m benchmarks.burden`: how many cards the services of patient-view show when real charts are opened.

Every chart of `<data>/fhir` is opened once, with all services of patient-view asked in one moment, as an EHR asks them.
A chart ends today: it is moved by whole days. It is opened in three ways: without a visit (somebody looks into it), in
its own newest visit, and in an ambulatory visit that goes on and has no type.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import httpx
import typer

from benchmarks.subject import WrongAnswer
from cds_hooks.app import create_app
from cds_hooks.kit.simulator.chart import Chart, Resource, last_event, move_dates, read_chart
from cds_hooks.kit.simulator.request import build_request
from cds_hooks.services import find_services
from cds_hooks.settings import Settings

_HOOK = "patient-view"
_WAYS = ("looked into", "newest visit", "visit that goes on")
_CLASSES = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def opened(chart: Chart, way: str, now: datetime) -> tuple[list[Resource], str | None]:
    """The chart moved so that it ends today, and the id of the visit in which it is opened."""
    last = last_event(chart.resources)
    days = (now - timedelta(minutes=10) - last) // timedelta(days=1) if last else 0
    resources: list[Resource] = move_dates(chart.resources, days)
    if way == "visit that goes on":
        visit = {
            "resourceType": "Encounter",
            "id": "visit-now",
            "status": "in-progress",
            "class": {"system": _CLASSES, "code": "AMB"},
            "subject": {"reference": f"Patient/{chart.patient['id']}"},
            "period": {"start": now.date().isoformat()},
        }
        return [*resources, visit], "visit-now"
    visits = [resource for resource in resources if resource["resourceType"] == "Encounter"]
    if way == "looked into" or not visits:
        return resources, None
    return resources, str(max(visits, key=lambda visit: str((visit.get("period") or {}).get("start")))["id"])


async def cards_of(
    client: httpx.AsyncClient, resources: list[Resource], visit: str | None, today: datetime, only: str = ""
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
        if answer.status_code != httpx.codes.OK:
            raise WrongAnswer(f"{service} was answered {answer.status_code}: {answer.text[:500]}")
        return service, answer.json()["cards"]

    entries = [
        (service.id, entry)
        for service in find_services().values()
        for entry in service.discovery()
        if entry["hook"] == _HOOK and only in ("", service.id)
    ]
    return dict(await asyncio.gather(*(ask(service, entry) for service, entry in entries)))


async def measure(charts: list[Chart], way: str, now: datetime, only: str, *, show: bool, window: float) -> None:
    """Prints the cards a chart by service, and the share of charts that are silent."""
    counts: Counter[str] = Counter()
    silent = 0
    with tempfile.TemporaryDirectory(prefix="cds-burden-") as folder:
        configured = Settings(
            database_url=f"sqlite:///{Path(folder) / 'decisions.sqlite3'}",
            log_level="error",
            as_of=now,
            visit_window=window,
        )
        transport = httpx.ASGITransport(app=create_app(configured))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            for chart in charts:
                resources, visit = opened(chart, way, now)
                answers = await cards_of(client, resources, visit, now, only)
                counts.update({service: len(cards) for service, cards in answers.items()})
                silent += not any(answers.values())
                for service, cards in answers.items() if show else ():
                    for card in cards:
                        print(f"{chart.patient['id']}\t{service}\t{card['summary']}")
    print(f"{way}: {silent} of {len(charts)} charts silent, {sum(counts.values()) / len(charts):.2f} cards a chart")
    for service, number in counts.most_common():
        print(f"  {service:28} {number:4} {number / len(charts):.2f}")


def main(
    folder: Annotated[Path | None, typer.Option(help="A folder of charts; default: <data>/fhir.")] = None,
    service: Annotated[str, typer.Option(help="Ask this service only; default: all.")] = "",
    way: Annotated[str, typer.Option(help="Open the charts in this way only; default: in all.")] = "",
    window: Annotated[float, typer.Option(help="CDS_VISIT_WINDOW: seconds that a reminder waits.")] = 0.0,
    show: Annotated[bool, typer.Option(help="Print every card.")] = False,
) -> None:
    """Counts the cards when charts are opened without a visit, in their newest visit, and in one that goes on."""
    root = folder or Settings().data_dir / "fhir"
    charts = [read_chart(file) for file in sorted(root.rglob("*.json.gz")) if "perf" not in file.parts]
    now = datetime.now(UTC).replace(microsecond=0)
    for opened_in in (way,) if way else _WAYS:
        asyncio.run(measure(charts, opened_in, now, service, show=show, window=window))


if __name__ == "__main__":
    typer.run(main)
