"""What every page is looked at for: that nothing is cut off, pictures for a person, and what axe-core finds."""

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

WIDTHS = (360, 700, 701, 1100, 1480, 1600)
_CUT_OFF = """() => [...document.querySelectorAll('main *')].filter(e => !e.closest('.vh, svg, pre, textarea, select')
    && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 80))"""


def assert_nothing_is_cut_off(page: Page, picture: str) -> None:
    """At every width; with CDS_SCREENSHOTS_DIR a picture of each is written there."""
    folder = os.environ.get("CDS_SCREENSHOTS_DIR")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        if folder:
            page.screenshot(path=Path(folder) / f"{picture}-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(_CUT_OFF) == []


def serious_faults(page: Page) -> list[Any]:
    """What axe-core finds of serious or critical impact; it is no part of this project: CDS_AXE_FILE names it."""
    script = Path(os.environ.get("CDS_AXE_FILE") or "nowhere")
    if not script.is_file():
        pytest.skip("axe-core is not here; set CDS_AXE_FILE to its axe.min.js")
    page.evaluate(script.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then(found => found.violations.map(v => [v.impact, v.id, v.nodes[0].html]))")
    return [each for each in found if each[0] in ("serious", "critical")]


def tab_to(page: Page, name: str, most: int = 80) -> None:
    """Presses Tab until what has this name, or text, has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            continue
        focused = page.evaluate("document.activeElement.labels?.[0]?.textContent || document.activeElement.textContent")
        if name in focused:
            return
    raise AssertionError(f"{name} was not reached")
