"""An approver hands in what two people have signed: with the mouse, and with the keyboard alone without scripts."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import FileChooser, Page, expect

from cards.rules.engine.governance import all_rule_versions
from tests.browser.conftest import running
from tests.browser.looking import assert_nothing_is_cut_off, serious_faults, tab_to
from tests.cds_hooks.access.browsing import PASSWORD, entries, with_account
from tests.cds_hooks.hold_back.test_submission import RULE, Desk, _file
from tests.cds_hooks.pages.test_decisions import trust_file_in

pytestmark = pytest.mark.slow

Open = Callable[..., Page]
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("approvals")


@pytest.fixture(scope="module")
def desk(folder: Path) -> Desk:
    """The people of the site with their keys."""
    return Desk(folder)


@pytest.fixture(scope="module")
def base_url(folder: Path, desk: Desk) -> Iterator[str]:
    """A server behind a trust file, where approvals count."""
    with_account(folder, "vera", "approver")
    behind = {"trust_file": trust_file_in(folder), "people_file": desk.site.file, "as_of": datetime.now(UTC)}
    with running(folder, login="accounts", **behind) as url:
        yield url


def _signed(folder: Path, *acts: object) -> Path:
    """A file of signed acts, as `cds-hooks approve --out` writes it."""
    path = folder / f"signed-{len(list(folder.glob('signed-*')))}.json"
    path.write_text(_file(acts))  # type: ignore[arg-type]
    return path


def test_two_people_have_signed_a_rule_and_an_approver_hands_both_files_in(
    opened: Open, base_url: str, folder: Path, desk: Desk
) -> None:
    page = opened(f"{base_url}/approvals", 1100)
    page.get_by_label("Name").fill("vera")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Approvals", level=1)).to_be_visible()
    expect(page.get_by_text("Nothing was signed by one person alone.")).to_be_visible()
    page.get_by_label("File of signed acts").set_input_files(_signed(folder, desk.approval(note=HOSTILE)))
    page.get_by_role("button", name="Hand in").click()
    expect(page.get_by_text("Not in effect yet")).to_be_visible()
    table = page.get_by_role("table", name="to be signed by another person")
    expect(table).to_contain_text("Ann Lee (pharmacist)")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert serious_faults(page) == []
        assert_nothing_is_cut_off(page, f"approvals-{scheme}")
    page.get_by_label("File of signed acts").set_input_files(_signed(folder, desk.approval("Ben Ray")))
    page.get_by_role("button", name="Hand in").click()
    expect(page.get_by_text("It counts now")).to_be_visible()
    expect(page.get_by_text("Nothing was signed by one person alone.")).to_be_visible()
    page.goto(f"{base_url}/rules/{RULE}")
    for _ in range(100):  # the pages of this process have it within two seconds
        if page.get_by_text("Approved by two people").count():
            break
        page.wait_for_timeout(200)
        page.reload()
    expect(page.get_by_text("Approved by two people")).to_be_visible()
    expect(page.get_by_role("table", name="Signatures")).to_contain_text(HOSTILE)
    assert len(entries(folder, "approval")) == 2


def test_the_keyboard_alone_hands_a_wrong_file_in_and_reads_why_it_is_not_taken(
    opened: Open, base_url: str, folder: Path
) -> None:
    before = len(entries(folder, "approval"))
    page = opened(f"{base_url}/approvals", 360, java_script_enabled=False)
    chosen: list[FileChooser] = []
    # heard from the start: where Playwright asks for it only when the key is pressed, the event can come before it
    page.on("filechooser", lambda each: chosen.append(each))
    page.keyboard.type("vera")  # the page gives the focus to the name by itself
    tab_to(page, "Password")
    page.keyboard.type(PASSWORD)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    wrong = folder / "wrong.json"
    wrong.write_text(json.dumps({"format": "another", "acts": [HOSTILE]}))
    tab_to(page, "File of signed acts")
    page.keyboard.press("Space")
    for _ in range(300):
        if chosen:
            break
        page.wait_for_timeout(100)
    chosen[0].set_files(wrong)
    tab_to(page, "Hand in")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Nothing was recorded")
    expect(page.get_by_label("File of signed acts")).to_have_attribute("aria-invalid", "true")
    assert_nothing_is_cut_off(page, "approvals-refused")
    assert len(entries(folder, "approval")) == before
    assert all_rule_versions()[RULE].digest not in page.get_by_role("alert").inner_text()
