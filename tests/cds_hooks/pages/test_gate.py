"""Where the record does not take a view nothing of a patient is shown, and a socket is closed."""

import csv
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.access.roles import Role
from cds_hooks.app import create_app
from cds_hooks.pages.doors import DOORS
from cds_hooks.pages.server import site_of
from cds_hooks.services import find_services
from cds_hooks.settings import Settings
from tests.cds_hooks.access.browsing import BROWSER, entries, visit, with_account
from tests.cds_hooks.calls import client
from tests.cds_hooks.logged import capture_logs
from tests.cds_hooks.pages.given import kept_values
from tests.cds_hooks.storage.samples import a_decision, store
from tests.each import rows_of
from tests.live import record_in


def _change(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "decisions.sqlite3")) as connection, connection:
        connection.execute(statement)


async def test_a_view_that_the_record_does_not_take_is_not_shown(tmp_path: Path) -> None:
    with_account(tmp_path, "aud", "auditor")
    async with visit(tmp_path) as person:
        await person.log_in("aud")
        assert (await person.open("/decisions")).status_code == 200
        before = entries(tmp_path, "page-view")
        assert [actor for actor, _ in before] == ["account aud"]
        _change(tmp_path, "CREATE TRIGGER away BEFORE INSERT ON events BEGIN SELECT RAISE(FAIL, 'away'); END")
        with capture_logs() as lines:
            answer = await person.open("/decisions")
        assert answer.status_code == 503
        assert "The view cannot be recorded" in answer.text
        assert "Search" not in answer.text
        assert [line["status"] for line in lines if line["event"] == "record away"] == [503]
        _change(tmp_path, "DROP TRIGGER away")
        assert (await person.open("/decisions")).status_code == 200
    assert len(entries(tmp_path, "page-view")) == 2


async def test_a_socket_is_closed(tmp_path: Path) -> None:
    app = create_app(Settings(database_url=record_in(tmp_path)))
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    scope = {"type": "websocket", "path": "/decisions", "headers": [], "query_string": b"", "scheme": "ws"}
    await app(scope, receive, send)
    assert sent == ["websocket.close"]


_FLAGS = ("of_patients", "token", "by_link", "anonymous")


def _names(roles: frozenset[Role] | None, otherwise: str) -> str:
    return otherwise if roles is None else " ".join(sorted(role.value for role in roles))


def test_each_page_is_open_to_those_whom_the_table_names() -> None:
    with Path(__file__).with_name("doors.csv").open(encoding="utf-8", newline="") as file:
        typed = [tuple(row.values()) for row in csv.DictReader(file)]
    declared = [
        (
            door.path,
            _names(door.roles, "everybody"),
            _names(door.changes, ""),
            " ".join(flag for flag in _FLAGS if getattr(door, flag)),
        )
        for door in DOORS
    ]
    assert sorted(declared) == typed


AS_OF = datetime(2026, 11, 20, 9, tzinfo=UTC)
JSON = {"accept": "application/json"}


@pytest.mark.parametrize(
    ("path", "accept", "is_page"),
    rows_of(__file__, "a_refusal_is_a_page_unless_json_alone_is_asked_for"),
)
async def test_a_refusal_is_a_page_unless_json_alone_is_asked_for(
    tmp_path: Path, path: str, accept: str, *, is_page: bool
) -> None:
    async with client(tmp_path) as calls:
        with capture_logs() as lines:
            answer = await calls.get(path, headers={"accept": accept})
    assert answer.status_code == 404
    (line,) = [line for line in lines if line["event"] == "call refused"]
    assert (line["decision"], line["status"]) == (answer.headers["x-call-id"], 404)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"].startswith("text/html" if is_page else "application/json")
    if is_page:
        assert line["decision"] in answer.text
        return
    document = answer.json()
    assert (document["resourceType"], document["id"]) == ("OperationOutcome", line["decision"])
    assert [issue["code"] for issue in document["issue"]] == ["not-found"]


async def test_a_refusal_for_another_reason_than_that_nothing_is_there_is_forbidden(tmp_path: Path) -> None:
    async with client(tmp_path) as calls:
        answer = await calls.get("/decisions?patient=x", headers=JSON)
    (issue,) = answer.json()["issue"]
    assert (answer.status_code, issue["severity"], issue["code"]) == (400, "error", "forbidden")
    assert issue["diagnostics"] == (
        "A patient, a hook call or a card is never asked for in an address, because logs and histories keep addresses. "
        "Open /decisions and type it into the form."
    )


async def test_an_address_or_a_method_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with client(tmp_path) as calls:
        with kept_values(monkeypatch) as values:
            assert (await calls.get("/nothing", headers=BROWSER)).status_code == 404
            assert values["failure"].title == "There is no such page"
            other = await calls.put("/ops", headers=BROWSER)
            assert (other.status_code, values["failure"].title) == (405, "This page does not take that form")
            assert set(other.headers["allow"].split(", ")) == {"GET", "HEAD"}
        program = await calls.put("/ops")
        assert (program.status_code, program.json()["issue"][0]["code"]) == (405, "not-supported")
        assert (await calls.get("/nothing")).json()["issue"][0]["code"] == "not-found"


async def test_a_record_that_is_away_or_of_another_form_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = a_decision(basis=b"{")
    store(record_in(tmp_path), decision)
    async with client(tmp_path) as calls:
        with kept_values(monkeypatch) as values:
            with capture_logs() as lines:
                other = await calls.get(f"/explain/{decision.id}", headers=BROWSER)
            assert (other.status_code, values["failure"].title) == (500, "This record cannot be shown")
            assert [(line["status"], line["error_type"]) for line in lines if "another form" in line["event"]] == [
                (500, "DecodeError")
            ]
            (tmp_path / "decisions.sqlite3").rename(tmp_path / "elsewhere")
            with capture_logs() as lines:
                away = await calls.get(f"/explain/{decision.id}", headers=BROWSER)
            assert (away.status_code, values["failure"].title) == (503, "The record cannot be read or written")
            assert [line["status"] for line in lines if line["event"] == "record away"] == [503]


@pytest.mark.parametrize(
    ("share", "mortality", "readmission"), [(None, 0.1, 0.1), ("0.05", 0.05, 0.05), ("mortality_5y=0.02", 0.02, 0.1)]
)
async def test_every_page_knows_the_shares_the_clock_and_whether_calls_are_trusted(
    share: str | None, mortality: float, readmission: float
) -> None:
    services = find_services(file="separate").values()
    site = site_of(Settings(alert_share=share, as_of=AS_OF), services)
    assert (site.development, site.clock) == (True, "2026-11-20 09:00 UTC")
    assert site.alert_share == (0.05 if share == "0.05" else None)
    assert (site.shares["mortality_5y"], site.shares["readmission_30d"]) == (mortality, readmission)
    behind = site_of(Settings(trust_file=Path("trust.toml")), ())
    assert (behind.development, behind.clock, behind.shares, behind.by_age) == (False, "", {}, frozenset())
