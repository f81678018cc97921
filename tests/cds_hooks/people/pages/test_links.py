"""No link is dead: in each role every page and every page of the documentation is opened from the start page."""

from pathlib import Path, PurePosixPath
from urllib.parse import urljoin, urlsplit

import pytest

from cds_hooks.people.access.roles import Role
from tests.cds_hooks.people.access.browsing import Person, visit, with_account
from tests.contracts.markup import Page

pytestmark = pytest.mark.slow

pytestmark = pytest.mark.usefixtures("documentation")
_MANY = {"rules", "explain", "models"}
"""Of so many pages of one kind a few stand for all."""
_FEW = 4


async def _dead_links(person: Person, most: int) -> dict[str, str]:
    """The addresses that do not answer, each with the page that leads there."""
    waiting, seen, dead = {"/": ""}, {"/"}, dict[str, str]()
    of_kind = dict[str, int]()
    while waiting and len(seen) <= most:
        path, leads = next(iter(waiting.items()))
        del waiting[path]
        answer = await person.open(path)
        if answer.status_code not in (200, 303, 308):
            dead[path] = leads
        if answer.status_code != 200 or "text/html" not in answer.headers.get("content-type", ""):
            continue
        for link in Page(answer.text).all("a"):
            address = urlsplit(urljoin(f"http://here{path}", link.attributes.get("href", "")))
            if address.netloc != "here" or address.path in seen:
                continue
            kind = PurePosixPath(address.path).parts[1:2]
            of_kind[str(kind)] = of_kind.get(str(kind), 0) + 1
            if not (kind and kind[0] in _MANY and of_kind[str(kind)] > _FEW):
                seen.add(address.path)
                waiting[address.path] = path
    return dead


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.CLINICIAN_LINK])
async def test_no_link_is_dead_for_a_role(tmp_path: Path, role: Role) -> None:
    with_account(tmp_path, "ann", role)
    async with visit(tmp_path) as person:
        await person.log_in("ann")
        assert await _dead_links(person, 400) == {}
