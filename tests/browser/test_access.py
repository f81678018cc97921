"""Logging in with a real browser, by keyboard and by the site’s provider; the worklist as a person uses it."""

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect

from cds_hooks.evidence.storage.decision import Decision, new_decision_id
from cds_hooks.evidence.storage.opening import open_decision_log
from tests.browser.accessible import axe_faults
from tests.browser.conftest import running
from tests.cds_hooks.call.hold_back.test_budgets import budget_call
from tests.cds_hooks.call.services.equation_calls import NOW
from tests.cds_hooks.people.access.browsing import PASSWORD, entries, with_account
from tests.cds_hooks.people.access.provider import described, providing
from tests.cds_hooks.people.web.decisions import AS_OF
from tests.cds_hooks.people.worklist.test_worklist import decision
from tests.live import record_in

pytestmark = pytest.mark.slow

WIDTHS = (360, 700, 701, 1100, 1480, 1600)
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
_CUT_OFF = """() => [...document.querySelectorAll('body *')].filter(e => !e.closest('.vh, svg, .skip')
    && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 80))"""

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("login")


@pytest.fixture(scope="module")
def base_url(folder: Path) -> Iterator[str]:
    """A server with accounts, and some patients on its worklist."""
    hostile = msgspec.structs.replace(decision(HOSTILE, (HOSTILE,), percentile=97.0), id=new_decision_id())
    with ThreadPoolExecutor(1) as thread:  # Playwright's own event loop runs in this one
        thread.submit(asyncio.run, _keep_decision(folder, hostile)).result()
    with_account(folder, "cleo", "clinician")
    with_account(folder, "vera", "viewer")
    with_account(folder, "olga", "operator")
    with running(folder, login="accounts", as_of=NOW) as url:
        for patient in ("ckd-uacr", "other-patient"):
            answer = httpx.post(f"{url}/cds-services/liver-assessment", json=_asking(patient))
            assert answer.status_code == 200, answer.text
            assert answer.json()["cards"] == []
        yield url


async def _keep_decision(folder: Path, one: Decision) -> None:
    log = open_decision_log(record_in(folder))
    await log.append(one)
    await log.close()


def _asking(patient: str) -> dict[str, Any]:
    """A call outside a visit, in which a test is found missing."""
    request = budget_call("liver-assessment")
    request["context"].pop("encounterId", None)
    for key in ("encounters", "visits"):
        request["prefetch"].pop(key, None)
    request["prefetch"]["encounters"] = {"resourceType": "Bundle", "type": "searchset", "entry": []}
    request["hookInstance"] = f"instance-{abs(hash(patient))}"
    if patient != "ckd-uacr":
        request["context"]["patientId"] = patient
        request["prefetch"]["patient"]["id"] = patient
        for part in request["prefetch"].values():
            for entry in part.get("entry", ()) if isinstance(part, dict) else ():
                entry["resource"].get("subject", {})["reference"] = f"Patient/{patient}"
    return request


def _fill_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


@pytest.fixture
def logged_in(opened: Open, base_url: str) -> Open:
    """Opens an address after logging in as somebody."""

    def open_(path: str, name: str, *width: int, **options: Any) -> Page:
        page = opened(f"{base_url}{path}", *width, **options)
        expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
        _fill_in(page, name)
        return page

    return open_


def test_a_person_logs_in_with_the_keyboard_alone_sees_the_page_they_wanted_and_signs_out(
    opened: Open, base_url: str, folder: Path
) -> None:
    page = opened(f"{base_url}/worklist", java_script_enabled=False)
    assert page.evaluate("document.activeElement.id") == "name"
    page.keyboard.type("cleo")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Worklist")
    assert page.url == f"{base_url}/worklist"
    (cookie,) = [each for each in page.context.cookies() if each["name"] == "cds-session"]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["expires"]) == (True, "Lax", -1)
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Sign out":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    page.goto(f"{base_url}/worklist")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    assert ("account cleo", {"act": "out"}) in entries(folder, "login")


def test_the_navigation_has_what_the_role_may_open_and_nothing_else(logged_in: Open) -> None:
    of_everybody = ["Rules", "Models", "Documentation"]
    links = {
        "vera": of_everybody,
        "cleo": ["Worklist", *of_everybody],
        "olga": ["Try a service", "Rules", "Models", "Decisions", "Operations", "Documentation"],
    }
    for name, wanted in links.items():
        page = logged_in("/", name)
        found = page.get_by_role("navigation", name="Pages").get_by_role("link").all_inner_texts()
        assert found == wanted, name
        expect(page.get_by_role("link", name="start page")).to_be_visible()


