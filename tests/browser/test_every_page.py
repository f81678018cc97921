"""Every page in both themes, on a phone and on a desk: nothing for axe-core, nothing foreign, cut off at no width.

A word on the console and a request to another host fail these tests too (`opened` in conftest.py).
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from cds_hooks.people.pages.doors import DOORS
from tests.browser.conftest import running
from tests.browser.looking import WIDTHS, axe_faults, cut_off

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("site")]

Open = Callable[..., Page]

PATHS = {
    "try": "/try",
    "worklist": "/worklist",
    "decisions": "/decisions",
    "operations": "/ops",
    "models": "/models",
    "rules": "/rules",
    "checks": "/rules?drug=metformin",
    "documentation": "/docs/",
    "reader": "/docs/readers/tester.html",
    "long table": "/docs/settings.html",
    "code": "/docs/adding/rule.html",
}
"""The pages by a word for each; those of a decision, a model and a rule are among `pages` of conftest.py."""
PATHS |= {door.title: door.path for door in DOORS if door.title and door.path not in {*PATHS.values(), "/docs"}}

KINDS = (*PATHS, "estimate", "gaps", "silent", "order", "messy", "model", "rule", "missing", "login")
LOOKS = [
    (kind, scheme, width)
    for number, kind in enumerate(KINDS)
    for scheme, width in (("light", (320, 1200)[number % 2]), ("dark", (1200, 320)[number % 2]))
]
"""Each page in both themes and both widths; the four together in turns, as colors do not depend on a width."""


@pytest.fixture(scope="module")
def addresses(
    base_url: str, pages: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The address of every kind of page; the login is that of a server of its own."""
    found = {kind: f"{base_url}{path}" for kind, path in PATHS.items()}
    found |= {kind: pages[kind] for kind in KINDS if kind in pages}
    with running(tmp_path_factory.mktemp("login"), login="accounts") as url:
        yield found | {"login": f"{url}/login"}


@pytest.mark.parametrize(("kind", "scheme", "width"), LOOKS)
def test_a_page_has_no_finding_of_axe_and_fits(
    opened: Open, addresses: dict[str, str], kind: str, scheme: str, width: int
) -> None:
    page = opened(addresses[kind], width, color_scheme=scheme)
    assert axe_faults(page) == []
    for each in WIDTHS if scheme == "light" else (width,):
        page.set_viewport_size({"width": each, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == each
        if kind != "long table":  # which scrolls in a box of its own, as the line above says
            assert cut_off(page) == []


@pytest.mark.parametrize("kind", ["order", "estimate"])
def test_a_decision_is_one_screen_with_the_answer_last_and_one_sheet_of_paper(
    opened: Open, addresses: dict[str, str], kind: str
) -> None:
    page = opened(addresses[kind], 1280)
    answer = page.locator("summary").last
    assert page.locator("article.card").bounding_box()["y"] < 300
    assert page.evaluate("document.documentElement.scrollHeight") <= 900
    phone = opened(addresses[kind], 390)
    assert phone.evaluate("document.documentElement.scrollHeight") <= 2 * 844
    expect(answer).to_have_text("Answer to this card")
    sheets = re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))
    assert len(sheets) == 1


@pytest.mark.parametrize("kind", ["order", "estimate", "operations", "try"])
def test_nothing_moves_and_nothing_is_lost_in_forced_colours(
    opened: Open, addresses: dict[str, str], kind: str
) -> None:
    page = opened(addresses[kind], 1280, forced_colors="active", reduced_motion="reduce")
    assert axe_faults(page) == []
    assert page.evaluate("document.getAnimations().length") == 0
    signs = page.locator(".sign svg")
    assert signs.evaluate_all(
        "all => all.every(e => getComputedStyle(e).color === getComputedStyle(e.parentElement).color)"
    )


def _chosen(site: Path) -> list[str]:
    """The longest page of each folder and of the first, where everything that a page can have is likely to be."""
    folders = {path.parent for path in site.rglob("*.md")}
    longest = [max(folder.glob("*.md"), key=_size) for folder in sorted(folders)]
    return [path.relative_to(site).with_suffix(".html").as_posix() for path in longest]


def _size(path: Path) -> tuple[int, str]:
    return path.stat().st_size, path.name


def test_chosen_pages_of_the_documentation_have_no_finding_of_axe(opened: Open, base_url: str, site: Path) -> None:
    paths = _chosen(site)
    assert len(paths) > 6
    page = opened(f"{base_url}/docs/", 1200)
    faults = {}
    for path in paths:
        page.goto(f"{base_url}/docs/{path}")
        if found := axe_faults(page):
            faults[path] = found
    assert faults == {}
