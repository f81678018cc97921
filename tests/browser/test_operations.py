"""The page of operations in a browser: what is wrong now, and the decisions behind a figure."""

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.looking import assert_nothing_is_cut_off, axe_faults
from tests.cds_hooks.calls import PLANNING, counted_request_for
from tests.cds_hooks.web.decisions import AS_OF

pytestmark = pytest.mark.slow

Open = Callable[..., Page]


@pytest.fixture
def shown(opened: Open, base_url: str, pages: dict[str, str]) -> Open:
    """Opens the page, after some calls were made: about samples, which are not counted, and one that counts."""
    assert pages
    request = counted_request_for(PLANNING, "patient-view", "planning-talk", AS_OF)
    httpx.post(f"{base_url}/cds-services/{PLANNING}", json=request).raise_for_status()
    return lambda *width, **options: opened(f"{base_url}/ops", *width, **options)


@pytest.mark.parametrize("script", [True, False])
def test_an_operator_sees_the_state_of_now(shown: Open, script: bool) -> None:
    page = shown(java_script_enabled=script)
    expect(page.get_by_text("Calls are answered")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_at_any_width_in_either_theme(shown: Open, scheme: str) -> None:
    assert_nothing_is_cut_off(shown(color_scheme=scheme), f"ops-{scheme}")


def test_axe_finds_nothing(shown: Open) -> None:
    assert axe_faults(shown()) == []
