"""Logging in with a real browser, by keyboard and by the site’s provider; the worklist as a person uses it."""

import asyncio
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
from tests.browser.conftest import running
from tests.browser.looking import assert_nothing_is_cut_off, axe_faults, tab_to
from tests.cds_hooks.call.hold_back.test_budgets import budget_call
from tests.cds_hooks.call.services.equation_calls import NOW
from tests.cds_hooks.people.access.browsing import PASSWORD, entries, with_account
from tests.cds_hooks.people.access.provider import described, providing
from tests.cds_hooks.people.web.decisions import AS_OF
from tests.cds_hooks.people.worklist.test_worklist import decision
from tests.live import record_in

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"

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
    tab_to(page, "Sign out")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    page.goto(f"{base_url}/worklist")
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    assert ("account cleo", {"act": "out"}) in entries(folder, "login")


def test_a_clinician_finds_who_is_first_opens_why_and_takes_findings_off_and_puts_one_back(
    logged_in: Open, folder: Path
) -> None:
    page = logged_in("/worklist", "cleo")
    table = page.get_by_role("table", name="patients")
    expect(page.get_by_text("Complete blood count").first).to_be_visible()
    assert page.get_by_text(HOSTILE).count() >= 1
    assert page.locator("img").count() == 0
    assert axe_faults(page) == []
    assert_nothing_is_cut_off(page, "worklist")
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
