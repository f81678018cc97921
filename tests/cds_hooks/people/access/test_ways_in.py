"""Who is not let in, what the log says of it, and that each view of a patient is recorded."""

from itertools import product
from pathlib import Path
from typing import Any

from cds_hooks.people.access.roles import Role
from cds_hooks.people.pages.doors import DOORS
from tests.cds_hooks.calls import client
from tests.cds_hooks.logged import capture_logs
from tests.cds_hooks.people.access.browsing import BROWSER, entries, visit, with_account


def _reasons(lines: list[dict[str, Any]], event: str) -> list[tuple[int, str]]:
    return [(line["status"], line["reason"]) for line in lines if line["event"] == event]


async def test_a_launch_of_an_ehr_that_is_not_registered_or_was_not_begun_here_is_refused(tmp_path: Path) -> None:
    async with client(tmp_path) as calls:
        answer = await calls.get("/launch?iss=https://ehr.example&launch=1", headers=BROWSER)
        assert answer.status_code == 403
        assert "registered for no client of this server that may launch it as an app" in answer.text
        with capture_logs() as lines:
            back = await calls.get("/launch/back?state=x&code=y", headers=BROWSER)
        assert (back.status_code, "This login was not started here" in back.text) == (403, True)
        assert _reasons(lines, "launch refused") == [(403, "state")]


async def test_a_session_that_cannot_be_looked_up_shows_nothing(tmp_path: Path) -> None:
    with_account(tmp_path, "ann", "viewer")
    async with visit(tmp_path) as person:
        await person.log_in("ann")
        assert (await person.open("/docs/")).status_code == 200
        (tmp_path / "access.sqlite3").write_bytes(b"no database")
        for beside in ("access.sqlite3-wal", "access.sqlite3-shm"):
            (tmp_path / beside).unlink(missing_ok=True)
        with capture_logs() as lines:
            answer = await person.open("/docs/")
        assert (answer.status_code, "Your login cannot be read" in answer.text) == (503, True)
        assert [line["status"] for line in lines if line["event"] == "record away"] == [503]
        assert (await person.open("/static/look.css")).status_code == 200


async def test_each_view_of_a_patient_is_recorded_with_who_saw_it(tmp_path: Path) -> None:
    token = "operator-token-of-the-tests"  # noqa: S105
    async with visit(tmp_path, operator_token=token) as person:
        headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
        assert (await person.calls.get("/decisions", headers=headers)).status_code == 200
        assert (await person.calls.get("/ops", headers=headers)).status_code == 200
        assert (await person.calls.get("/ops/interfaces", headers=headers)).status_code == 401
        assert (await person.calls.get(f"/explain/{'x' * 400}", headers=headers)).status_code == 404
    assert entries(tmp_path, "page-view") == [("operator", {"page": "/decisions"})]


_CLOSED = [door.path for door in DOORS if door.roles is not None]


_METHODS = ("HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "GET ")


async def test_no_method_opens_a_page_without_a_login_or_for_another_role(tmp_path: Path) -> None:
    with_account(tmp_path, "cat", "clinician")
    async with visit(tmp_path) as person:
        for method, path in product(_METHODS, _CLOSED):
            answer = await person.calls.request(method, path, headers=BROWSER)
            assert answer.status_code in (303, 401), (method, path)
            assert "set-cookie" not in answer.headers, (method, path)
        await person.log_in("cat")
        for method, door in product(_METHODS, DOORS):
            if door.roles is not None and Role.CLINICIAN not in door.roles:
                answer = await person.calls.request(method, door.path, headers=BROWSER)
                assert answer.status_code == 403, (method, door.path)
    assert entries(tmp_path, "page-view") == []


async def test_no_page_behind_the_login_tells_its_address_to_others_or_is_kept(tmp_path: Path) -> None:
    with_account(tmp_path, "ann", *(role for role in Role if role is not Role.CLINICIAN_LINK))
    async with visit(tmp_path) as person:
        closed = await person.open("/decisions/00000000-0000-7000-8000-000000000000")
        assert closed.headers["cache-control"] == "no-store"
        await person.log_in("ann")
        for path in (*_CLOSED, "/models/mortality_5y", "/rules/renal-metformin", "/decisions"):
            if path in ("/equations", "/docs", "/metrics"):
                continue  # nothing of a patient or a person is in their addresses or on them
            answer = await person.open(path)
            sent = {name: answer.headers.get(name) for name in ("referrer-policy", "cache-control")}
            assert sent == {"referrer-policy": "same-origin", "cache-control": "no-store"}, path
            assert answer.headers["x-content-type-options"] == "nosniff", path
            policy = answer.headers["content-security-policy"]
            assert "frame-ancestors 'none'" in policy, path
            assert "form-action 'self'" in policy, path
