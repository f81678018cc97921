"""The watch beside the feeds: what it keeps of incidents, folds and shows."""

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import msgspec
import orjson
import pytest

from cds_hooks.events.declaration import Declaration, Downtime, MllpFeed, SubscriptionFeed
from cds_hooks.events.inbox import Inbox
from cds_hooks.events.watch.incidents import Incident, Topology
from cds_hooks.events.watch.running import (
    InterfaceWatch,
    accept,
    fold_old_counts,
    stored_incidents,
    watch_of,
)
from cds_hooks.metrics.counts import Metrics
from tests.cds_hooks.events.messages import run_async
from tests.cds_hooks.events.test_outbox import stopped_when
from tests.cds_hooks.events.watch.made import MONDAY

STEP = 300


class Site:
    """A watch with a clock, over one feed."""

    def __init__(self, folder: Path, **declared: Any) -> None:
        feeds: Any = {"lab": MllpFeed(name="lab", listen="127.0.0.1:1")}
        self.declaration = Declaration(database=str(folder / "inbox.sqlite3"), feed=feeds, **declared)
        self.now, self.metrics = (MONDAY + 0.5) * STEP, Metrics()
        self.inbox = Inbox(self.declaration.file)
        self.watch = self.started()

    def started(self) -> InterfaceWatch:
        return InterfaceWatch(self.declaration, self.inbox, self.metrics, lambda: self.now)

    def count(self, feed: str, step: int, name: str, count: float) -> None:
        with self.inbox.transaction() as connection:
            connection.execute("INSERT INTO counts VALUES (?, ?, ?, ?)", (feed, step, name, count))

    def counts(self, name: str | None = None) -> list[tuple[Any, ...]]:
        rows = self.inbox.query(
            "SELECT feed, bucket - ?, name, count FROM counts ORDER BY bucket, feed, name", (MONDAY,)
        )
        return [row for row in rows if name is None or row[2] == name]


@pytest.fixture
def site(tmp_path: Path) -> Any:
    made = Site(tmp_path)
    yield made
    made.inbox.close()


def opened(number: int = 7, **more: Any) -> Incident:
    return Incident(
        "silent",
        ["lab", "other"],
        "",
        "high",
        MONDAY - 40,
        MONDAY - 30,
        "volume",
        number=number,
        seen=MONDAY - 30,
        **more,
    )


def keep(inbox: Inbox, *incidents: Incident) -> None:
    with inbox.transaction() as connection:
        for incident in incidents:
            row = (incident.number, incident.opened, incident.closed, msgspec.json.encode(incident).decode())
            connection.execute("INSERT INTO incidents (number, opened, closed, content) VALUES (?, ?, ?, ?)", row)


def test_an_incident_that_a_person_accepts_is_closed_told_and_kept(site: Site) -> None:
    keep(site.inbox, opened(), opened(8), opened(9, is_accepted=True, closed=MONDAY - 20))
    watch = site.started()
    watch.catch_up()
    accept(site.inbox, 7)
    assert watch._watch is not None
    with site.inbox.transaction() as connection:  # the watch writes what it held before the person decided
        watch._keep(connection, watch._watch, [], [])
    watch.catch_up()
    assert [(incident.number, incident.is_accepted, incident.closed) for incident in stored_incidents(site.inbox)] == [
        (7, True, MONDAY - 1), (8, False, None), (9, True, MONDAY - 20)
    ]  # fmt: skip
    rows = site.inbox.query("SELECT id, type, subject, at, data FROM outbox")
    assert [(*row[:4], orjson.loads(row[4])) for row in rows] == [
        (f"incident-7-incident-closed-{MONDAY - 1}", "incident-closed", "", site.now,
         {"incident": 7, "kind": "silent", "feeds": ["lab", "other"], "severity": "high",
          "cause": "lab, other: silent"})
    ]  # fmt: skip
    assert site.inbox.query("SELECT number, opened - ?, closed - ? FROM incidents", (MONDAY, MONDAY)) == [
        (7, -30, -1), (8, -30, None), (9, -30, -20)
    ]  # fmt: skip
    assert [(incident.number, is_over) for incident, is_over in watch._unsent] == [(7, True)]
    assert watch.open_incidents() == [("lab", "silent", "high"), ("other", "silent", "high")]


