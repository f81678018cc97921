"""The start page: what each role does most, the state of the server, and a card that the server really answers."""

from pathlib import Path

from cds_hooks.access.roles import Role
from cds_hooks.package_tests.markup import Page, faults
from cds_hooks.pages.start.views import _work
from cds_hooks.web.visitor import Visiting, Visitor, set_visiting
from tests.cds_hooks.calls import ORDERS, request_for
from tests.cds_hooks.pages.test_decisions import counting_client
from tests.cds_hooks.web.decisions import AS_OF

ROLES = (
    "Treat patients",
    "Try a service",
    "Check medications",
    "Work on models",
    "Decide in the committee",
    "Operate the server",
    "Read along",
    "Audit",
    "Protect patients&#39; data",
)


def test_work_of_other_roles_stands_apart_and_without_roles_it_is_one_list() -> None:
    roles = frozenset({Role.PHARMACIST})
    set_visiting(Visiting("/", Visitor("Ann", "ann", roles, ""), needs_login=True))
    of_role, other = _work(roles)
    assert "Check medications" in of_role
    assert "Read along" in other
    assert of_role.keys().isdisjoint(other)
    everything, none = _work(frozenset())
    assert (set(everything), len(none)) == ({*of_role, *other}, 0)
    set_visiting(Visiting())


async def test_each_role_has_what_it_does_most_and_every_link_of_a_page_is_open(tmp_path: Path) -> None:
    async with counting_client(tmp_path) as calls:
        page = (await calls.get("/")).text
        assert faults(page) == []
        for role in ROLES:
            assert f"<dt>{role}</dt>" in page
        links = [each.attributes["href"] for each in Page(page).all("a") if "main" in each.path]
        assert {
            "try",
            "decisions",
            "ops",
            "rules",
            "models",
            "decisions/seen",
            "ops/cards",
            "rules#find",
            "worklist",
            "cds-services",
        } <= set(links)
        for link in links:
            if not link.startswith("docs/"):
                assert (await calls.get(f"/{link}")).status_code == 200, link


async def test_the_card_of_the_page_is_the_one_that_the_server_answers(tmp_path: Path) -> None:
    async with counting_client(tmp_path) as calls:
        request = request_for(ORDERS, "order-select", "ckd4-metformin", AS_OF, "metformin-ckd4-coded")
        card = (await calls.post(f"/cds-services/{ORDERS}", json=request)).json()["cards"][0]
        page = Page((await calls.get("/")).text)
        assert card["summary"] in page.text
        for suggestion in card["suggestions"]:
            assert suggestion["label"] in page.text, "write the card anew into cds_hooks/pages/start/example.json"
        assert f"card {card['indicator']}" in [each.attributes.get("class") for each in page.all("article")]
