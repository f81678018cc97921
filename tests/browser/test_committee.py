"""A committee looks at models and rules: with the keyboard alone (how they look: test_every_page.py)."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.slow


Open = Callable[..., Page]


def test_a_rule_is_found_with_the_keyboard_alone(opened: Open, pages: dict[str, str], base_url: str) -> None:
    assert pages["order"]
    page = opened(f"{base_url}/rules", java_script_enabled=False)
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "what":
            break
    page.keyboard.type("metformin")
    page.keyboard.press("Enter")
    table = page.get_by_role("table", name="rule")
    expect(table).to_contain_text("etformin")
    first = table.get_by_role("link").first
    first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="How often does it show a card?")).to_be_visible()
    expect(page.get_by_text("cds-hooks release off rule").first).to_be_visible()
    page.get_by_role("link", name="the decisions in which it found something").click()
    page.locator('a[href^="explain/"]').first.click()
    expect(page.get_by_text("Worked out").first).to_be_visible()


def test_a_model_is_opened_from_the_list(opened: Open, base_url: str) -> None:
    page = opened(f"{base_url}/models")
    page.get_by_role("rowheader").get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Did it pass its gates?")).to_be_visible()
    expect(page.get_by_role("heading", name="What changed?")).to_be_visible()
