"""Forecasts: how far ahead, from which counts, and how the time left is written."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from cards.dated import dated_tables
from cds_hooks.events.declaration import Declaration, MllpFeed, Tls
from cds_hooks.events.inbox import Inbox
from cds_hooks.events.watch import forecasts as module
from cds_hooks.events.watch.forecasts import Forecast, forecasts, measure
from tests.cds_hooks.events.watch.made import MONDAY
from tests.operations.test_proxies import Authority

NOW = (MONDAY + 6) * 300 + 299.0
BOUND = "The queue of messages that wait to be stored reaches its bound in {} at this pace."
FULL = "The disk of the inbox is full in {} at this pace."


def rising(
    folder: Path, rows: Sequence[tuple[int, str, float]], bound: int, now: float = NOW, feed: str = "this server"
) -> list[Forecast]:
    """The forecasts of an inbox in which the server counted this."""
    declaration = Declaration(database=str(folder / "inbox.sqlite3"), queue=bound)
    declaration.file.unlink(missing_ok=True)
    with closing(Inbox(declaration.file)) as inbox:
        with inbox.transaction() as connection:
            for step, name, count in rows:
                connection.execute("INSERT INTO counts VALUES (?, ?, ?, ?)", (feed, MONDAY + step, name, count))
        return [forecast for forecast in forecasts(inbox, declaration, now) if "at this pace" in forecast.text]


def queue(first: int, apart: int = 1) -> list[tuple[int, str, float]]:
    return [(first + apart * number, "queue", 100.0 + 100 * number) for number in range(6)]


def test_a_queue_is_continued_for_two_hours_from_its_last_six_steps(tmp_path: Path) -> None:
    assert rising(tmp_path, queue(0), 3000) == [Forecast(BOUND.format("2 hours"), 2.0)]
    assert rising(tmp_path, queue(0), 3001) == []
    assert rising(tmp_path, queue(0), 700) == [Forecast(BOUND.format("5 minutes"), 1 / 12)]
    assert rising(tmp_path, queue(0), 500) == [Forecast(BOUND.format("0 minutes"), 0.0)]
    assert rising(tmp_path, queue(0), 2900) == [Forecast(BOUND.format("115 minutes"), 23 / 12)]
    assert rising(tmp_path, queue(0), 700, feed="lab") == []
    assert rising(tmp_path, queue(-1), 700) == [Forecast(BOUND.format("5 minutes"), 1 / 12)]
    assert rising(tmp_path, queue(-2), 700) == []  # the first of six is too old
    assert rising(tmp_path, [*queue(0), (-1, "queue", 9000.0)], 700) == [Forecast(BOUND.format("5 minutes"), 1 / 12)]
    assert rising(tmp_path, queue(-10, 3), 700) == []  # every third step


def test_a_disk_is_continued_for_three_days_from_its_last_six_hours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        used, free = 700, 0

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    rows = [(12 * number - 59, "disk-used", 200.0 + 100 * number) for number in range(6)]
    rows += [(12 * number - 54, "disk-used", 1.0) for number in range(5)]
    two, three = Forecast(FULL.format("2 hours"), 2.0), Forecast(FULL.format("3 days"), 72.0)
    for free, expected in ((200, [two]), (7200, [three]), (7201, [])):
        Usage.free = free
        assert rising(tmp_path, rows, 1000) == expected
    Usage.free = 150
    both = rising(tmp_path, [*rows, *queue(0)], 3000)
    assert both == [Forecast(FULL.format("90 minutes"), 1.5), Forecast(BOUND.format("2 hours"), 2.0)]
    declaration = Declaration(database=str(tmp_path / "inbox.sqlite3"))
    assert measure(declaration, 7) == {"queue": 7.0, "disk-used": 700.0}


def test_a_time_left_is_written_in_minutes_hours_or_days() -> None:
    assert [module._duration(hours) for hours in (0.5, 1.99, 2.0, 47.9, 48.0, 61.0)] == [
        "30 minutes", "119 minutes", "2 hours", "48 hours", "2 days", "3 days"
    ]  # fmt: skip


def test_a_certificate_is_named_thirty_days_before_it_ends(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path, "authority").issue("127.0.0.1")
    ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    feed = MllpFeed(name="lab", listen="127.0.0.1:1", tls=Tls(str(certificate), str(key)))

    def left(**before: float) -> Forecast | None:
        return module._certificate(feed, (ends - timedelta(**before)).timestamp())

    named = "The certificate of the feed lab "
    assert left(days=30) == Forecast(f"{named}ends in 30 days.", 720.0)
    assert left(days=30, seconds=1) is None
    assert left(hours=3) == Forecast(f"{named}ends in 3 hours.", 3.0)
    assert left(hours=0) == Forecast(f"{named}has ended: senders cannot connect.", 0.0)
    assert left(hours=-2) == Forecast(f"{named}has ended: senders cannot connect.", -2.0)
    assert module._certificate(MllpFeed(name="lab", listen="127.0.0.1:1"), NOW) is None


def test_a_table_ends_at_the_end_of_its_last_day() -> None:
    table = min(dated_tables(), key=lambda table: table.ends)
    for hour, left in ((0, 24.0), (18, 6.0)):
        now = datetime.combine(table.ends, datetime.min.time(), UTC) + timedelta(hours=hour)
        (first, *_) = module._tables(now.timestamp())
        assert first.text == table.sentence(table.ends)
        assert first.hours == pytest.approx(left, abs=1e-6)
    assert table.sentence(table.ends) not in [told.text for told in module._tables(now.timestamp() + 6 * 3600)]
