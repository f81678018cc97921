"""What a person confirms about interfaces: a new usual; and who is told of incidents."""

from contextlib import closing
from pathlib import Path

import orjson
from sqlalchemy import select

from cds_hooks.events.inbox import Inbox
from cds_hooks.events.watch.running import InterfaceWatch
from cds_hooks.metrics.counts import Metrics
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import events
from tests.cds_hooks.calls import client
from tests.cds_hooks.events.messages import run_async
from tests.cds_hooks.events.test_watch import silent_feed
from tests.live import record_in

Silent = tuple[InterfaceWatch, Inbox, Metrics, list[float]]
PAGE = {"accept": "text/html", "origin": "http://localhost"}
__all__ = ["silent_feed"]


@run_async
async def test_the_page_offers_acts_and_records_who_confirmed_them(silent_feed: Silent, tmp_path: Path) -> None:
    _, inbox, _, _ = silent_feed
    with closing(inbox), inbox.transaction() as connection:
        connection.execute("UPDATE incidents SET content = replace(content, '\"silent\"', '\"unit\"')")
    async with client(tmp_path, events_file=tmp_path / "events.toml") as calls:
        page = (await calls.get("/ops", headers=PAGE)).text
        assert "This is usual from now on" in page
        forms = [
            {"act": "accept", "incident": "1"},
            {"act": "accept", "incident": "2"},
            {"act": "replay-all", "feed": "other"},
        ]
        answers = [(await calls.post("/ops/interfaces", data=form, headers=PAGE)).status_code for form in forms]
        assert answers == [303, 404, 404]
        page = (await calls.get("/ops?did=accept", headers=PAGE)).text
        assert "The incident is taken as usual from now on." in page
    rows = read_rows(
        record_in(tmp_path), select(events.c.actor, events.c.detail).where(events.c.kind == "interface-act")
    )
    assert [(row.actor, orjson.loads(row.detail)["act"]) for row in rows] == [("anyone", "accept")]