def test_the_tester_sends_a_call_from_within_a_session(logged_in: Open) -> None:
    page = logged_in("/try", "olga")
    page.get_by_role("button", name="Build and send").click()
    expect(page.get_by_role("heading", name="The cards as an EHR draws them")).to_be_visible()


def test_a_clinician_finds_who_is_first_opens_why_and_takes_findings_off_and_puts_one_back(
    logged_in: Open, folder: Path
) -> None:
    page = logged_in("/worklist", "cleo")
    table = page.get_by_role("table", name="patients")
    expect(page.get_by_text("Complete blood count").first).to_be_visible()
    rows = table.get_by_role("row").count()
    assert rows >= 4, "a heading and three patients; the tester's call of another test may have put one more there"
    page.get_by_role("link", name="Why this was found about patient other-patient").click()
    expect(page.get_by_text("other-patient").first).to_be_visible()
    assert "/explain/" in page.url
    page.go_back()

    page.get_by_role("button", name="Done: Complete blood count, patient other-patient").click()
    expect(page.get_by_role("status")).to_contain_text("off the list until")
    expect(page.get_by_role("table", name="patients").get_by_role("row")).to_have_count(rows - 1)
    page.get_by_role("combobox", name="Snooze for: Complete blood count, patient ckd-uacr").select_option("30")
    page.get_by_role("button", name="Snooze: Complete blood count, patient ckd-uacr").click()
    off = page.get_by_role("table", name="Findings taken off the list")
    expect(off.get_by_role("row", name="ckd-uacr")).to_contain_text("Snoozed by account cleo")
    page.get_by_role("button", name="Put back: Complete blood count, patient other-patient").click()
    expect(page.get_by_role("button", name="Done: Complete blood count, patient other-patient")).to_be_visible()
    acts = [(actor, detail["act"]) for actor, detail in entries(folder, "worklist-act")]
    assert acts == [("account cleo", "done"), ("account cleo", "snooze"), ("account cleo", "back")]
    assert "other-patient" not in str(entries(folder, "worklist-act"))
    views = {detail["page"] for actor, detail in entries(folder, "page-view") if actor == "account cleo"}
    assert "/worklist" in views
    assert any(view.startswith("/explain/") for view in views)


def test_the_list_is_filtered(logged_in: Open) -> None:
    page = logged_in("/worklist", "cleo")
    page.get_by_label("Contains").fill("no such test")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("Nothing on the list fits this filter.")).to_be_visible()
    page.get_by_role("link", name="Show everything").click()
    expect(page.get_by_role("button", name="Done: Complete blood count, patient other-patient")).to_be_visible()


def test_a_hostile_patient_id_is_text(logged_in: Open) -> None:
    page = logged_in("/worklist", "cleo")
    assert page.get_by_text(HOSTILE).count() >= 1
    assert page.locator("img").count() == 0


def test_who_may_not_see_the_list_is_told_so(logged_in: Open) -> None:
    page = logged_in("/", "vera")
    answer = page.request.get(page.url.rstrip("/") + "/worklist", headers={"accept": "text/html"})
    assert answer.status == 403
    assert "Not for your role" in answer.text()
    assert "other-patient" not in answer.text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_login_and_worklist_are_accessible_and_fit_every_width(
    opened: Open, logged_in: Open, base_url: str, scheme: str
) -> None:
    login = opened(f"{base_url}/login", color_scheme=scheme)
    work = logged_in("/worklist", "cleo", color_scheme=scheme)
    for name, page in (("login", login), ("worklist", work)):
        assert axe_faults(page) == []
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert page.evaluate(_CUT_OFF) == []
            _keep(page, f"{name}-{scheme}-{width}")


def _keep(page: Page, name: str) -> None:
    """A picture to look at, where CDS_PICTURES of the tests names a folder."""
    pictures = os.environ.get("PICTURES_OF_TESTS")
    if pictures:
        page.screenshot(path=f"{pictures}/{name}.png", full_page=True)


def test_a_person_of_the_site_logs_in_at_the_provider(browser: Browser, tmp_path: Path) -> None:
    """The browser goes to another origin and comes back; the cookie of the session has to survive that."""
    with (
        providing("") as provider,
        running(
            tmp_path, login="oidc", as_of=AS_OF, oidc_file=described(tmp_path, provider, {"cds-ops": "operator"})
        ) as url,
    ):
        provider.client.redirect = f"{url}/login/back"
        page = browser.new_context().new_page()
        page.goto(f"{url}/models/mortality_5y")
        page.get_by_role("link", name="Log in with your account of the site").click()
        expect(page.get_by_text("Pat Site")).to_be_visible()
        assert page.url == f"{url}/models/mortality_5y"
        page.context.close()
