"""What-if on the page of a decision, as a person uses it: with the script, without it, and with the keyboard alone."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.accessible import axe_faults
from tests.browser.conftest import running
from tests.cds_hooks.calls import ours
from tests.cds_hooks.services.equation_calls import NOW, _request

pytestmark = pytest.mark.slow

Open = Callable[..., Page]
_CUT_OFF = """() => [...document.querySelectorAll('body *')].filter(e => !e.closest('.vh, svg, .skip')
    && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("explaining"), as_of=NOW) as url:
        yield url


@pytest.fixture(scope="module")
def statin(base_url: str) -> str:
    """The page of a decision of PREVENT about a smoker with a systolic pressure of 148."""
    request = _request("statin-discussion", "diabetes-no-statin", ())
    answer = httpx.post(f"{base_url}/cds-services/statin-discussion", json=request)
    return f"{base_url}/explain/{ours(answer)['decision']}"


def test_a_person_changes_values_and_reads_both_estimates_and_the_page_stays(opened: Open, statin: str) -> None:
    page = opened(statin)
    page.evaluate("window.stayed = true")
    page.get_by_label("Systolic pressure, mmHg").fill("125")
    page.get_by_label("Smokes").select_option("no")
    page.get_by_role("button", name="Estimate with these values").click()
    expect(page.get_by_text("With the changed values: about")).to_be_visible()
    assert page.evaluate("window.stayed")
    assert page.evaluate("document.activeElement.id") == "asked"
    expect(page.get_by_label("Systolic pressure, mmHg")).to_have_value("125")
    assert page.url == statin
    assert axe_faults(page) == []


def test_it_works_with_the_keyboard_alone_and_without_scripts(opened: Open, statin: str) -> None:
    page = opened(statin, java_script_enabled=False)
    page.get_by_label("Systolic pressure, mmHg").focus()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("130")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Changed: Systolic pressure from 148 mmHg to 130 mmHg")).to_be_visible()
    assert page.url == f"{statin}#asked"


@pytest.mark.parametrize("scripts", [True, False])
def test_an_implausible_value_gets_a_sentence_beside_its_field(opened: Open, statin: str, *, scripts: bool) -> None:
    page = opened(statin, java_script_enabled=scripts)
    page.get_by_label("Systolic pressure, mmHg").fill("20")
    page.get_by_role("button", name="Estimate with these values").click()
    problem = page.get_by_text("Type a number from 110 to less than 148 mmHg, the value now.")
    expect(problem).to_be_visible()
    field = page.get_by_label("Systolic pressure, mmHg")
    assert field.get_attribute("aria-invalid") == "true"
    assert field.get_attribute("aria-describedby") == "to-sbp-hint"
    if scripts:
        assert page.evaluate("document.activeElement.id") == "to-sbp"
        assert axe_faults(page) == []


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (360, "light"), (1480, "dark")])
def test_the_question_and_its_answer_fit_narrow_and_wide_in_both_themes(
    opened: Open, statin: str, tmp_path: Path, width: int, scheme: str
) -> None:
    page = opened(statin, width, color_scheme=scheme)
    page.get_by_label("Systolic pressure, mmHg").fill("120")
    page.get_by_role("button", name="Estimate with these values").click()
    expect(page.get_by_text("With the changed values: about")).to_be_visible()
    assert page.evaluate(_CUT_OFF) == []
    assert axe_faults(page) == []
    page.screenshot(path=str(tmp_path / f"what-if-{width}-{scheme}.png"), full_page=True)
