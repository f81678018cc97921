"""What holds for every page that is found: its door is enforced, its routes are behind it, it renders, it is whole."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment
from starlette.routing import BaseRoute

from cds_hooks.access.roles import ASSIGNABLE
from cds_hooks.app import create_app
from cds_hooks.package_tests.markup import faults
from cds_hooks.pages import application
from cds_hooks.pages.doors import DOORS, Door, door_of
from cds_hooks.pages.server import PageServer
from cds_hooks.settings import Settings
from cds_hooks.web import site
from cds_hooks.web.site import HEADERS
from cds_hooks.web.visitor import PageLink, Visiting
from tests.cds_hooks.access.browsing import visit, with_account
from tests.cds_hooks.calls import client
from tests.live import record_in

VIEWS = sorted({door.views for door in DOORS})
PAGES = Path(application.__file__).parent
HTML = {"accept": "text/html"}


def _server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> PageServer:
    """What the views of a server that asks for a login work with."""
    servers: list[PageServer] = []
    monkeypatch.setattr(application, "page_application", servers.append)
    made: list[Any] = []
    monkeypatch.setattr("cds_hooks.app.LatePages", made.append)
    create_app(Settings(database_url=record_in(folder), login="accounts"))
    made[0]()
    return servers[0]


@pytest.mark.parametrize("views", VIEWS)
def test_every_route_of_a_page_is_behind_a_door_of_its_own(
    views: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes: list[BaseRoute] = import_module(f"cds_hooks.pages.{views}").routes(_server(tmp_path, monkeypatch))
    assert routes
    doors = [door_of(route.path) for route in routes]  # type: ignore[attr-defined]  # routes and mounts have a path
    assert {door.views if door is not None else None for door in doors} == {views}


def test_every_folder_with_views_has_a_door() -> None:
    assert {f"{path.parent.name}.views" for path in PAGES.glob("*/views.py")} <= set(VIEWS)


@pytest.mark.parametrize("role", ASSIGNABLE)
async def test_the_navigation_has_at_most_seven_entries_and_each_opens(tmp_path: Path, role: str) -> None:
    with_account(tmp_path, "ann", role)
    async with visit(tmp_path) as person:
        await person.log_in("ann")
        page = (await person.open("/")).text
        links = re.findall(r'href="([^"]*)"', page[page.index("<nav") : page.index("</nav>")])
        assert 2 <= len(links) <= 7
        for link in links:
            assert link == "docs/" or (await person.open(f"/{link}")).status_code == 200, link


def test_the_operator_without_a_login_has_seven_entries_at_most_also_with_a_page_from_outside() -> None:
    links = (*(PageLink(door.path, door.title) for door in DOORS if door.title), PageLink("/ours", "Ours"))
    assert len(links) > len(Visiting(links=links).navigation) == 7


@pytest.mark.parametrize("folder", sorted({path.parent.name for path in PAGES.glob("*/*.html")}))
def test_the_templates_of_a_page_can_be_read_and_load_nothing_from_elsewhere(folder: str) -> None:
    environment: Environment = site._environment()
    for path in (PAGES / folder).glob("*.html"):
        environment.get_template(f"{folder}/{path.name}")
        text = path.read_text(encoding="utf-8")
        assert not any(f'{name}="{start}' in text for name in ("src", "action") for start in ("http", "//"))


def _opens(door: Door) -> bool:
    """Whether there is a page at the path of the door itself, for whoever may open it."""
    return door.roles is not None and bool(door.title)


@pytest.mark.parametrize("door", [door for door in DOORS if _opens(door)], ids=lambda door: door.path)
async def test_a_page_of_the_navigation_is_whole_and_loads_nothing_from_elsewhere(tmp_path: Path, door: Door) -> None:
    async with client(tmp_path) as calls:
        answer = await calls.get(door.path, headers=HTML, follow_redirects=True)
    if door.path == "/docs" and answer.status_code == 404:
        pytest.skip("the documentation is not written in this checkout (make docs)")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    if door.path != "/docs":
        assert answer.headers["content-security-policy"] == HEADERS["content-security-policy"]
        assert faults(answer.text) == []


@pytest.mark.parametrize("role", ASSIGNABLE)
async def test_a_door_is_open_to_its_roles_alone(tmp_path: Path, role: str) -> None:
    with_account(tmp_path, "ann", role)
    async with visit(tmp_path) as person:
        assert (await person.log_in("ann")).status_code == 303
        for door in DOORS:
            if door.roles is not None:
                status = (await person.open(door.path)).status_code
                assert (status != 403) is (role in door.roles), (door.path, status)


async def test_behind_a_trust_file_without_a_login_the_pages_of_the_operator_are_closed(tmp_path: Path) -> None:
    from tests.cds_hooks.pages.test_decisions import trust_file_in

    async with client(tmp_path, trust_file=trust_file_in(tmp_path)) as calls:
        for door in (door for door in DOORS if door.roles is not None):
            status = (await calls.get(door.path, headers=HTML, follow_redirects=True)).status_code
            assert (status == 403) is not door.is_public, (door.path, status)
