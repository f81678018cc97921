"""The list of decisions and the page of one, over the real app."""

import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.tools.kit.simulator.signing import new_key
from tests.cds_hooks.calls import ORDERS, PLANNING, client, ours, request_for
from tests.cds_hooks.people.access.browsing import visit, with_account
from tests.cds_hooks.people.web.decisions import AS_OF
from tests.contracts.markup import faults
from tests.live import record_in

FORM = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}


def trust_file_in(folder: Path) -> Path:
    """A trust file with one client."""
    (folder / "keys.json").write_text(json.dumps(new_key("https://ehr.example").key_set()), encoding="utf-8")
    lines = ("version = 1", "[[client]]", 'name = "ehr"', 'issuers = ["https://ehr.example"]', 'algorithms = ["ES384"]')
    text = "\n".join([*lines, 'jwks_file = "keys.json"', f'services = ["{PLANNING}"]'])
    (folder / "trust.toml").write_text(text, encoding="utf-8")
    return folder / "trust.toml"


@asynccontextmanager
async def counting_client(folder: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app whose record and counts are in the folder."""
    async with client(folder, as_of=AS_OF, counts_file=folder / "counts.sqlite3", **settings) as calls:
        yield calls


async def decided(calls: httpx.AsyncClient, sample: str, draft: str | None = None) -> dict[str, Any]:
    """Decision, hook instance and card uuid of a call."""
    service, hook = (ORDERS, "order-select") if draft else (PLANNING, "patient-view")
    request = request_for(service, hook, sample, AS_OF, draft)
    answer = await calls.post(f"/cds-services/{service}", json=request)
    cards = answer.json()["cards"]
    return {
        "id": ours(answer)["decision"],
        "hook_instance": request["hookInstance"],
        "card": cards[0]["uuid"] if cards else "",
        "suggestion": cards[0]["suggestions"][0]["uuid"] if cards and cards[0].get("suggestions") else "",
    }


async def find(calls: httpx.AsyncClient, **fields: str) -> httpx.Response:
    """What the form answers."""
    answer = await calls.post("/decisions", data=fields, headers=FORM)
    address = answer.headers.get("location", "")
    return await calls.get(f"/{address}") if address.startswith("decisions?") else answer


async def test_a_decision_is_found_by_hook_instance_patient_rule_service_and_time(tmp_path: Path) -> None:
    async with counting_client(tmp_path) as calls:
        order = await decided(calls, "ckd4-metformin", "metformin-ckd4-coded")
        chart = await decided(calls, "planning-talk")
        for fields in (
            {"hook_instance": order["hook_instance"]},
            {"patient": "Patient/ckd4-metformin"},
            {"patient": "ckd4-metformin", "outcome": "cards"},
            {"rule": "renal-metformin"},
            {"service": ORDERS},
        ):
            page = (await find(calls, **fields)).text
            assert f"explain/{order['id']}" in page, fields
            assert f"explain/{chart['id']}" not in page, fields
        page = (await calls.get("/decisions", params={"since": "2020-01-01", "until": "2020-01-02"})).text
        assert "No decision fits" in page


@pytest.mark.parametrize("named", ["id", "card", "suggestion"])
async def test_the_uuid_of_a_card_or_suggestion_leads_to_its_decision(tmp_path: Path, named: str) -> None:
    async with counting_client(tmp_path) as calls:
        made = await decided(calls, "ckd4-metformin", "metformin-ckd4-coded")
        answer = await find(calls, card=made[named])
        assert (answer.status_code, answer.headers["location"]) == (303, f"explain/{made['id']}")
        answer = await find(calls, card="01a1f851-2afd-7ec4-9e85-272e25f40000")
        assert answer.status_code == 404
        assert "No decision, card or suggestion of this id" in answer.text


async def test_a_page_has_twenty_and_leads_to_the_older_ones(tmp_path: Path) -> None:
    async with counting_client(tmp_path) as calls:
        ids = [(await decided(calls, "infant"))["id"] for _ in range(25)][::-1]
        page = (await find(calls, patient="infant")).text
        assert [each in page for each in ids] == [True] * 20 + [False] * 5
        before = page.partition('name="before" value="')[2].partition('"')[0]
        page = (await find(calls, patient="infant", before=before)).text
        assert [each in page for each in ids] == [False] * 20 + [True] * 5
        assert "These are all." in page


@pytest.mark.parametrize("field", ["patient", "hook_instance", "card"])
async def test_a_patient_or_a_call_is_never_asked_for_in_an_address(
    tmp_path: Path, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with counting_client(tmp_path) as calls:
        made = await decided(calls, "infant")
        answer = await calls.get("/decisions", params={field: "infant"})
        assert answer.status_code == 400
        assert "never asked for in an address" in answer.text
        page = (await find(calls, patient="infant", hook_instance=made["hook_instance"])).text
        assert f"explain/{made['id']}" in page
        assert "Address of this search" not in page
    told = capsys.readouterr()
    assert '"infant"' not in told.out + told.err


async def test_a_search_without_a_patient_gets_an_address_that_can_be_kept(tmp_path: Path) -> None:
    async with counting_client(tmp_path) as calls:
        made = await decided(calls, "ckd4-metformin", "metformin-ckd4-coded")
        answer = await calls.post("/decisions", data={"service": ORDERS, "severity": "critical"}, headers=FORM)
        assert answer.status_code == 303
        assert answer.headers["location"] == f"decisions?service={ORDERS}&severity=critical#found"
        page = (await calls.get(f"/{answer.headers['location']}")).text
        assert f"explain/{made['id']}" in page
        assert ">Critical</span>" in page.partition("listing")[2]
        page = (await calls.get("/decisions", params={"severity": "info"})).text
        assert made["id"] not in page


async def test_answered_decisions_are_found_by_the_answer(tmp_path: Path) -> None:
    async with counting_client(tmp_path) as calls:
        made = await decided(calls, "ckd4-metformin", "metformin-ckd4-coded")
        other = await decided(calls, "planning-talk")
        item = {"card": made["card"], "outcome": "overridden", "outcomeTimestamp": "2026-11-20T09:20:00Z"}
        await calls.post(f"/cds-services/{ORDERS}/feedback", json={"feedback": [item]})
        page = (await calls.get("/decisions", params={"answer": "overridden"})).text
        assert made["id"] in page
        assert other["id"] not in page
        assert made["id"] not in (await calls.get("/decisions", params={"answer": "accepted"})).text


async def test_forms_of_other_sites_and_ids_that_are_none_are_refused(tmp_path: Path) -> None:
    async with counting_client(tmp_path) as calls:
        answer = await calls.post("/decisions", data={"rule": "x"}, headers={"sec-fetch-site": "cross-site"})
        assert answer.status_code == 403
        for path in ("nobody", "01a1f851-2afd-7ec4-9e85-272e25f40000", "%3Cscript%3E"):
            answer = await calls.get(f"/explain/{path}")
            assert answer.status_code == 404, path
            assert "script>" not in answer.text
        answer = await calls.post("/decisions", content=b"rule=%ff", headers=FORM)
        assert answer.status_code == 400
        answer = await calls.post("/decisions", content=b"x" * 100_000, headers=FORM)
        assert answer.status_code == 413


@pytest.mark.parametrize(("readers", "status"), [("operator", 403), ("everyone", 404)])
async def test_the_page_of_one_decision_is_open_to_whom_the_setting_names(
    tmp_path: Path, readers: str, status: int
) -> None:
    """An id that is not in the record: whoever may look is told so, whoever may not is not."""
    opened = {"explain_pages": readers, "operator_token": "t" * 32, "public_url": "http://127.0.0.1:8085"}
    async with counting_client(tmp_path, trust_file=trust_file_in(tmp_path), **opened) as calls:
        answer = await calls.get("/explain/01a1f851-2afd-7ec4-9e85-272e25f40000")
        assert answer.status_code == status


@pytest.mark.parametrize(("role", "reads"), [("clinician", False), ("pharmacist", True), ("auditor", True)])
async def test_the_page_of_a_decision_has_what_the_record_keeps_for_those_alone_who_read_decisions(
    tmp_path: Path, role: str, reads: bool
) -> None:
    with_account(tmp_path, "ann", role)
    async with visit(tmp_path, as_of=AS_OF) as person:
        made = await decided(person.calls, "ckd4-metformin", "metformin-ckd4-coded")
        await person.log_in("ann")
        page = await person.open(f"/explain/{made['id']}")
        assert faults(page.text) == []
        assert page.text.index('id="said-') < page.text.index("What was looked for")
        for words in ("What happened", "cds-hooks replay", "Digest of the inputs</dt>"):
            assert (words in page.text) is reads, words


async def test_the_values_behind_a_card_are_shown_over_time_and_an_unreadable_chart_is_said(tmp_path: Path) -> None:
    async with counting_client(tmp_path) as calls:
        made = await decided(calls, "ckd4-metformin", "metformin-ckd4-coded")
        page = (await calls.get(f"/explain/{made['id']}")).text
        assert "The values behind it, over time" in page
        assert "25 → 20" in page.replace("25 → 22 → 20", "25 → 20")
        computed = await decided(calls, "planning-talk", "naproxen-heart-failure")
        rows = re.findall(
            r'rowheader">(\w+) <small class="soft">', (await calls.get(f"/explain/{computed['id']}")).text
        )
        assert rows == ["Creatinine"], "an eGFR that is worked out from a creatinine has no course of its own"
        with closing(sqlite3.connect(tmp_path / record_in(tmp_path).rpartition("/")[2])) as record:
            record.execute("DROP TRIGGER IF EXISTS charts_refuse_update")
            record.execute("UPDATE charts SET content = x'00'")
            record.commit()
        answer = await calls.get(f"/explain/{made['id']}")
        assert answer.status_code == 200
        assert "The recorded chart of this decision cannot be read" in answer.text
