"""A committee tries a change with the keyboard alone and without scripts, from the page of a rule to an example."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looking import assert_nothing_is_cut_off, axe_faults, tab_to

pytestmark = pytest.mark.slow

Open = Callable[..., Page]
RULE = "renal-metformin"


def test_a_change_is_tried_on_recorded_decisions_and_its_example_opened(
    opened: Open, pages: dict[str, str], base_url: str
) -> None:
    decision = pages["order"].rpartition("/")[2]
    page = opened(f"{base_url}/rules/{RULE}", java_script_enabled=False)
    tab_to(page, "Try a change")
    _follow(page)
    tab_to(page, "Compute it")
    _follow(page)
    expect(page.get_by_text("After the change: 0.")).to_be_visible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert_nothing_is_cut_off(page, f"simulation-{scheme}")
    tab_to(page, "decision 1")
    _follow(page)
    expect(page).to_have_url(f"{base_url}/explain/{decision}")
    assert axe_faults(opened(f"{base_url}/simulations?kind=rule&name={RULE}")) == []


def _follow(page: Page) -> None:
    """Presses Enter and waits for the page to which it leads."""
    with page.expect_navigation():
        page.keyboard.press("Enter")
