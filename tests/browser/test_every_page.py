"""Every page in both themes, on a phone and on a desk: nothing serious for axe-core, nothing cut off, nothing foreign.

A word on the console and a request to another host fail these tests too (`opened` in conftest.py).
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from cds_hooks.pages.doors import DOORS
from tests.browser.conftest import running
from tests.browser.looking import cut_off, serious_faults

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("site")]

Open = Callable[..., Page]

PATHS = {
    "start": "/",
    "try": "/try",
    "worklist": "/worklist",
    "decisions": "/decisions",
    "operations": "/ops",
    "models": "/models",
    "rules": "/rules",
    "checks": "/rules/checks",
    "changes": "/rules/renal-metformin/changes",
    "simulations": "/simulations?kind=model&name=mortality_5y",
    "equation": "/equations/kfre_4",
    "documentation": "/docs/",
    "reader": "/docs/readers/tester.html",
    "long table": "/docs/settings.html",
    "code": "/docs/adding/rule.html",
}
"""The pages by a word for each; those of a decision, a model and a rule are among `pages` of conftest.py."""
PATHS |= {door.title: door.path for door in DOORS if door.title and door.path not in {*PATHS.values(), "/docs"}}

KINDS = (*PATHS, "estimate", "gaps", "silent", "order", "messy", "model", "rule", "missing", "login")


@pytest.fixture(scope="module")
def addresses(
    base_url: str, pages: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The address of every kind of page; the login is that of a server of its own."""
    found = {kind: f"{base_url}{path}" for kind, path in PATHS.items()}
    found |= {kind: pages[kind] for kind in KINDS if kind in pages}
    with running(tmp_path_factory.mktemp("login"), login="accounts") as url:
        yield found | {"login": f"{url}/login"}


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_page_has_nothing_serious_and_fits(
    opened: Open, addresses: dict[str, str], kind: str, scheme: str, width: int
) -> None:
    page = opened(addresses[kind], width, color_scheme=scheme)
    assert serious_faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    if kind != "long table":  # which scrolls in a box of its own, as the line above says
        assert cut_off(page) == []


def _chosen(site: Path) -> list[str]:
    """The smallest pages that together have every element with its class, and every sixth: all take four minutes."""
    kinds, chosen = set[str](), []
    # 404.html is answered with 404, and a browser says so on its console
    pages = sorted((path for path in site.rglob("*.html") if path.name != "404.html"), key=_size)
    for number, path in enumerate(pages):
        html = re.sub(r'(?<! class)="[^"]*"', "", path.read_text(encoding="utf-8"))
        of_page = set(re.findall(r"<\w[^>]*>", html))
        if number % 6 == 5 or not of_page <= kinds:
            kinds |= of_page
            chosen.append(path.relative_to(site).as_posix())
    return chosen


def _size(path: Path) -> tuple[int, str]:
    return path.stat().st_size, path.name


def test_chosen_pages_of_the_documentation_have_nothing_serious(opened: Open, base_url: str, site: Path) -> None:
    paths = _chosen(site)
    assert len(paths) > 20
    page = opened(f"{base_url}/docs/", 1200)
    faults = {}
    for path in paths:
        page.goto(f"{base_url}/docs/{path}")
        if found := serious_faults(page):
            faults[path] = found
    assert faults == {}
