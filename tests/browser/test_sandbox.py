"""The public sandbox of CDS Hooks, a client that is not ours, works with this server; docs/testers.md says how."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from cds_hooks.call.services import find_services
from cds_hooks.evidence.storage.decision import FeedbackItem
from cds_hooks.evidence.storage.queries import feedback_on
from tests.cds_hooks.people.web.decisions import AS_OF
from tests.live import serving
from tests.recorded import list_decisions

PATIENTS = ("sample:planning-talk", "sample:nsaid-egfr-25", "sample:healthy-adult")
NAPROXEN, NAPROXEN_CODE = "Naproxen 500 MG Oral Tablet", "198014"
_LOADS = 60_000  # milliseconds: five megabytes of script on a busy machine

pytestmark = pytest.mark.slow

Opened = Callable[..., Page]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    """The address of the built sandbox, whose folder CDS_SANDBOX_DIR names."""
    folder = Path(os.environ.get("CDS_SANDBOX_DIR") or "nowhere")
    if not (folder / "app.bundle.js").is_file():
        pytest.skip("no built sandbox is here; set CDS_SANDBOX_DIR to the folder with its index.html and app.bundle.js")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(folder))) as files:
        thread = Thread(target=files.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{files.server_port}"
        files.shutdown()
        thread.join(10)


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the server works."""
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture(scope="module")
def server(record: Path) -> Iterator[str]:
    """A real server in the development profile."""
    with serving(record, CDS_AS_OF=AS_OF.isoformat()) as address:
        yield address


@pytest.fixture(scope="module")
def fhir() -> Iterator[str]:
    """The FHIR server of the sandbox's patients."""
    command = [sys.executable, "-m", "cds_hooks.tools.kit", "fhir-server", *PATIENTS, "--port", "0", "--browsers"]
    environment = os.environ | {"CDS_AS_OF": AS_OF.isoformat()}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        rest = Thread(target=process.stdout.read, daemon=True)  # it says each request; a full pipe would stop it
        rest.start()
        yield first.split(" on ")[1].split(": ")[0]
        process.terminate()
        rest.join(10)


@pytest.fixture
def opened(browser: Browser, sandbox: str, server: str, fhir: str) -> Iterator[Opened]:
    """Opens the sandbox with a patient on a screen of its; nothing but loopback is reached."""
    context = browser.new_context(viewport={"width": 1500, "height": 1400})

    def open_(patient: str, **more: str) -> Page:
        page = context.new_page()
        query = {"fhirServiceUrl": fhir, "patientId": patient, "serviceDiscoveryURL": f"{server}/cds-services"} | more
        page.goto(f"{sandbox}/?{urlencode(query)}")
        expect(page.get_by_text(patient, exact=False).first).to_be_visible(timeout=_LOADS)
        return page

    yield open_
    context.close()


def _feedback(record: Path) -> list[FeedbackItem]:
    url = f"sqlite:///{record}/decisions.sqlite3"
    return [item for decision in list_decisions(url, limit=1000) for item in feedback_on(url, decision.id)]


def _recorded(record: Path, page: Page, click: Locator) -> FeedbackItem:
    """What stands in the record after a click, once the sandbox has had its answer."""
    before = _feedback(record)
    with page.expect_response(lambda got: got.url.endswith("/feedback") and got.request.method == "POST") as got:
        click.click()
    assert got.value.status == 200
    (added,) = [item for item in _feedback(record) if item not in before]
    return added


def _drafted(page: Page, medication: str) -> None:
    """The sandbox's form with this medication in it."""
    page.locator('input[name="medication-input"]').fill(medication)
    page.get_by_role("button", name=medication, exact=True).click()


def test_our_services_are_discovered(opened: Opened, server: str) -> None:
    page = opened("healthy-adult")
    page.locator("header button").last.click()
    page.get_by_role("menuitem", name="Configure CDS Services").click()
    for service in find_services(file="separate"):
        expect(page.get_by_text(f"{server}/cds-services/{service}").first).to_be_visible()


