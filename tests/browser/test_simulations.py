"""A committee tries a change: from the page of a rule to the result and an example, also with the keyboard alone."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import running
from tests.browser.looking import assert_nothing_is_cut_off, serious_faults, tab_to
from tests.cds_hooks.pages.simulations.test_simulations import charts_in

pytestmark = pytest.mark.slow

Open = Callable[..., Page]
RULE = "renal-metformin"
_MINUTE = 60_000


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose committee may choose one folder of charts."""
    folder = tmp_path_factory.mktemp("simulations")
    kept = {
        "simulation_charts": charts_in(folder, "<b>ward</b>".replace("/", "")),
        "simulations_folder": folder / "kept",
    }
    with running(folder, **kept) as url:
        yield url


def test_a_rule_is_tried_on_charts_and_the_page_shows_the_result_by_itself(opened: Open, base_url: str) -> None:
    page = opened(f"{base_url}/rules/{RULE}")
    page.get_by_role("link", name="Try a change").click()
    assert serious_faults(page) == []
    page.get_by_label("On", exact=True).select_option(label="charts: <b>ward<b>")
    page.get_by_role("button", name="Start the simulation").click()
    expect(page.get_by_text("Now: a card in 1 of 2 orders of 2 patients.")).to_be_visible(timeout=_MINUTE)
    expect(page.get_by_text("No card any more")).to_be_visible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert serious_faults(page) == []
        assert_nothing_is_cut_off(page, f"simulation-{scheme}")


def test_a_recorded_decision_is_tried_without_scripts_and_with_the_keyboard_alone(
    opened: Open, pages: dict[str, str], base_url: str
) -> None:
    decision = pages["order"].rpartition("/")[2]
    page = opened(f"{base_url}/rules/{RULE}", java_script_enabled=False)
    tab_to(page, "Try a change")
    _follow(page)
    tab_to(page, "On")
    page.keyboard.type("decisions of the last day")
    tab_to(page, "Start the simulation")
    _follow(page)
    for _ in range(600):
        expect(page.get_by_role("heading", name=re.compile("How far is it|What does it change"))).to_be_visible()
        if page.get_by_role("link", name="Show how far it is now").count() == 0:
            break
        tab_to(page, "Show how far it is now")
        _follow(page)
    expect(page.get_by_text("After the change: in 0.")).to_be_visible()
    assert_nothing_is_cut_off(page, "simulation-decisions")
    tab_to(page, "Open decision")
    _follow(page)
    expect(page).to_have_url(f"{base_url}/decisions/{decision}")


def _follow(page: Page) -> None:
    """Presses Enter and waits for the page to which it leads."""
    with page.expect_navigation():
        page.keyboard.press("Enter")
