"""Each page is for the roles that its door says, and what has no door is closed."""

import re
from pathlib import Path
from typing import get_args

import pytest

from cds_hooks.access.roles import ASSIGNABLE, ROLE_WORDS, Role
from cds_hooks.package_tests.markup import Page
from cds_hooks.pages.doors import door_of
from cds_hooks.settings.login import LoginRole
from tests.cds_hooks.access.browsing import BROWSER, visit, with_account


def test_a_door_leads_to_its_path_and_below_and_nowhere_else() -> None:
    assert door_of("/ops") is not None
    assert door_of("/ops/cards") is not None
    for path in ("/opsx", "/nothing", "", "//", "/explainx/1", "/..", "/OPS"):
        assert door_of(path) is None, path


def test_every_role_has_words_and_the_settings_know_those_that_can_be_given() -> None:
    assert set(ROLE_WORDS) == set(Role)
    assert tuple(ASSIGNABLE) == get_args(LoginRole)


async def _status(folder: Path, role: str, path: str) -> int:
    with_account(folder, "ann", role)
    async with visit(folder) as person:
        assert (await person.log_in("ann")).status_code == 303
        return (await person.open(path)).status_code


async def test_a_page_that_is_in_no_table_is_closed_also_to_an_operator(tmp_path: Path) -> None:
    assert await _status(tmp_path, "operator", "/unknown") == 403


@pytest.mark.parametrize("path", ["/", "/explain/x", "/try", "/metrics", "/models/mortality_5y", "/docs/", "/unknown"])
async def test_without_a_login_every_page_leads_to_it_and_programs_are_told(tmp_path: Path, path: str) -> None:
    async with visit(tmp_path) as person:
        answer = await person.open(path)
        assert answer.status_code == 303
        assert "login?page=" in answer.headers["location"]
        told = await person.calls.get(path, headers={"accept": "application/json"})
        assert told.status_code == 401
        assert told.json()["resourceType"] == "OperationOutcome"
        assert (await person.calls.post(path, headers=BROWSER)).status_code in (401, 403)


async def test_health_static_files_and_the_login_itself_need_no_login(tmp_path: Path) -> None:
    async with visit(tmp_path) as person:
        for path in ("/livez", "/readyz", "/static/look.css", "/login"):
            assert (await person.open(path)).status_code == 200


async def test_hook_calls_are_not_asked_for_a_login(tmp_path: Path) -> None:
    async with visit(tmp_path) as person:
        assert (await person.calls.get("/cds-services")).status_code == 200


async def test_a_program_with_the_operators_token_reads_the_pages_for_programs_and_no_others(tmp_path: Path) -> None:
    token = "operator-token-of-the-tests"  # noqa: S105
    async with visit(tmp_path, operator_token=token) as person:
        bearer = {"authorization": f"Bearer {token}", "accept": "application/json"}
        assert (await person.calls.get("/metrics", headers=bearer)).status_code == 200
        assert (await person.calls.get("/try", headers=bearer)).status_code == 401
        assert (await person.calls.get("/worklist", headers=bearer)).status_code == 401


NEXT_TASKS = {
    "viewer": "rules", "clinician": "worklist", "model-owner": "models", "approver": "rules#waiting",
    "pharmacist": "rules#find", "operator": "try", "auditor": "decisions",
}  # fmt: skip


@pytest.mark.parametrize("role", ASSIGNABLE)
async def test_the_start_page_begins_with_the_next_task_of_a_role_and_every_link_opens(
    tmp_path: Path, role: Role
) -> None:
    with_account(tmp_path, "ann", role)
    async with visit(tmp_path) as person:
        assert (await person.log_in("ann")).status_code == 303
        text = (await person.open("/")).text
        page, own = Page(text), text.partition('<dl class="terms">')[2].partition("</dl>")[0]
        assert re.findall('href="([^"]*)"', own)[0] == NEXT_TASKS[role]
        links = [each.attributes["href"] for each in page.all("a") if "main" in each.path]
        assert ("never verified" in text) == (role in ("operator", "auditor"))
        in_navigation = [each for each in page.all("a") if "nav" in each.path]
        assert len(in_navigation) <= 7
        for link in {link.partition("#")[0] for link in links if not link.startswith("docs/")}:
            assert (await person.open(f"/{link}")).status_code == 200, link


async def test_an_auditor_sees_who_logged_in_and_who_was_shown_which_page(tmp_path: Path) -> None:
    with_account(tmp_path, "ann", "auditor")
    async with visit(tmp_path) as person:
        await person.log_in("ann")
        await person.open("/decisions")
        text = Page((await person.open("/decisions/seen")).text).text
        assert "logged in or out, act in" in text
        assert "was shown a page of patients, page /decisions" in text
        assert "Nothing of this person" in (await person.open("/decisions/seen?who=nobody")).text
