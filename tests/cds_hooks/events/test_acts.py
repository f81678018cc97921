"""What a person confirms about interfaces: a new usual; and who is told of incidents."""

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import select

from cds_hooks.events.inbox import Inbox
from cds_hooks.events.watch.running import InterfaceWatch, accept, stored_incidents
from cds_hooks.metrics.counts import Metrics
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import events
from tests.cds_hooks.calls import client
from tests.cds_hooks.events.messages import run_async
from tests.cds_hooks.events.test_watch import STEP, count_of, events_of, silent_feed, watch_of
from tests.live import record_in

Silent = tuple[InterfaceWatch, Inbox, Metrics, list[float]]
PAGE = {"accept": "text/html", "origin": "http://localhost"}
__all__ = ["silent_feed"]


def test_a_lasting_change_that_a_person_accepts_is_closed_and_learned_from_its_beginning_on(
    silent_feed: Silent, tmp_path: Path
) -> None:
    watch, inbox, metrics, now = silent_feed
    (incident,) = stored_incidents(inbox)
    accept(inbox, incident.number)
    count_of(inbox, range(int(now[0] // STEP), int(now[0] // STEP) + 12), 3)
    now[0] += 12 * STEP
    watch.catch_up()
    assert [kind for kind, _ in events_of(inbox)] == ["incident-opened", "incident-closed"]
    assert metrics.incidents() == []
    feed = watch._watch.feeds["lab"] if watch._watch is not None else None
    assert feed is not None
    assert feed.judge is None
    assert feed.first == incident.since
    inbox.close()
    again, inbox, _ = watch_of(tmp_path, now)
    again.catch_up()
    assert [kind for kind, _ in events_of(inbox)] == ["incident-opened", "incident-closed"]
    inbox.close()


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


@run_async
async def test_an_incident_is_posted_when_it_opens_and_when_it_closes_and_again_where_it_was_not_taken(
    silent_feed: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, inbox, _, now = silent_feed
    posted: list[dict[str, Any]] = []
    statuses = [500, 200, 200]

    def answer(request: httpx.Request) -> httpx.Response:
        posted.append(orjson.loads(request.content))
        return httpx.Response(statuses.pop(0))

    monkeypatch.setattr(httpx, "post", httpx.Client(transport=httpx.MockTransport(answer)).post)
    watch._notify()
    watch._notify()
    first = int(now[0] // STEP)
    count_of(inbox, range(first, first + 20), 20)
    now[0] += 20 * STEP
    await asyncio.to_thread(watch.catch_up)
    watch._notify()
    assert [(notice["event"], notice["kind"], notice["text"]) for notice in posted] == [
        ("opened", "silent", "lab: silent"),
        ("opened", "silent", "lab: silent"),
        ("closed", "silent", "lab: silent"),
    ]
    inbox.close()