def test_a_card_is_drawn_and_its_suggestion_is_accepted(opened: Opened, record: Path) -> None:
    page = opened("planning-talk")
    expect(page.get_by_text("people with results like these").first).to_be_visible(timeout=_LOADS)
    item = _recorded(record, page, page.get_by_role("button", name="Order a planning conversation", exact=True))
    assert item.outcome == "accepted"
    assert len(item.accepted_suggestions) == 1


def test_an_advised_change_of_a_drafted_order_is_accepted(opened: Opened, record: Path) -> None:
    """Before the card is dismissed below: what was overridden with a reason is not said again for a while."""
    page = opened("nsaid-egfr-25", hook="order-sign", screen="rx-sign")
    _drafted(page, NAPROXEN)
    page.get_by_role("button", name="Sign Order").click()
    dismiss = page.get_by_role("button", name="Dismiss", exact=True).first
    dismiss.wait_for(timeout=_LOADS)
    card = page.locator(".MuiCard-root", has=dismiss).first
    item = _recorded(record, page, card.locator("button.MuiButton-contained").first)
    assert item.outcome == "accepted"


@pytest.mark.parametrize("hook", ["order-select", "order-sign"])
def test_a_card_on_a_drafted_order_is_dismissed_with_a_reason(opened: Opened, record: Path, hook: str) -> None:
    page = opened("nsaid-egfr-25", hook=hook, screen={"order-select": "rx-view", "order-sign": "rx-sign"}[hook])
    _drafted(page, NAPROXEN)
    if hook == "order-sign":
        page.get_by_role("button", name="Sign Order").click()
    page.get_by_role("button", name="select dismiss reason").first.click()
    item = _recorded(record, page, page.get_by_role("menuitem").first)
    assert item.outcome == "overridden"
    assert item.override_reason_code


@pytest.fixture
def shaped(tmp_path: Path) -> Iterator[str]:
    """A server as docs/testers.md starts it for the sandbox, and its record in the folder of the test."""
    with serving(tmp_path, CDS_AS_OF=AS_OF.isoformat()) as address:
        yield address


def test_an_accepted_replacement_is_in_the_order_and_judged_anew_at_signing(
    opened: Opened, shaped: str, tmp_path: Path
) -> None:
    """Step 4 of docs/testers.md, as it is written there."""
    discovery = f"{shaped}/cds-services"
    page = opened("nsaid-egfr-25", hook="order-select", screen="rx-view", serviceDiscoveryURL=discovery)
    _drafted(page, NAPROXEN)
    dismiss = page.get_by_role("button", name="Dismiss", exact=True).first
    dismiss.wait_for(timeout=_LOADS)
    card = page.locator(".MuiCard-root", has=dismiss).first
    accept = card.locator("button.MuiButton-contained").first
    offered = accept.inner_text().lower().removeprefix("replace by ")
    item = _recorded(tmp_path, page, accept)
    assert item.outcome == "accepted"
    page.get_by_role("button", name="Rx Sign").click()
    with page.expect_response(lambda got: got.url.endswith("/order-safety-sign")) as got:
        page.get_by_role("button", name="Sign Order").click()
    assert got.value.status == 200
    sent: Any = got.value.request.post_data_json
    (entry,) = sent["context"]["draftOrders"]["entry"]
    drafted = entry["resource"]["medicationCodeableConcept"]
    assert drafted["text"].lower().startswith(offered)
    assert drafted["coding"][0]["code"] != NAPROXEN_CODE
    assert "naproxen" not in got.value.text().lower()
    newest = list_decisions(f"sqlite:///{tmp_path}/decisions.sqlite3", limit=1)[0]
    assert (newest.service, newest.hook, newest.outcome != "error") == ("order-safety", "order-sign", True)
