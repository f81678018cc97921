"""The pages as people meet them: on a phone, in the dark, on paper, with a keyboard, without script."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from playwright.sync_api import Page, expect

from tests.browser.looking import tab_to

pytestmark = pytest.mark.slow

Open = Callable[..., Page]

KINDS = ("estimate", "gaps", "silent", "order", "messy", "model", "models", "rule", "missing")
_WITHOUT_OUTLINE = """() => { const style = getComputedStyle(document.activeElement);
    return style.outlineStyle !== 'solid' || parseFloat(style.outlineWidth) < 3 }"""


@pytest.mark.parametrize("kind", KINDS)
def test_dark_follows_the_system_and_paper_is_always_light(opened: Open, pages: dict[str, str], kind: str) -> None:
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    assert opened(pages[kind], color_scheme="light").evaluate(ground) == "rgb(255, 255, 255)"
    page = opened(pages[kind], color_scheme="dark")
    assert page.evaluate(ground) == "rgb(17, 24, 29)"
    page.emulate_media(media="print")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    assert not page.locator(".bar nav").is_visible()


# Of the buttons of one question the Tab key reaches the first, and the arrow keys the others.
_USABLE = """() => [...document.querySelectorAll('a[href], summary, button, select, textarea, input')]
    .filter(e => e.type !== 'hidden' && e.checkVisibility())
    .filter(e => e.type !== 'radio' || e === e.form.querySelector(`input[type=radio][name="${e.name}"]`))
    .map(e => e.tagName + e.textContent)"""


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_can_be_used_is_reached_with_the_tab_key_and_shows_it(
    opened: Open, pages: dict[str, str], kind: str
) -> None:
    page = opened(pages[kind])
    usable = page.evaluate(_USABLE)
    reached = []
    for _ in usable:
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.tagName + document.activeElement.textContent"))
        assert not page.evaluate(_WITHOUT_OUTLINE), reached[-1]
    assert reached == usable
    assert reached[0] == "ASkip to the content"


def test_the_skip_link_shows_when_reached_and_leads_to_the_content(opened: Open, pages: dict[str, str]) -> None:
    page = opened(pages["estimate"])
    page.keyboard.press("Tab")
    box = page.locator(".skip").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_the_exact_numbers_open_with_the_keyboard_and_without_script(opened: Open, pages: dict[str, str]) -> None:
    page = opened(pages["estimate"], java_script_enabled=False)
    total = page.get_by_text("Base and all inputs")
    assert not total.is_visible()
    page.locator("summary").filter(has_text="All 16 inputs").focus()
    page.keyboard.press("Enter")
    assert total.is_visible()


@pytest.mark.parametrize("width", [360, 1280])
def test_a_screen_reader_meets_tables_with_rows_and_headers_at_every_width(
    opened: Open, pages: dict[str, str], width: int
) -> None:
    page = opened(pages["estimate"], width)
    chart = page.get_by_role("table", name="From the average person of the group to this patient")
    assert chart.get_by_role("row").count() >= 8  # the head, six inputs and what all others add together
    assert chart.get_by_role("rowheader", name="Age 78 years").count() == 1
    assert "raises a lot" in chart.get_by_role("row", name="Age 78 years").inner_text()
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    inputs = page.get_by_role("table", name="Every input as the model read it")
    assert "Observation/" in inputs.get_by_role("row", name="Albumin").inner_text()
    assert page.get_by_role("img", name="One hundred squares").count() == 1
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("region", name="Patient").count() == 1


def test_the_drawing_stands_where_its_numbers_say(opened: Open, pages: dict[str, str]) -> None:
    page = opened(pages["estimate"])
    boxes = page.evaluate("""() => [...document.querySelectorAll('.wf td.draw')].map(cell => {
        const left = cell.getBoundingClientRect().left;
        return [...cell.querySelectorAll('rect, circle')].map(e => {
            const box = e.getBoundingClientRect(); return [box.left - left, box.right - left] })[0] })""")
    bars = boxes[1:-1]
    assert all(right > left for left, right in bars)
    ends = [*bars, boxes[-1]]
    touching = [
        min(abs(a - b) for a in bar for b in (*following, sum(following) / 2)) for bar, following in pairwise(ends)
    ]
    assert max(touching) < 2.5


def test_a_page_prints_with_the_patient_on_it(opened: Open, pages: dict[str, str]) -> None:
    page = opened(pages["estimate"])
    assert page.pdf().startswith(b"%PDF")
    page.emulate_media(media="print")
    assert page.locator(".who").is_visible()
    assert not page.locator("summary").first.is_visible()


def test_a_rule_is_found_and_its_decisions_with_the_keyboard_alone(
    opened: Open, pages: dict[str, str], base_url: str
) -> None:
    assert pages["order"]
    page = opened(f"{base_url}/rules", java_script_enabled=False)
    tab_to(page, "Contains")
    page.keyboard.type("metformin")
    page.keyboard.press("Enter")
    page.get_by_role("table", name="rule").get_by_role("link").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="How often does it show a card?")).to_be_visible()
    expect(page.get_by_text("cds-hooks release off rule").first).to_be_visible()
    page.get_by_role("link", name="the decisions in which it found something").click()
    page.locator('a[href^="explain/"]').first.click()
    expect(page.get_by_text("Worked out").first).to_be_visible()
