"""The watch over the interfaces: incidents with their cause, quiet months, and what a person is shown."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cds_hooks.add_ons.events.declaration import Declaration, read_declaration
from cds_hooks.add_ons.events.inbox import Inbox
from cds_hooks.add_ons.events.watch.running import RUNNING, InterfaceWatch, stored_incidents
from cds_hooks.settings import Settings
from cds_hooks.telemetry.metrics.counts import Metrics
from tests.cds_hooks.add_ons.events.feeds import Month, clean_months, incident_months
from tests.cds_hooks.add_ons.events.messages import run_async
from tests.cds_hooks.add_ons.events.watching import judge_incident, watched
from tests.cds_hooks.calls import client
from tests.each import each_row

FEEDS = Settings().data_dir / "events" / "feeds"
STEP = 300
MONDAY = int(datetime(2026, 5, 4, tzinfo=UTC).timestamp()) // STEP
DECLARED = """
database = "{file}"
notify = "http://127.0.0.1:1/notices"
[feed.lab]
kind = "mllp"
listen = "127.0.0.1:2575"
"""


def _month(number: str) -> Month:
    return next(month for month in incident_months(FEEDS, 7) if month.event.fields["id"] == number)


@pytest.mark.slow
@pytest.mark.outside_data
@each_row(("number", "cause"))
def test_a_planted_incident_is_found_in_time_with_its_cause_and_is_one(number: str, cause: str) -> None:
    judged = judge_incident(_month(number))
    assert judged["found"]
    assert judged["incidents"] == [cause]
    assert judged["closed"]


SOME = {"inc-12", "inc-18", "inc-33", "inc-37", "inc-40"}


@pytest.mark.outside_data
@pytest.mark.slow
def test_incidents_of_five_kinds_are_found_within_their_bounds_and_are_one() -> None:
    months = [month for month in incident_months(FEEDS, 5000) if month.event.fields["id"] in SOME]
    judged = [judge_incident(month) for month in months]
    assert [line["id"] for line in judged if not line["found"] or len(line["incidents"]) != 1] == []


@pytest.mark.outside_data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["clean-09", "clean-10"])
def test_a_month_with_a_holiday_and_one_with_a_clock_change_are_quiet(name: str) -> None:
    month = next(m for m in clean_months(FEEDS, 5000) if m.event.fields["month"] == name)
    watch = watched(month, ["adt", "clinic-a", "claims-nightly"])
    assert [incident for incident in watch.incidents.all if incident.severity != "information"] == []


def _declaration(folder: Path) -> Declaration:
    path = folder / "events.toml"
    path.write_text(DECLARED.format(file=folder / "events.sqlite3"), encoding="utf-8")
    return read_declaration(path, {})


def count_of(inbox: Inbox, steps: range, messages: int) -> None:
    with inbox.transaction() as connection:
        rows = [
            (feed, step, "messages", count) for step in steps for feed, count in (("lab", messages), ("this server", 1))
        ]
        connection.executemany(
            "INSERT OR REPLACE INTO counts (feed, bucket, name, count) VALUES (?, ?, ?, ?)",
            [row for row in rows if row[3]],
        )


def watch_of(folder: Path, now: list[float]) -> tuple[InterfaceWatch, Inbox, Metrics]:
    declaration = _declaration(folder)
    inbox, metrics = Inbox(declaration.file), Metrics()
    return InterfaceWatch(declaration, inbox, metrics, lambda: now[0]), inbox, metrics


def test_the_watch_begins_on_an_inbox_in_which_nothing_was_counted(tmp_path: Path) -> None:
    now = [MONDAY * STEP + 10.0]
    watch, inbox, _ = watch_of(tmp_path, now)
    watch.catch_up()
    now[0] += 3 * STEP
    watch.catch_up()
    assert inbox.query("SELECT count(DISTINCT bucket) FROM counts WHERE feed = ?", (RUNNING,)) == [(3,)]


@pytest.fixture
def silent_feed(tmp_path: Path) -> tuple[InterfaceWatch, Inbox, Metrics, list[float]]:
    """A feed of twenty messages in five minutes over fifteen days, whose last half hour had none."""
    learned = MONDAY + 15 * 288
    now = [learned * STEP + 10.0]
    watch, inbox, metrics = watch_of(tmp_path, now)
    count_of(inbox, range(MONDAY, learned), 20)
    watch.catch_up()
    now[0] += 6 * STEP
    watch.catch_up()
    return watch, inbox, metrics, now


def test_after_a_restart_an_open_incident_goes_on_and_the_downtime_of_the_server_is_no_silence(
    silent_feed: tuple[InterfaceWatch, Inbox, Metrics, list[float]], tmp_path: Path
) -> None:
    _, inbox, _, now = silent_feed
    inbox.close()
    now[0] += 100 * STEP
    watch, again, metrics = watch_of(tmp_path, now)
    watch.catch_up()
    assert metrics.incidents() == [("lab", "silent", "high")]
    assert len(stored_incidents(again)) == 1
    first = int(now[0] // STEP)
    count_of(again, range(first, first + 30), 20)
    now[0] += 30 * STEP
    watch.catch_up()
    assert metrics.incidents() == []
    assert [incident.cause for incident in stored_incidents(again)] == ["lab: silent"]


@run_async
async def test_the_page_shows_the_incident_with_what_to_check_first(
    silent_feed: tuple[InterfaceWatch, Inbox, Metrics, list[float]], tmp_path: Path
) -> None:
    async with client(tmp_path, events_file=tmp_path / "events.toml") as calls:
        page = (await calls.get("/ops", headers={"accept": "text/html"})).text
    assert "lab: silent" in page
    assert "Is the sender running" in page
    assert "the last 24 hours" in page
