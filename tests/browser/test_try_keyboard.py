"""The tester's page with the keyboard alone; a server of its own, where nobody has accepted anything yet."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.slow


def test_the_whole_task_is_done_with_the_keyboard_alone(opened: Callable[..., Page], base_url: str) -> None:
    page = opened(f"{base_url}/try")

    def tab_to(name: str, most: int = 60) -> None:
        for _ in range(most):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement === document.body"):
                continue
            focused = page.evaluate(
                "document.activeElement.labels?.[0]?.textContent || document.activeElement.textContent"
            )
            if name in focused:
                return
        raise AssertionError(f"{name} was not reached")

    tab_to("Patient")
    page.keyboard.type("Elderly woman, eGFR 25")
    tab_to("A drug or a test")
    page.keyboard.type("Naproxen 500 MG Oral Tablet")
    tab_to("Add to drafts")
    page.keyboard.press("Enter")
    expect(page.get_by_role("rowheader", name="naproxen 500 MG Oral Tablet")).to_be_visible()
    tab_to("Send with these drafts")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article").first).to_contain_text("eGFR 25")
    tab_to("(advised)")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article").first).to_contain_text("Accepted")
