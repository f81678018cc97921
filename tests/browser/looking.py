"""What every page is looked at for: that nothing is cut off, pictures for a person, and what axe-core finds."""

import os
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

WIDTHS = (320, 360, 700, 701, 1100, 1480, 1600)
_WAITS_FOR_FOCUS = "document.querySelector('[autofocus]') !== null && document.activeElement === document.body"
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
        assert cut_off(page) == []


def cut_off(page: Page) -> list[str]:
    """The elements of the page that reach beyond the right edge of its window."""
    found: list[str] = page.evaluate(_CUT_OFF)
    return found


def axe_faults(page: Page) -> list[str]:
    """What axe-core finds, at whatever level and by any of its rules, each with its rule, level and place."""
    return [
        f"{rule['id']} ({rule['impact']}): {node['target']} {node['html'][:120]}"
        for rule in Axe().run(page).response["violations"]
        for node in rule["nodes"]
    ]


def wait_for_autofocus(page: Page) -> None:
    """Waits until the field that takes the focus by itself has it.

    Chromium gives it the focus with the first frame; a Tab before that is noted on the console, which fails a test.
    """
    for _ in range(3600):
        if not page.evaluate(_WAITS_FOR_FOCUS):
            return
        page.wait_for_timeout(50)
    raise AssertionError("the field with autofocus has not taken the focus within three minutes")


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