def notified(site: Site, monkeypatch: pytest.MonkeyPatch, *statuses: int) -> list[httpx.Request]:
    """The requests that are made of two incidents, one of them over, by a receiver with these statuses."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if not (status := statuses[len(requests) - 1]):
            raise httpx.ConnectError("broken")
        return httpx.Response(status)

    options = dict[str, Any]()
    with monkeypatch.context() as patch, httpx.Client(transport=httpx.MockTransport(answer)) as posting:

        def post(url: str, *, json: Any, **given: Any) -> httpx.Response:
            options.update(given)
            return posting.post(url, json=json, **given)

        patch.setattr(httpx, "post", post)
        site.watch._unsent = [(opened(), False), (opened(8), True)]
        site.watch._notify()
    assert options in ({}, {"timeout": 10.0, "follow_redirects": False})
    return requests


def test_a_notice_says_what_opened_or_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path, notify="http://127.0.0.1:1/notices")
    requests = notified(site, monkeypatch, 200, 204)
    at = "2026-05-04T00:02:30+00:00"
    assert [(str(request.url), orjson.loads(request.content)) for request in requests] == [
        ("http://127.0.0.1:1/notices",
         {"event": event, "at": at, "kind": "silent", "severity": "high", "text": "lab, other: silent"})
        for event in ("opened", "closed")
    ]  # fmt: skip
    assert site.watch._unsent == []
    for statuses, left in (((0,), 2), ((500,), 2), ((200, 503), 1), ((200, 0), 1)):
        notified(site, monkeypatch, *statuses)
        assert len(site.watch._unsent) == left
    site.inbox.close()


def test_without_an_address_nothing_is_posted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert notified(site, monkeypatch) == []
    assert site.watch._unsent == []
    site.watch._notify()


@run_async
async def test_the_watch_goes_on_after_what_it_cannot_judge(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def catch_up() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise sqlite3.OperationalError("locked")

    monkeypatch.setattr("cds_hooks.events.watch.running._POLL_SECONDS", 0.0)
    monkeypatch.setattr(site.watch, "catch_up", catch_up)
    await stopped_when(site.watch.keep_watching(), lambda: len(tries) >= 3)
    assert len(tries) >= 3


def test_a_step_is_taken_once_where_the_file_of_events_is_locked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked() -> None:
        raise sqlite3.OperationalError("locked")

    site.watch.catch_up()
    site.now += STEP
    with monkeypatch.context() as patch:
        patch.setattr(site.inbox, "transaction", locked)
        with pytest.raises(sqlite3.OperationalError):
            site.watch.catch_up()
    site.watch.catch_up()
    assert site.watch._watch is not None
    assert site.watch._watch.feeds["lab"].end == MONDAY + 1


def test_a_watch_is_made_of_what_is_declared_and_of_the_pauses_of_the_record(tmp_path: Path) -> None:
    feeds: Any = {
        "lab": MllpFeed(name="lab", listen="x", through="engine", patients_from="adt", zone=ZoneInfo("Asia/Tokyo")),
        "adt": SubscriptionFeed(name="adt", subscription="x", topic="t"),
    }
    moment = datetime.fromtimestamp(MONDAY * STEP, UTC)
    downtime = Downtime(start=moment, end=moment.replace(hour=1), feeds=("adt",))
    declaration = Declaration(
        timezone="Europe/Berlin",
        holidays=(date(2026, 5, 14),),
        downtime=(downtime,),
        feed=feeds,
        database=str(tmp_path),
    )
    watch = watch_of(declaration, MONDAY - 9, [(1, 2)], [])
    zones = {name: str(feed._zone) for name, feed in watch.feeds.items()}
    assert zones == {"lab": "Asia/Tokyo", "adt": "Europe/Berlin"}
    planned = {"lab": [(1, 2)], "adt": [(1, 2), (MONDAY, MONDAY + 12)]}
    assert {name: list(feed.planned) for name, feed in watch.feeds.items()} == planned
    assert watch.feeds["lab"]._holidays == frozenset({date(2026, 5, 14)})
    assert watch.incidents._topology == Topology({"lab": "engine", "adt": ""}, {"lab": "adt", "adt": ""})
    assert {feed.first for feed in watch.feeds.values()} == {MONDAY - 9}


@pytest.mark.parametrize(
    ("since", "closed", "is_accepted", "kept"),
    [
        (10, 20, False, [9, 21, 30]),
        (10, None, False, [9]),
        (10, 20, True, [9, 10, 20, 21, 30]),
        (0, 288 - 1, False, []),
    ],
)
def test_what_was_counted_in_an_incident_is_not_added(
    since: int, closed: int | None, is_accepted: bool, kept: list[int], tmp_path: Path
) -> None:
    day = 20_000 * 288
    incident = Incident(
        "low", ["lab"], "", "high", day + since, day + since + 1, "volume", number=1, is_accepted=is_accepted
    )
    incident.closed = None if closed is None else day + closed
    with closing(Inbox(tmp_path / "inbox.sqlite3")) as inbox:
        keep(inbox, incident)
        with inbox.transaction() as connection:
            for step in (9, 10, 20, 21, 30):
                for feed in ("lab", "adt"):
                    connection.execute("INSERT INTO counts VALUES (?, ?, 'duplicate', ?)", (feed, day + step, step))
        fold_old_counts(inbox, day + 3 * 288)
        totals = dict(inbox.query("SELECT feed, count FROM counts"))
    assert totals == {"adt": 90.0} | ({"lab": sum(kept)} if kept else {})
