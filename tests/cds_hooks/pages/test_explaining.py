"""The page of a decision over HTTP: its forms are taken of who may see it."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cds_hooks.access.browsing import BROWSER, entries, form_token, visit, with_account
from tests.cds_hooks.calls import client, ours
from tests.cds_hooks.services.equation_calls import NOW, _request

STATIN = "statin-discussion"
FORM = {"card": "00000000-0000-7000-8000-000000000100"}


async def _called(calls: httpx.AsyncClient) -> str:
    """The address of the page of a PREVENT decision."""
    answer = await calls.post(f"/cds-services/{STATIN}", json=_request(STATIN, "diabetes-no-statin", ()))
    assert answer.status_code == 200, answer.text
    return f"/explain/{ours(answer)['decision']}"


@pytest.mark.parametrize(
    "headers",
    [
        {"accept": "text/html", "sec-fetch-site": "cross-site"},
        {"accept": "text/html", "sec-fetch-site": "same-site"},
        {"accept": "text/html", "origin": "https://evil.example"},
        {"accept": "text/html", "origin": "null"},
    ],
    ids=lambda headers: str(headers),
)
async def test_a_form_of_another_site_is_refused_with_and_without_a_session(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    with_account(tmp_path, "cleo", "clinician")
    async with client(tmp_path, as_of=NOW) as calls:
        page = await _called(calls)
        refused = await calls.post(page, data=FORM, headers=headers)
        assert refused.status_code == 403
        assert "148 mmHg" not in refused.text
    async with visit(tmp_path, as_of=NOW) as person:
        await person.log_in("cleo")
        token = form_token(await person.open(page))
        fields = {**FORM, "form_token": token}
        assert (await person.calls.post(page, data=fields, headers=headers)).status_code == 403
        assert (await person.send(page, **FORM)).status_code == 403
        assert (await person.send(page, **FORM | {"form_token": "another"})).status_code == 403
    assert entries(tmp_path, "page-view") == [("account cleo", {"page": page})]


@pytest.mark.parametrize("role", ["viewer", "model-owner", "approver"])
async def test_who_may_not_see_the_page_gets_no_answer_to_its_form(tmp_path: Path, role: str) -> None:
    with_account(tmp_path, "vera", role)
    async with visit(tmp_path, as_of=NOW) as person:
        page = await _called(person.calls)
        assert (await person.calls.post(page, data=FORM, headers=BROWSER)).status_code == 401
        await person.log_in("vera")
        refused = await person.send(page, **FORM)
        assert refused.status_code == 403
        assert "mmHg" not in refused.text


async def test_a_form_without_a_card_and_one_about_nobody_are_refused(tmp_path: Path) -> None:
    from tests.cds_hooks.calls import PLANNING, request_for

    async with client(tmp_path, as_of=NOW) as calls:
        sent: dict[str, Any] = request_for(PLANNING, "patient-view", "planning-talk", NOW)
        decision = ours(await calls.post(f"/cds-services/{PLANNING}", json=sent))["decision"]
        refused = await calls.post(f"/explain/{decision}", data={"to-sbp": "125"}, headers=BROWSER)
        assert refused.status_code == 400
        assert "The form cannot be used" in refused.text
        for nobody in ("/explain/nobody", "/explain/00000000-0000-7000-8000-000000000000"):
            assert (await calls.post(nobody, data=FORM, headers=BROWSER)).status_code == 404
        other = await calls.post(f"/explain/{decision}", json={"to-sbp": 1}, headers=BROWSER)
        assert other.status_code == 400
        assert (await calls.put(f"/explain/{decision}", headers=BROWSER)).status_code == 405
