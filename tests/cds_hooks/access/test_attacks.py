"""Attacks on the pages behind a login that need no guessing: methods, addresses, headers, names written otherwise."""

import re
from pathlib import Path

import pytest

from cds_hooks.access.accounts import TRIES_FOR_A_NAME
from cds_hooks.access.code_flow import UnderWay, come_back, send_away
from cds_hooks.access.roles import Role
from cds_hooks.pages.doors import DOORS
from tests.cds_hooks.access.browsing import BROWSER, entries, store_of, visit, with_account
from tests.cds_hooks.pages.test_decisions import trust_file_in

_CLOSED = [door.path for door in DOORS if door.roles is not None]
_WRONG = "not the right password"


@pytest.mark.parametrize("host", ["evil.example", "cds.example.org"])
async def test_a_redirect_for_a_slash_names_neither_a_host_nor_plain_http(tmp_path: Path, host: str) -> None:
    behind = {"trust_file": trust_file_in(tmp_path), "public_url": "https://cds.example.org"}
    async with visit(tmp_path, **behind) as person:
        for path, target in (
            ("/login/", "../login"),
            ("/open/decision/signature/", "../signature"),
            ("/launch/?iss=a&launch=b", "../launch?iss=a&launch=b"),
            ("//evil.example/login/", None),
            ("/open/decision/a:b/", "../a%3Ab"),
        ):
            answer = await person.calls.get(path, headers=BROWSER | {"host": host})
            location = answer.headers.get("location")
            if target is None:
                assert location is None or not re.match(r"[a-z]+:|//", location), path
                continue
            assert (answer.status_code, location) == (307, target), path
            assert answer.headers["cache-control"] == "no-store"


async def test_a_name_in_other_letters_or_with_spaces_around_it_has_no_more_tries(tmp_path: Path) -> None:
    with_account(tmp_path, "ann", "operator")
    written = ["ann", "ANN", " ann", "ann\t", "\u00a0Ann\u2003"]
    assert len(written) == TRIES_FOR_A_NAME
    async with visit(tmp_path) as person:
        for name in written:
            assert (await person.log_in(name, _WRONG)).status_code == 403, repr(name)
        for name in (*written, "aNN", "\nann\r\n", "\u3000ANN"):
            assert (await person.log_in(name, _WRONG)).status_code == 429, repr(name)
        assert (await person.log_in("ann")).status_code == 429
    async with visit(tmp_path) as person:  # nor with another address behind a header
        forged = {**BROWSER, "x-forwarded-for": "203.0.113.7", "forwarded": "for=203.0.113.7"}
        person.headers = forged
        assert (await person.log_in("ann", _WRONG)).status_code == 429


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "GET "])
async def test_no_method_opens_a_page_without_a_login_or_for_another_role(tmp_path: Path, method: str) -> None:
    with_account(tmp_path, "cat", "clinician")
    async with visit(tmp_path) as person:
        for path in _CLOSED:
            answer = await person.calls.request(method, path, headers=BROWSER)
            assert answer.status_code in (303, 401), path
            assert "set-cookie" not in answer.headers, path
        await person.log_in("cat")
        for door in DOORS:
            if door.roles is not None and Role.CLINICIAN not in door.roles:
                answer = await person.calls.request(method, door.path, headers=BROWSER)
                assert answer.status_code == 403, door.path
    assert entries(tmp_path, "page-view") == []


async def test_a_page_of_patients_that_is_asked_for_without_its_body_is_a_view_on_record(tmp_path: Path) -> None:
    with_account(tmp_path, "cat", "clinician")
    async with visit(tmp_path) as person:
        await person.log_in("cat")
        answer = await person.calls.head("/worklist", headers=BROWSER)
        assert (answer.status_code, answer.content) == (200, b"")
    assert entries(tmp_path, "page-view") == [("account cat", {"page": "/worklist"})]


async def test_no_page_behind_the_login_tells_its_address_to_others_or_is_kept(tmp_path: Path) -> None:
    with_account(tmp_path, "ann", *(role for role in Role if role is not Role.CLINICIAN_LINK))
    async with visit(tmp_path) as person:
        closed = await person.open("/decisions/00000000-0000-7000-8000-000000000000")
        assert closed.headers["cache-control"] == "no-store"
        await person.log_in("ann")
        for path in (*_CLOSED, "/models/mortality_5y", "/rules/renal-metformin", "/decisions"):
            if path in ("/equations", "/docs", "/openapi.json", "/metrics"):
                continue  # nothing of a patient or a person is in their addresses or on them
            answer = await person.open(path)
            sent = {name: answer.headers.get(name) for name in ("referrer-policy", "cache-control")}
            assert sent == {"referrer-policy": "same-origin", "cache-control": "no-store"}, path
            assert answer.headers["x-content-type-options"] == "nosniff", path
            policy = answer.headers["content-security-policy"]
            assert "frame-ancestors 'none'" in policy, path
            assert "form-action 'self'" in policy, path


def test_a_state_of_a_launch_is_worth_nothing_for_a_login_and_is_used_up_by_the_attempt(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    launch = UnderWay("smart", "https://ehr.example.org/fhir", "verifier", "nonce")
    state = send_away(store, launch, "browser")
    assert come_back(store, "oidc", state, "browser") is None
    assert come_back(store, "smart", state, "browser") is None
    again = send_away(store, launch, "browser")
    assert come_back(store, "smart", again, "another browser") is None
    assert come_back(store, "smart", again, "browser") is None
    good = send_away(store, launch, "browser")
    assert come_back(store, "smart", good, "browser") == launch
