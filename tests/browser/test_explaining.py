"""The page of an equation's decision in a browser: it fits and has no fault, narrow and wide, in both themes."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.accessible import axe_faults
from tests.browser.conftest import running
from tests.cds_hooks.calls import ours
from tests.cds_hooks.services.equation_calls import NOW, equation_request

pytestmark = pytest.mark.slow

Open = Callable[..., Page]
_CUT_OFF = """() => [...document.querySelectorAll('body *')].filter(e => !e.closest('.vh, svg, .skip')
    && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("explaining"), as_of=NOW) as url:
        yield url


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (360, "light"), (1480, "dark")])
def test_the_estimate_of_an_equation_fits_narrow_and_wide_in_both_themes(
    opened: Open, base_url: str, width: int, scheme: str
) -> None:
    request = equation_request("statin-discussion", "diabetes-no-statin", ())
    answer = httpx.post(f"{base_url}/cds-services/statin-discussion", json=request)
    page = opened(f"{base_url}/explain/{ours(answer)['decision']}", width, color_scheme=scheme)
    expect(page.get_by_text("What each input adds, the largest first")).to_be_visible()
    assert page.evaluate(_CUT_OFF) == []
    assert axe_faults(page) == []
