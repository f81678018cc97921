"""The page of operations says what is wrong now, also while the record is away, and shows the monitor's report."""

import asyncio
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from cds_hooks.monitor.book import CountBook
from cds_hooks.package_tests.markup import faults
from cds_hooks.record.views import Views
from tests.cds_hooks.access.browsing import visit, with_account
from tests.cds_hooks.calls import ORDERS, PLANNING, request_for
from tests.cds_hooks.pages.test_decisions import decided, run, trust_file_in
from tests.cds_hooks.web.decisions import AS_OF


def test_the_first_look_says_who_called_what_waits_and_since_when_the_server_runs(tmp_path: Path) -> None:
    async def task(calls: httpx.AsyncClient) -> None:
        page = (await calls.get("/ops")).text
        assert faults(page) == []
        assert "No call came in the last ten minutes" in page
        assert "No call is on record" in page
        assert "The record was never verified on this machine." in page
        await decided(calls, "infant")
        page = (await calls.get("/ops")).text
        assert "Calls are answered" in page
        assert "0 of 1 calls failed in the last 10 minutes." in page
        assert "Ann at extension 4711" in page
        assert f"started {datetime.now(UTC):%Y-%m-%d}" in page

    run(tmp_path, task, contact="Ann at extension 4711")


def test_while_the_record_is_locked_the_page_says_that_calls_fail_and_why(tmp_path: Path) -> None:
    async def task(calls: httpx.AsyncClient) -> None:
        await decided(calls, "infant")
        lock = sqlite3.connect(tmp_path / "decisions.sqlite3", isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        try:
            request = request_for(ORDERS, "order-sign", "ckd4-metformin", AS_OF, "metformin-ckd4-coded")
            assert (await calls.post(f"/cds-services/{ORDERS}", json=request)).status_code == 503
            page = await calls.get("/ops")
        finally:
            lock.execute("ROLLBACK")
            lock.close()
        assert (page.status_code, faults(page.text)) == (200, [])
        assert "Calls fail" in page.text
        assert "The decisions cannot be recorded." in page.text
        assert "1 of 2 calls failed in the last 10 minutes." in page.text
        assert "runbooks.html#cdshooksrecordcannotbewritten" in page.text
        assert "Calls are answered" not in page.text

    run(tmp_path, task)


def test_calls_that_were_refused_are_failures_with_their_status(tmp_path: Path) -> None:
    async def task(calls: httpx.AsyncClient) -> None:
        request = request_for(PLANNING, "patient-view", "planning-talk", AS_OF) | {"prefetch": {}}
        for _ in range(3):
            assert (await calls.post(f"/cds-services/{PLANNING}", json=request)).status_code == 412
        page = (await calls.get("/ops")).text
        assert "3 of 3 calls failed in the last 10 minutes." in page
        assert "HTTP 412" in page
        assert "its FHIR server gave none" in page

    run(tmp_path, task)


def test_the_whole_report_is_sent_with_its_own_style_alone(tmp_path: Path) -> None:
    async def task(calls: httpx.AsyncClient) -> None:
        await decided(calls, "infant")
        report = await calls.get("/ops/report")
        assert (report.status_code, "Monitor report of" in report.text) == (200, True)
        policy = report.headers["content-security-policy"]
        assert "style-src 'sha256-" in policy
        assert policy.partition("style-src ")[2].partition(";")[0] in report.text
        assert 'href="ops/report"' in (await calls.get("/ops")).text

    run(tmp_path, task)


def test_a_file_of_counts_that_is_none_is_said_and_the_rest_of_the_page_stands(tmp_path: Path) -> None:
    (tmp_path / "counts.sqlite3").write_bytes(b"no database" * 100)

    async def task(calls: httpx.AsyncClient) -> None:
        answer = await calls.get("/ops")
        assert answer.status_code == 200
        assert "The counts cannot be used" in answer.text
        assert "What is wrong now?" in answer.text
        assert (await calls.get("/ops/report")).status_code == 503
        assert (await calls.get("/decisions")).status_code == 200

    run(tmp_path, task)


def test_the_last_verification_is_on_the_page_also_where_it_found_a_fault(tmp_path: Path) -> None:
    async def task(calls: httpx.AsyncClient) -> None:
        await decided(calls, "infant")
        assert "Not verified on this machine" in (await calls.get("/ops")).text
        book = CountBook(Views(tmp_path / "counts.sqlite3"))
        book.note_verification(7, "")
        assert "As it was written" in (await calls.get("/ops")).text
        book.note_verification(7, "its content was changed")
        page = (await calls.get("/ops")).text
        assert "It is broken" in page
        assert "its content was changed" in page

    run(tmp_path, task)


@pytest.mark.parametrize(("role", "status"), [("operator", 200), ("auditor", 200), ("clinician", 403)])
def test_operators_auditors_and_model_owners_see_operations(tmp_path: Path, role: str, status: int) -> None:
    async def task() -> None:
        with_account(tmp_path, "ann", role)
        async with visit(tmp_path) as person:
            await person.log_in("ann")
            assert (await person.open("/ops")).status_code == status

    asyncio.run(task())


def test_with_a_trust_file_only_the_operator_sees_operations(tmp_path: Path) -> None:
    token = "operator-token-of-the-tests"  # noqa: S105 - of this test only

    async def task(calls: httpx.AsyncClient) -> None:
        for path in ("/ops", "/ops/report"):
            assert (await calls.get(path)).status_code == 403, path
            assert (await calls.get(path, headers={"authorization": f"Bearer {token}"})).status_code == 200, path

    opened = {"operator_token": token, "explain_pages": "everyone", "public_url": "http://127.0.0.1:8085"}
    run(tmp_path, task, trust_file=trust_file_in(tmp_path), **opened)
