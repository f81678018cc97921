"""Where the record does not take a view nothing of a patient is shown, and a socket is closed."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from cds_hooks.app import create_app
from cds_hooks.settings import Settings
from tests.cds_hooks.access.browsing import entries, visit, with_account
from tests.cds_hooks.logged import capture_logs
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
        assert [line["status"] for line in lines if line["event"] == "view not recorded"] == [503]
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
