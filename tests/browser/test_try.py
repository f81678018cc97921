"""The tester's page in a browser: its main tasks as a person does them."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looking import assert_nothing_is_cut_off, axe_faults, tab_to

pytestmark = pytest.mark.slow

Open = Callable[..., Page]


@pytest.fixture
def tried(opened: Open, base_url: str) -> Open:
    """Opens the tester's page."""
    return lambda *width, **options: opened(f"{base_url}/try", *width, **options)


def _send(page: Page) -> None:
    page.get_by_role("button", name="Build and send").click()
    expect(page.get_by_role("heading", name="The cards as an EHR draws them")).to_be_visible()


def _order_naproxen(page: Page) -> None:
    page.locator("#patient").select_option("sample:nsaid-egfr-25")
    page.get_by_label("A drug or a test").fill("Naproxen 500 MG Oral Tablet")
    page.get_by_label("Its dose").fill("1 tablet twice a day")
    page.get_by_role("button", name="Add to drafts").click()
    expect(page.get_by_role("rowheader", name="naproxen 500 MG Oral Tablet")).to_be_visible()


def test_the_whole_task_is_done_with_the_keyboard_alone(tried: Open) -> None:
    """The first test: nobody has accepted anything yet."""
    page = tried()
    tab_to(page, "Patient")
    page.keyboard.type("Elderly woman, eGFR 25")
    tab_to(page, "A drug or a test")
    page.keyboard.type("Naproxen 500 MG Oral Tablet")
    tab_to(page, "Add to drafts")
    page.keyboard.press("Enter")
    expect(page.get_by_role("rowheader", name="naproxen 500 MG Oral Tablet")).to_be_visible()
    tab_to(page, "Send with these drafts")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article").first).to_contain_text("eGFR 25")
    tab_to(page, "(advised)")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article").first).to_contain_text("Accepted")


def test_a_sample_is_sent_and_its_card_is_seen_without_a_script(tried: Open) -> None:
    page = tried(java_script_enabled=False)
    page.locator("#patient").select_option("sample:planning-talk")
    page.locator("#call").select_option("patient-view/planning-conversation")
    _send(page)
    page.get_by_text("Times and the raw answer").click()
    card = page.get_by_role("article").first
    expect(card).to_contain_text("people with results like these")
    expect(page.get_by_role("table", name=re.compile("until the last byte"))).to_be_visible()
    expect(page.get_by_role("region", name="Answer of planning-conversation")).to_contain_text('"summary"')
    card.get_by_text("What it rests on").click()
    page.get_by_role("link", name="why, on record").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert "/explain/" in page.url


def test_a_draft_is_composed_accepted_and_called_again(tried: Open) -> None:
    page = tried()
    page.get_by_label("A drug or a test").fill("naproxen 500")
    page.get_by_role("button", name="Add to drafts").click()
    expect(page.get_by_role("button", name="naproxen 500 MG Oral Tablet", exact=True)).to_be_visible()
    _order_naproxen(page)
    _send(page)
    page.get_by_role("article").locator(".acts button").first.click()
    expect(page.get_by_role("article").first).to_contain_text("Accepted")
    expect(page.get_by_role("region", name="Feedback 1")).to_contain_text('"accepted"')
    page.get_by_role("button", name="Send with these drafts").click()
    expect(page.get_by_text("What was looked at and not said?")).to_be_visible()
    assert "naproxen" not in page.locator("#request").input_value().lower().partition('"prefetch"')[0]


def test_a_card_is_overridden_with_a_reason(tried: Open) -> None:
    page = tried()
    _send(page)
    card = page.get_by_role("article").first
    card.get_by_text("Override").first.click()
    card.locator("details .acts button").first.click()
    expect(page.get_by_role("article").first).to_contain_text("Overridden")
    expect(page.get_by_role("region", name="Feedback 1")).to_contain_text('"overrideReason"')


def test_the_page_opens_with_a_prepared_order_and_drops_it_for_another_patient(tried: Open) -> None:
    page = tried()
    expect(page.get_by_text("An order for an invented patient is prepared; nothing was sent.")).to_be_visible()
    page.locator("#patient").select_option("sample:planning-talk")
    page.locator("#call").select_option("patient-view/planning-conversation")
    page.get_by_role("button", name="Build only").click()
    expect(page.get_by_role("region", name="Patient", exact=True)).to_contain_text("planning-talk")
    expect(page.get_by_text("None yet. The hooks order-select and order-sign need one.")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_at_any_width_in_either_theme(tried: Open, scheme: str) -> None:
    page = tried(color_scheme=scheme)
    _order_naproxen(page)
    _send(page)
    assert_nothing_is_cut_off(page, f"try-{scheme}")


def test_axe_finds_nothing_after_a_draft_was_sent_accepted_and_told(tried: Open) -> None:
    page = tried()
    _order_naproxen(page)
    _send(page)
    assert axe_faults(page) == []
    page.get_by_role("article").locator(".acts button").first.click()
    expect(page.get_by_role("article").first).to_contain_text("Accepted")
    assert axe_faults(page) == []
