"""The documentation site in Chromium: reading, searching, the keyboard, both themes, and a phone."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("site")]


def test_a_reader_finds_a_setting_by_searching_and_opens_its_place(opened: Callable[..., Page], base_url: str) -> None:
    page = opened(f"{base_url}/docs/")
    page.get_by_role("searchbox", name="Search").fill("CDS_ALERT_SHARE")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("found")
    page.get_by_role("region", name="Search results").get_by_role("link", name="Settings").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Settings")
    assert page.url.startswith(f"{base_url}/docs/settings.html")


def test_the_keyboard_reaches_the_content_first(opened: Callable[..., Page], base_url: str) -> None:
    page = opened(f"{base_url}/docs/rules/renal.html")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


@pytest.mark.parametrize("path", ["", "testers.html", "rules/renal.html", "settings.html"])
@pytest.mark.parametrize("width", [360, 1600])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_is_wider_than_its_window(
    opened: Callable[..., Page], base_url: str, path: str, width: int, theme: str
) -> None:
    page = opened(f"{base_url}/docs/{path}", width=width, color_scheme=theme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    expect(page.get_by_role("navigation", name="Contents")).to_be_visible()


def test_without_scripts_every_page_is_reached_by_its_link(opened: Callable[..., Page], base_url: str) -> None:
    page = opened(f"{base_url}/docs/", java_script_enabled=False)
    page.get_by_role("navigation", name="Contents").get_by_text("How to run a site", exact=True).click()
    page.get_by_role("navigation", name="Contents").get_by_role("link", name="Trust").first.click()
    assert "/docs/operations/trust.html" in page.url
