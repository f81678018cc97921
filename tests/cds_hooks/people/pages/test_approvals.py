"""The forms by which people approve and switch: who may, what the page shows, and what it answers to a wrong one."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from cards.rules.engine.governance import NEEDS_NOTE, all_rule_versions
from cds_hooks.evidence.storage.decision import Decision, new_decision_id
from cds_hooks.evidence.storage.opening import open_decision_log
from cds_hooks.people.access.accounts import disable_account
from cds_hooks.people.pages.rules.views import LEAST_PREDICTIONS, MOST_BYTES, why_too_early
from models_onnx.serving.registry import model_ids
from tests.cds_hooks.call.services.test_declared import OF_EQUATION, folder_with
from tests.cds_hooks.calls import client
from tests.cds_hooks.people.access.browsing import BROWSER, Person, entries, form_token, visit, with_account
from tests.cds_hooks.people.governance.clicking import DIGEST, RULE, Desk
from tests.cds_hooks.people.pages.test_decisions import trust_file_in
from tests.conftest import ROOT
from tests.contracts.markup import faults
from tests.live import record_in

HOSTILE = "<script>alert(1)</script>"
APPROVE = {"kind": "rule", "name": RULE, "version": DIGEST, "state": "approved", "why": HOSTILE}


@pytest.fixture
def behind(tmp_path: Path) -> dict[str, Any]:
    """The settings of a site behind a trust file, with the accounts of a pharmacist, an approver and an auditor."""
    desk = Desk(record_in(tmp_path))
    desk.account("vera", "add", roles=["approver"])
    for name, role in (("ann", "pharmacist"), ("vera", "approver"), ("otto", "auditor")):
        with_account(tmp_path, name, role)
    return {"trust_file": trust_file_in(tmp_path)}


async def _send(person: Person, token: str | None = None, **fields: str) -> httpx.Response:
    """The answer to a form, which is multipart as the page sends it."""
    of_session = form_token(await person.open("/rules")) if token is None else token
    file = {"reviewed": ("list.txt", fields.pop("reviewed"), "text/plain")} if "reviewed" in fields else {}
    parts = file or {"nothing": ("", "", "text/plain")}
    data = {"form_token": of_session, **fields}
    return await person.calls.post("/rules", data=data, files=parts, headers=person.headers)


async def test_two_people_click_and_the_page_of_the_rule_has_their_approvals(
    tmp_path: Path, behind: dict[str, Any]
) -> None:
    async with visit(tmp_path, **behind) as person:
        await person.log_in("ann")
        page = (await person.open(f"/rules/{RULE}")).text
        assert f'name="version" value="{DIGEST}"' in page
        assert "Approve this version" in page
        assert faults(page) == []
        first = await _send(person, **APPROVE)
        assert (first.status_code, faults(first.text)) == (200, [])
        assert "by Ann Example (pharmacist). Not in effect yet" in first.text
        assert "1 to be done by another person" in first.text
        assert HOSTILE not in first.text
        again = await _send(person, **APPROVE)
        assert (again.status_code, "another person in another role is needed" in again.text) == (400, True)
        await person.log_in("vera")
        assert "It counts now" in (await _send(person, **APPROVE)).text
    details = [(actor, detail["role"], detail["issuer"]) for actor, detail in entries(tmp_path, "approval")]
    assert details == [("account ann", "pharmacist", "accounts"), ("account vera", "approver", "accounts")]


async def test_one_person_switches_off_at_once_and_says_why(tmp_path: Path, behind: dict[str, Any]) -> None:
    off = {"kind": "service", "name": "order-safety", "state": "off"}
    async with visit(tmp_path, **behind) as person:
        await person.log_in("vera")
        refused = await _send(person, **off)
        assert (refused.status_code, "Give the reason" in refused.text) == (400, True)
        assert "It counts now" in (await _send(person, **off, why="wrong doses reported")).text
        on = await _send(person, **off | {"state": "on"}, why="corrected")
        assert "Not in effect yet" in on.text
    assert [detail["state"] for _, detail in entries(tmp_path, "release-act")] == ["off", "on"]


@pytest.mark.slow
async def test_the_forms_of_the_page_of_a_model_approve_it_and_its_waiver_and_release_it(
    tmp_path: Path, behind: dict[str, Any]
) -> None:
    async with visit(tmp_path, **behind) as person:
        await person.log_in("ann")
        forms = _forms((await person.open("/models/mortality_5y_small")).text)
        assert [(form["kind"], form.get("state", "")) for form in forms] == [
            ("waiver", "approved"), ("model", "approved"), ("model", ""),
        ]  # fmt: skip
        for form in forms:
            form = {"state": "shadow", **form, "why": "first weeks"}
            answer = await _send(person, **form)
            assert answer.status_code == 200
        models = (await person.open("/models")).text
        assert (models.count("0 of 2"), faults(models)) == (len(model_ids()), []), "this process reads a moment later"
        waiting = [form for form in _forms(answer.text) if form.get("state") == "approved"]
        assert [form["kind"] for form in waiting] == ["waiver", "model"]
        await person.log_in("vera")
        for form in waiting:
            assert "It counts now" in (await _send(person, **form, why="read")).text
    states = [detail["state"] for _, detail in entries(tmp_path, "release-act")]
    assert (states, len(entries(tmp_path, "approval"))) == (["shadow"], 4)


@pytest.mark.slow
async def test_two_people_release_a_published_artifact_in_the_version_that_the_page_shows(
    tmp_path: Path, behind: dict[str, Any]
) -> None:
    async with visit(tmp_path, **behind, knowledge=ROOT / "data" / "samples" / "knowledge") as person:
        await person.log_in("ann")
        page = (await person.open("/rules")).text
        assert faults(page) == []
        form = next(form for form in _forms(page) if form.get("name") == "sample-test-due")
        other = await _send(person, **form | {"version": "0" * 64, "state": "shadow", "why": "tried"})
        assert (other.status_code, "another version than was shown" in other.text) == (400, True)
        for name, words in (("ann", "Not in effect yet"), ("vera", "It counts now")):
            await person.log_in(name)
            shadow = await _send(person, **form, state="shadow", why="first evaluation") if name == "ann" else None
            assert shadow is None or "It counts now" in shadow.text
            assert words in (await _send(person, **form, state="canary", share="5", why="evaluated")).text
    states = [detail["state"] for _, detail in entries(tmp_path, "release-act")]
    assert states == ["shadow", "canary", "canary"]


async def test_two_people_approve_the_words_of_a_service_as_the_page_shows_them(
    tmp_path: Path, behind: dict[str, Any]
) -> None:
    folder = folder_with(tmp_path, OF_EQUATION)
    async with visit(tmp_path, **behind, models_folder=folder) as person:
        await person.log_in("ann")
        page = (await person.open("/rules")).text
        assert faults(page) == []
        assert "Consider a talk with the nurse." in page
        (form,) = [form for form in _forms(page) if form["kind"] == "service"]
        other = await _send(person, **form | {"version": "0" * 64})
        assert (other.status_code, "is not here in these words" in other.text) == (400, True)
        for name, words in (("ann", "Not in effect yet"), ("vera", "It counts now")):
            await person.log_in(name)
            assert words in (await _send(person, **form, why="read")).text
    assert len(entries(tmp_path, "approval")) == 2


def _forms(page: str) -> list[dict[str, str]]:
    """The hidden fields of each form that is sent to /rules."""
    forms = re.findall(r'<form [^>]*method="post" action="[^"]*rules[^>]*>(.*?)</form>', page, re.DOTALL)
    fields = [dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)) for form in forms]
    return [{name: value for name, value in form.items() if name != "form_token"} for form in fields if "kind" in form]


@pytest.mark.slow
async def test_a_reviewed_list_is_approved_by_two_people(tmp_path: Path, behind: dict[str, Any]) -> None:
    rules = [version for version in all_rule_versions().values() if version.rule.audit.verified != NEEDS_NOTE][:40]
    lines = "\n".join(f"{version.rule.id} {version.digest}" for version in rules)
    async with visit(tmp_path, **behind) as person:
        await person.log_in("ann")
        wrong = await _send(person, reviewed=f"{lines}\n{RULE} {'0' * 16}")
        assert (wrong.status_code, "read it again" in wrong.text) == (400, True)
        assert entries(tmp_path, "approval") == []
        for content, said in ((HOSTILE, "Line 1"), ("# nothing", "names no rule")):
            answer = await _send(person, reviewed=content)
            assert (answer.status_code, said in answer.text, HOSTILE in answer.text) == (400, True, False)
        assert (await _send(person, reviewed="x" * (MOST_BYTES + 1))).status_code == 413
        assert (await _send(person, reviewed=f"# read\n{lines}")).status_code == 200
        await person.log_in("vera")
        assert "It counts now" in (await _send(person, reviewed=lines)).text
    assert len(entries(tmp_path, "approval")) == 2 * len(rules)


async def test_all_rules_are_one_row_that_two_people_approve(tmp_path: Path, behind: dict[str, Any]) -> None:
    async with visit(tmp_path, **behind) as person:
        await person.log_in("ann")
        (form,) = [form for form in _forms((await person.open("/rules")).text) if form["kind"] == "rules"]
        other = await _send(person, **form | {"version": "0" * 12, "why": "read"})
        assert (other.status_code, "have changed since the page was opened" in other.text) == (400, True)
        for name, words in (("ann", "Not in effect yet"), ("vera", "It counts now")):
            await person.log_in(name)
            answer = await _send(person, **form, why="read with their labels")
            assert words in answer.text
            assert len(answer.content) < 300_000
            assert faults(answer.text) == []
    assert len(entries(tmp_path, "approval")) == 2 * len(all_rule_versions())


async def test_the_rules_that_ask_a_result_are_found_by_its_name(tmp_path: Path, behind: dict[str, Any]) -> None:
    async with visit(tmp_path, **behind) as person:
        await person.log_in("ann")
        for result, rule in (("INR", "mon-warfarin-inr"), ("creatinine", "renal-metformin")):
            page = await person.open(f"/rules?drug={result}&what={rule}")
            assert (page.status_code, f"rules/{rule}" in page.text) == (200, True)


async def test_a_form_of_another_session_of_another_site_and_another_role_approve_nothing(
    tmp_path: Path, behind: dict[str, Any]
) -> None:
    async with visit(tmp_path, **behind) as person:
        assert (await _send(person, token="x", **APPROVE)).status_code == 401  # noqa: S106 - nobody has logged in
        await person.log_in("ann")
        of_ann = form_token(await person.open("/rules"))
        await person.log_in("vera")
        assert (await _send(person, token=of_ann, **APPROVE)).status_code == 403, "the form of another session"
        assert (await _send(person, token="", **APPROVE)).status_code == 403
        own = form_token(await person.open("/rules"))
        person.headers = BROWSER | {"sec-fetch-site": "cross-site"}
        assert (await _send(person, token=own, **APPROVE)).status_code == 403
        person.headers = BROWSER
        await person.log_in("otto")
        assert (await _send(person, **APPROVE)).status_code == 403
    assert entries(tmp_path, "approval") == []


async def test_somebody_whose_account_was_disabled_approves_nothing_with_the_page_that_is_open(
    tmp_path: Path, behind: dict[str, Any]
) -> None:
    async with visit(tmp_path, **behind) as person:
        await person.log_in("ann")
        token = form_token(await person.open("/rules"))
        disable_account(with_account(tmp_path, "zoe", "viewer"), "ann")
        assert (await _send(person, token=token, **APPROVE)).status_code == 401
    assert entries(tmp_path, "approval") == []


async def test_behind_a_trust_file_without_a_login_nobody_approves(tmp_path: Path, behind: dict[str, Any]) -> None:
    token = "operator-token-of-the-tests"  # noqa: S105
    async with client(tmp_path, **behind, operator_token=token) as calls:
        parts = {"nothing": ("", b"", "text/plain")}
        assert (await calls.post("/rules", data=APPROVE, files=parts, headers=BROWSER)).status_code == 403
        own = BROWSER | {"authorization": f"Bearer {token}"}
        answer = await calls.post("/rules", data=APPROVE, files=parts, headers=own)
        assert (answer.status_code, "so set CDS_LOGIN: nothing was recorded" in answer.text) == (400, True)
    assert entries(tmp_path, "approval") == []


async def test_the_development_profile_says_that_no_approval_is_needed(tmp_path: Path) -> None:
    async with client(tmp_path) as calls:
        page = (await calls.get("/rules")).text
        assert faults(page) == []
        assert "no approval is asked for" in page
        assert '<form method="post"' not in page.partition("<main")[2]
        parts = {"nothing": ("", b"", "text/plain")}
        answer = await calls.post("/rules", data=APPROVE, files=parts, headers=BROWSER)
        assert (answer.status_code, "nothing was recorded" in answer.text) == (400, True)


NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
IN_USE, VERSION = "aa" * 32, "bb" * 32


def decision(hours: float) -> Decision:
    """One in which both versions computed."""
    models = [{"id": "model", "version": "1", "sha256": each} for each in (IN_USE, VERSION)]
    return Decision(
        id=new_decision_id(), decided_at=int((NOW - timedelta(hours=hours)).timestamp() * 1e6), hook="patient-view",
        service="planning-conversation", hook_instance="1", client="north", patient="p", outcome="silent",
        input_digest="ab" * 32, models=json.dumps(models).encode(), response=b"{}", basis=b"{}",
    )  # fmt: skip


async def test_a_canary_waits_for_seven_days_and_five_hundred_estimates(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    assert "for 6.0 of at least 7 days" in str(_early(url, days=6))
    await _write(url, LEAST_PREDICTIONS - 1)
    assert f"computed {LEAST_PREDICTIONS - 1} of at least 500" in str(_early(url, days=8))
    await _write(url, 1, hours=9 * 24)
    assert _early(url, days=8) is not None, "what came before the shadow does not count"
    await _write(url, 1)
    assert _early(url, days=8) is None


def _early(url: str, days: int) -> str | None:
    return why_too_early(url, VERSION, (NOW - timedelta(days=days)).isoformat(), NOW)


async def _write(url: str, times: int, hours: float = 1) -> None:
    log = open_decision_log(url)
    await asyncio.gather(*(log.append(decision(hours)) for _ in range(times)))
    await log.close()
