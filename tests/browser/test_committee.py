"""A committee looks at models and rules: with the keyboard alone, in both themes, at every width."""

import os
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.accessible import axe_faults

pytestmark = pytest.mark.slow

WIDTHS = (360, 700, 701, 1100, 1480, 1600)
PATHS = ("models", "models/mortality_5y", "rules", "rules/renal-metformin")
_CUT_OFF = """() => [...document.querySelectorAll('body *')].filter(e => !e.closest('.vh, svg, .skip')
    && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 80))"""

Open = Callable[..., Page]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_accessible_and_fits_every_width(
    opened: Open, pages: dict[str, str], base_url: str, path: str, scheme: str
) -> None:
    assert pages["order"]
    page = opened(f"{base_url}/{path}", color_scheme=scheme)
    assert axe_faults(page) == []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(_CUT_OFF) == []
        if pictures := os.environ.get("PICTURES_OF_TESTS"):
            page.screenshot(path=f"{pictures}/{path.replace('/', '-')}-{scheme}-{width}.png", full_page=True)


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
    expect(page.get_by_text("cds-hooks release set off rule").first).to_be_visible()
    page.get_by_role("link", name="decision 1").click()
    expect(page.get_by_text("Worked out").first).to_be_visible()


def test_a_model_is_opened_from_the_list(opened: Open, base_url: str) -> None:
    page = opened(f"{base_url}/models")
    page.get_by_role("rowheader").get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Did it pass its gates?")).to_be_visible()
    expect(page.get_by_role("heading", name="What changed?")).to_be_visible()
