"""Where the record does not take a view nothing of a patient is shown, and a socket is closed."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from cds_hooks.server.app import create_app
from cds_hooks.settings import Settings
from tests.cds_hooks.calls import client
from tests.cds_hooks.logged import capture_logs
from tests.cds_hooks.people.access.browsing import BROWSER, entries, visit, with_account
from tests.each import each_row
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


@each_row(("path", "accept", "is_page"))
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


async def test_an_address_or_a_method_that_is_not_there(tmp_path: Path) -> None:
    async with client(tmp_path) as calls:
        nothing = await calls.get("/nothing", headers=BROWSER)
        assert (nothing.status_code, "There is no such page" in nothing.text) == (404, True)
        other = await calls.put("/ops", headers=BROWSER)
        assert (other.status_code, "This page does not take that form" in other.text) == (405, True)
        assert set(other.headers["allow"].split(", ")) == {"GET", "HEAD"}
        program = await calls.put("/ops")
        assert (program.status_code, program.json()["issue"][0]["code"]) == (405, "not-supported")
        assert (await calls.get("/nothing")).json()["issue"][0]["code"] == "not-found"
