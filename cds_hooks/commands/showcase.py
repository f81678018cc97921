"""What `cds-hooks run` shows: the cards of a sample patient and of a drafted order."""

from datetime import UTC, datetime
from time import monotonic, sleep

import httpx
from rich.console import Console

from cds_hooks.kit.samples import SHOWCASE_DRAFT, SHOWCASE_PATIENT, list_samples, load_draft, load_patient
from cds_hooks.kit.simulator.chart import Chart, resources_of
from cds_hooks.kit.simulator.request import build_request, drafts_for
from cds_hooks.kit.simulator.terminal import print_answer, print_error
from cds_hooks.settings import settings


def show(address: str) -> None:
    """Waits until the server at the address is ready, sends the sample calls and prints their cards."""
    console = Console()
    _wait_until_ready(address)
    console.print(f"Serving on {address} (development profile: this machine only, unsigned calls).")
    as_of = settings().as_of or datetime.now(UTC)
    with httpx.Client(base_url=address, timeout=30) as client:
        services = client.get("/cds-services").json()["services"]
        for hook, patient, draft in (("patient-view", SHOWCASE_PATIENT, None), _showcase_order()):
            chart = Chart(resources_of(load_patient(patient, as_of)))
            drafts = drafts_for(chart, resources_of(load_draft(draft, as_of))) if draft else []
            for entry in services:
                if entry["hook"] == hook:
                    _call(client, console, entry, chart, drafts)
    console.print(f"Try it yourself: {address}/try. More patients: cds-hooks samples. Stop with Ctrl-C.")


def _showcase_order() -> tuple[str, str, str]:
    patient = next(
        sample.id for sample in list_samples() if any(order.draft == SHOWCASE_DRAFT for order in sample.orders)
    )
    return "order-select", patient, SHOWCASE_DRAFT


def _call(
    client: httpx.Client, console: Console, entry: dict[str, str], chart: Chart, drafts: list[dict[str, object]]
) -> None:
    answer = client.post(f"/cds-services/{entry['id']}", json=build_request(entry, chart, drafts))
    title = f"{entry['hook']} → {entry['id']}"
    if answer.status_code == 200:
        print_answer(console, title, answer.json())
    else:
        print_error(console, title, answer.status_code, answer.json())


def _wait_until_ready(address: str, seconds: float = 60) -> None:
    end = monotonic() + seconds
    while monotonic() < end:
        try:
            if httpx.get(f"{address}/readyz", timeout=1).status_code == 200:
                return
        except httpx.HTTPError:
            sleep(0.05)
