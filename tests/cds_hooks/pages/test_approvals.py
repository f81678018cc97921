"""The page on which signed acts are handed in: who may, what it shows, and what it answers to a wrong file."""

from pathlib import Path

import httpx
import pytest

from cds_hooks.hold_back.signatures import MOST_BYTES
from tests.cds_hooks.access.browsing import BROWSER, Person, entries, form_token, visit, with_account
from tests.cds_hooks.calls import client
from tests.cds_hooks.hold_back.test_submission import DIGEST, RULE, Desk, _file
from tests.cds_hooks.pages.test_decisions import trust_file_in
from tests.cds_hooks.web.markup import faults

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def _hand_in(person: Person, content: str | bytes, token: str | None = None) -> httpx.Response:
    fields = {"form_token": form_token(await person.open("/rules")) if token is None else token}
    file = {"acts": ("signed.json", content, "application/json")}
    return await person.calls.post("/rules", data=fields, files=file, headers=person.headers)


@pytest.mark.anyio
async def test_an_approver_hands_in_two_files_and_the_page_of_the_rule_has_the_signatures(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with_account(tmp_path, "vera", "approver")
    behind = {"trust_file": trust_file_in(tmp_path), "people_file": desk.site.file}
    async with visit(tmp_path, **behind) as person:
        await person.log_in("vera")
        first = await _hand_in(person, _file([desk.approval(note=HOSTILE)]))
        assert (first.status_code, faults(first.text)) == (200, [])
        assert "signed by Ann Lee (pharmacist). Not in effect yet" in first.text
        assert "Recorded" in first.text
        assert "1 to be signed by another person" in first.text
        assert HOSTILE not in first.text
        second = await _hand_in(person, _file([desk.approval("Ben Ray")]))
        assert "It counts now" in second.text
        doubled = await _hand_in(person, _file([desk.approval("Ben Ray")]))
        assert doubled.status_code == 400
        assert f"Ben Ray has signed rule {RULE} in version {DIGEST} already" in doubled.text
        assert 'aria-invalid="true"' in doubled.text
    assert {actor for actor, _ in entries(tmp_path, "acts-handed-in")} == {"account vera"}


@pytest.mark.anyio
async def test_a_wrong_file_a_form_without_its_token_and_another_role_are_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with_account(tmp_path, "vera", "approver")
    with_account(tmp_path, "otto", "auditor")
    behind = {"trust_file": trust_file_in(tmp_path), "people_file": desk.site.file}
    async with visit(tmp_path, **behind) as person:
        await person.log_in("vera")
        key = (tmp_path / "stranger.pem").read_text()
        for content, status, said in (
            (key, 400, "private key, which belongs on no server: it was not kept"),
            ("", 400, "No file was chosen"),
            (b"\xff\xfe\x00", 400, "not UTF-8"),
            (f'{{"a": "{HOSTILE}"}}', 400, "This is no file of signed acts"),
            (" " * (MOST_BYTES + 1) + "x", 400, "larger than the"),
            (b"x" * (3 * MOST_BYTES), 413, "larger than the"),
        ):
            answer = await _hand_in(person, content)
            assert (answer.status_code, said in answer.text) == (status, True), (said, answer.text[:2000])
            assert "Nothing was recorded" in answer.text
            assert HOSTILE not in answer.text
            assert key.splitlines()[1] not in answer.text
        assert (await _hand_in(person, _file([desk.approval()]), token="another")).status_code == 403  # noqa: S106
        await person.log_in("otto")
        assert (await _hand_in(person, _file([desk.approval()]))).status_code == 403
    assert entries(tmp_path, "approval") == []


@pytest.mark.anyio
async def test_behind_a_trust_file_without_a_login_only_the_operator_hands_in(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    token = "operator-token-of-the-tests"  # noqa: S105
    behind = {"trust_file": trust_file_in(tmp_path), "people_file": desk.site.file, "operator_token": token}
    file = {"acts": ("signed.json", _file([desk.approval()]), "application/json")}
    async with client(tmp_path, **behind) as calls:
        refused = await calls.post("/rules", files=file, headers=BROWSER)
        assert (refused.status_code, "only the operator" in refused.text) == (403, True)
        other = BROWSER | {"authorization": f"Bearer {token}", "sec-fetch-site": "cross-site"}
        assert "did not come from a page of this server" in (await calls.post("/rules", files=file, headers=other)).text
        own = BROWSER | {"authorization": f"Bearer {token}"}
        assert (await calls.post("/rules", files=file, headers=own)).status_code == 200
    assert [actor for actor, _ in entries(tmp_path, "acts-handed-in")] == ["operator"]


@pytest.mark.anyio
async def test_the_development_profile_says_that_no_signature_is_needed(tmp_path: Path) -> None:
    async with client(tmp_path) as calls:
        page = (await calls.get("/rules")).text
        assert faults(page) == []
        assert "no signature counts" in page
        assert "<form method=" not in page
        file = {"acts": ("signed.json", "{}", "application/json")}
        answer = await calls.post("/rules", files=file, headers=BROWSER)
        assert (answer.status_code, "nothing was recorded" in answer.text) == (400, True)
