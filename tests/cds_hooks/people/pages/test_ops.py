"""The page of operations says what is wrong now, also while the record is away, and shows the monitor's report."""

import sqlite3
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from cds_hooks.evidence.decision_views.file import Views
from cds_hooks.evidence.monitor.book import CountBook
from cds_hooks.evidence.monitor.judging import Report, keep_report, note_incidents, summary
from cds_hooks.evidence.monitor.window import Window
from cds_hooks.people.pages.operations.views import Now, state_now
from cds_hooks.people.pages.server import OperatorAccess
from cds_hooks.settings import Settings
from cds_hooks.telemetry.metrics.counts import Minute, Snapshot
from models_onnx.monitoring.figure import Figure, incidents
from tests.cds_hooks.calls import ORDERS, PLANNING, counted_request_for
from tests.cds_hooks.people.pages.test_decisions import counting_client
from tests.cds_hooks.people.web.decisions import AS_OF
from tests.contracts.markup import faults
from tests.each import for_rows


async def test_while_the_record_is_locked_the_page_says_that_calls_fail_and_why(tmp_path: Path) -> None:
    async with counting_client(tmp_path) as calls:
        infant = counted_request_for(PLANNING, "patient-view", "infant", AS_OF)
        await calls.post(f"/cds-services/{PLANNING}", json=infant)
        lock = sqlite3.connect(tmp_path / "decisions.sqlite3", isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        try:
            request = counted_request_for(ORDERS, "order-sign", "ckd4-metformin", AS_OF, "metformin-ckd4-coded")
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


async def test_calls_that_were_refused_are_failures_with_their_status(tmp_path: Path) -> None:
    async with counting_client(tmp_path) as calls:
        request = counted_request_for(PLANNING, "patient-view", "planning-talk", AS_OF) | {"prefetch": {}}
        for _ in range(3):
            assert (await calls.post(f"/cds-services/{PLANNING}", json=request)).status_code == 412
        page = (await calls.get("/ops")).text
        assert "3 of 3 calls failed in the last 10 minutes." in page
        assert "HTTP 412" in page
        assert "its FHIR server gave none" in page


async def test_the_page_says_of_the_week_what_the_newest_report_of_the_monitor_says(tmp_path: Path) -> None:
    async with counting_client(tmp_path) as calls:
        request = counted_request_for(ORDERS, "order-select", "ckd4-metformin", AS_OF, "metformin-ckd4-coded")
        await calls.post(f"/cds-services/{ORDERS}", json=request)
        assert "No report was made yet" in (await calls.get("/ops")).text
        book = CountBook(Views(tmp_path / "counts.sqlite3"))
        told = Figure("ehr", ORDERS, "missing", "albumin", "act", 300, 200, 0.5, 0.1, "Half had none.", "", "albumin")
        report = Report(datetime.now(UTC).date(), 7, 28, [told], incidents([told]))
        note_incidents(book, report.incidents, Window(report.until, 7, 28, 90))
        keep_report(book, report)
        page = (await calls.get("/ops")).text
    assert faults(page) == []
    assert "ehr: Half had none." in page
    assert summary(report.figures) in page


async def test_the_page_of_interfaces_says_which_extra_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [
        name
        for name in sys.modules
        if name.startswith(("hl7", "cds_hooks.add_ons.events", "cds_hooks.people.pages.op"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hl7", None)  # as Python says: it is not there
    async with counting_client(tmp_path) as calls:
        page = await calls.get("/ops/interfaces", headers={"accept": "text/html"})
    assert page.status_code == 503
    assert "pip install &#39;cds-hooks-onnx[events]&#39;" in page.text


# What is wrong now is told from what the workers count of their own calls, by the minute.
AT = datetime(2026, 11, 20, 9, 30, 30, tzinfo=UTC)
MINUTE = int(AT.timestamp() // 60)


def told(*minutes: tuple[int, int, dict[str, int]], not_ready: str = "", out: tuple[str, ...] = ()) -> Now:
    """The state where so many minutes ago so many calls were answered and these failed."""
    counted = {MINUTE - ago: Minute(answered, failed) for ago, answered, failed in minutes}
    return state_now([Snapshot(minutes=counted, started_at=1.0)], not_ready, out, AT)


def test_a_fhir_server_that_gives_nothing_is_named_with_its_client() -> None:
    counted = {MINUTE: Minute(9, reads={"ehr": 4, "other": 40}, unanswered={"ehr": 4, "other": 4})}
    sentence = state_now([Snapshot(minutes=counted, started_at=1.0)], "", (), AT).sentence
    assert "server of ehr " in sentence
    assert "other" not in sentence


# Behind a trust file only the operator reads what was counted and why it was decided so.
TOKEN = "a token for operators"  # noqa: S105 - of this test only
HERE, ELSEWHERE = "127.0.0.1", "192.0.2.7"
SERVED = (HERE, 8085)


def visitors(**given: Any) -> OperatorAccess:
    return OperatorAccess(Settings(trust_file=Path("trust.toml"), **given))


def request(host: str | None, headers: Mapping[str, str] | None = None, server: Any = SERVED) -> Request:
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "headers": raw, "client": (host, 1) if host else None, "server": server})


@for_rows("host", [HERE, "::1", "127.9.9.9", ELSEWHERE, "2001:db8::1", "localhost.evil.example", None])
def test_no_machine_sees_either_without_the_token_because_a_proxy_here_adds_no_header(host: str | None) -> None:
    assert not visitors().is_operator(request(host))


def test_the_operators_own_listener_opens_both_and_a_header_cannot_pretend_it() -> None:
    by_port, by_socket = visitors(operator_listen="127.0.0.1:9085"), visitors(operator_listen="unix:/run/operator.sock")
    assert by_port.is_operator(request(HERE, server=(HERE, 9085)))
    assert by_socket.is_operator(request(None, server=("/run/operator.sock", None)))
    for each in (by_port, by_socket):
        assert not each.is_operator(request(HERE, {"Host": "127.0.0.1:9085"}))
        assert not each.is_operator(request(HERE, server=None))


@for_rows(
    ("host", "seen"),
    [("127.0.0.1:9085", True), ("localhost:9085", True), ("cds.example.org", True), ("evil.example:9085", False)],
)
def test_a_page_of_another_site_does_not_reach_the_operators_listener_on_loopback(host: str, seen: bool) -> None:
    """A name of its own site that was changed to 127.0.0.1 brings the operator's browser there (DNS rebinding)."""
    opened = visitors(operator_listen="127.0.0.1:9085", public_url="https://cds.example.org")
    assert opened.is_operator(request(HERE, {"Host": host}, server=(HERE, 9085))) is seen


@pytest.mark.parametrize("public", ["0.0.0.0:9085", "[::]:9085", f"{ELSEWHERE}:9085"])
def test_an_address_that_other_machines_reach_opens_nothing_without_the_token(public: str) -> None:
    with pytest.raises(ValueError, match="without a token"):
        visitors(operator_listen=public)
    opened = visitors(operator_listen=public, operator_token=TOKEN)
    for server in (("172.17.0.2", 9085), (ELSEWHERE, 9085), (HERE, 9085)):
        assert not opened.is_operator(request(ELSEWHERE, server=server))
        assert opened.is_operator(request(ELSEWHERE, {"Authorization": f"Bearer {TOKEN}"}, server=server))
