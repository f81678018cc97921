"""The page of operations in a browser: what is wrong now, and the decisions behind a figure."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looking import assert_nothing_is_cut_off, axe_faults

pytestmark = pytest.mark.slow

Open = Callable[..., Page]


@pytest.fixture
def shown(opened: Open, base_url: str, pages: dict[str, str]) -> Open:
    """Opens the page, after some calls were made."""
    assert pages
    return lambda *width, **options: opened(f"{base_url}/ops", *width, **options)


@pytest.mark.parametrize("script", [True, False])
def test_an_operator_sees_the_state_of_now(shown: Open, script: bool) -> None:
    page = shown(java_script_enabled=script)
    # The calls of the samples are trials, which are not counted.
    expect(page.get_by_text("No call came in the last ten minutes")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_at_any_width_in_either_theme(shown: Open, scheme: str) -> None:
    assert_nothing_is_cut_off(shown(color_scheme=scheme), f"ops-{scheme}")


def test_axe_finds_nothing(shown: Open) -> None:
    assert axe_faults(shown()) == []
