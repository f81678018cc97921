"""The page of operations in a browser: what goes on, the decisions behind a figure, and its CSV."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looking import assert_nothing_is_cut_off, serious_faults, tab_to

pytestmark = pytest.mark.slow

Open = Callable[..., Page]


@pytest.fixture
def shown(opened: Open, base_url: str, pages: dict[str, str]) -> Open:
    """Opens the page, after some calls were made."""
    assert pages
    return lambda *width, **options: opened(f"{base_url}/ops", *width, **options)


@pytest.mark.parametrize("script", [True, False])
def test_an_operator_sees_the_calls_of_a_service_and_opens_the_decisions_behind_them(shown: Open, script: bool) -> None:
    page = shown(java_script_enabled=script)
    page.get_by_label("Service").select_option("planning-conversation")
    page.get_by_label("Time", exact=True).select_option("Today")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_label("Service")).to_have_value("planning-conversation")
    calls = page.get_by_role("table", name="Calls of each day")
    assert calls.get_by_role("row").count() == 2
    calls.get_by_role("link").click()
    found = page.get_by_role("table", name="Decisions, 20 a page")
    expect(found.get_by_role("row").nth(1)).to_contain_text("planning-conversation")
    expect(page.get_by_label("Service")).to_have_value("planning-conversation")


def test_a_part_is_exported_with_the_keyboard_alone(shown: Open, tmp_path: Path) -> None:
    page = shown()
    tab_to(page, "CSV: Why were we silent?", 200)
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.name == "silence.csv"
    head, *rows = csv.reader(saved.read_text(encoding="utf-8").splitlines())
    assert head == ["Reason", "Times"]
    drawn = page.get_by_role("table", name="Reasons on record")
    assert drawn.get_by_role("row").count() - 1 == len(rows)
    expect(drawn.get_by_role("row").nth(1)).to_contain_text(rows[0][1])


def test_every_question_has_an_answer_beside_it(shown: Open) -> None:
    page = shown()
    parts = page.locator("main section.part")
    assert parts.count() == 12
    for number in range(parts.count()):
        part = parts.nth(number)
        assert part.get_by_role("heading", level=2).inner_text().endswith("?")
        assert part.locator("header p").inner_text().endswith(".")
        assert part.locator("table, .blank").count() >= 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_at_any_width_in_either_theme(shown: Open, scheme: str) -> None:
    assert_nothing_is_cut_off(shown(color_scheme=scheme), f"ops-{scheme}")


def test_axe_finds_nothing_serious(shown: Open) -> None:
    assert serious_faults(shown()) == []
