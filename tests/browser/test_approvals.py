"""Two people approve a rule with the mouse, and one switches it off with the keyboard alone without scripts."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import running
from tests.browser.looking import assert_nothing_is_cut_off, axe_faults, tab_to
from tests.cds_hooks.people.access.browsing import PASSWORD, entries, with_account
from tests.cds_hooks.people.governance.clicking import RULE, Desk
from tests.cds_hooks.people.pages.test_decisions import trust_file_in
from tests.live import record_in

pytestmark = pytest.mark.slow

Open = Callable[..., Page]
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("approvals")


@pytest.fixture(scope="module")
def base_url(folder: Path) -> Iterator[str]:
    """A server behind a trust file, where approvals count, with a pharmacist and an approver."""
    Desk(record_in(folder)).account("vera", "add", roles=["approver"])
    with_account(folder, "ann", "pharmacist")
    with_account(folder, "vera", "approver")
    behind = {"trust_file": trust_file_in(folder), "as_of": datetime.now(UTC)}
    with running(folder, login="accounts", **behind) as url:
        yield url


def _log_in(page: Page, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def test_two_people_approve_the_rule_that_they_have_read(opened: Open, base_url: str, folder: Path) -> None:
    page = opened(f"{base_url}/rules/{RULE}", 1100)
    _log_in(page, "ann")
    page.get_by_label("What you checked").fill(HOSTILE)
    page.get_by_role("button", name="Approve this version").click()
    expect(page.get_by_text("Not in effect yet")).to_be_visible()
    expect(page.get_by_role("table", name="to be done by another person")).to_contain_text(HOSTILE)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert axe_faults(page) == []
        assert_nothing_is_cut_off(page, f"approvals-{scheme}")
    page = opened(f"{base_url}/rules", 1100)
    _log_in(page, "vera")
    page.get_by_role("button", name="Approve it, too").click()
    expect(page.get_by_text("It counts now")).to_be_visible()
    expect(page.get_by_text("No act waits for a second person.")).to_be_visible()
    page.goto(f"{base_url}/rules/{RULE}")
    for _ in range(900):  # the pages of this process have it within two seconds
        if page.get_by_text("Approved by two people").count():
            break
        page.wait_for_timeout(200)
        page.reload()
    expect(page.get_by_text("Approved by two people")).to_be_visible()
    assert len(entries(folder, "approval")) == 2


def test_the_keyboard_alone_switches_a_rule_off(opened: Open, base_url: str, folder: Path) -> None:
    page = opened(f"{base_url}/rules/{RULE}", 360, java_script_enabled=False)
    page.keyboard.type("vera")  # the page gives the focus to the name by itself
    tab_to(page, "Password")
    page.keyboard.type(PASSWORD)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    tab_to(page, "Why")
    page.keyboard.type("label changed")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("It counts now")
    assert_nothing_is_cut_off(page, "approvals-off")
    assert [detail["state"] for _, detail in entries(folder, "release-act")] == ["off"]
