"""The days at which predictions become mature, count in a window, and count as without an event."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from cds_hooks.monitor.book import CountBook
from cds_hooks.monitor.label_reading import LabelReader, _Gathering, _is_complete, label_windows
from cds_hooks.outcomes.labels import InForce, Label
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.outcomes import Outcome, store_outcomes
from models_onnx.monitoring.performance import Deployed
from tests.cds_hooks.decision_views.followed import Book
from tests.cds_hooks.monitor.test_label_reading import FIRST, microseconds, predicted, say, write

LABEL = Label("readmission_30d", "admission", 30, 3, 0.7)


@pytest.mark.parametrize(
    ("through", "horizon_days", "complete"),
    [
        # The last prediction of 1 March has its 30 days on 31 March: all of 1 April has to be there.
        ("2026-04-01", 30, True), ("2026-03-31", 30, False), ("2026-04-02", 30.5, True), ("2026-04-01", 30.5, False),
        ("2026-04-02", 30, True), ("", 30, False),
    ],
)  # fmt: skip
def test_a_day_is_complete_when_every_event_of_its_horizon_was_sent(
    through: str, horizon_days: float, *, complete: bool
) -> None:
    assert _is_complete(through, date(2026, 3, 1), Label("m", "death", horizon_days, 3)) is complete


@pytest.mark.parametrize(
    ("horizon", "lag", "days", "first", "last"),
    [
        (30.0, 3.0, 1, date(2026, 3, 29), date(2026, 3, 29)),
        (30.0, 3.0, 90, date(2025, 12, 30), date(2026, 3, 29)),
        (30.5, 3.0, 1, date(2026, 3, 28), date(2026, 3, 28)),
    ],
)
def test_the_days_of_a_window_end_where_all_of_a_day_is_mature(
    horizon: float, lag: float, days: int, first: date, last: date
) -> None:
    gathered = _Gathering.of(Label("m", "death", horizon, lag), date(2026, 5, 1), days)
    assert (gathered.first, gathered.last, gathered.parts) == (first, last, {})


def reader(book: CountBook, url: str, now: datetime) -> LabelReader:
    """A reader at this instant."""
    return LabelReader(book, url, {LABEL.model: LABEL}, microseconds(now))


def test_a_prediction_is_mature_at_the_very_end_of_its_wait(sqlite_url: str, tmp_path: Path) -> None:
    write(sqlite_url, predicted(0))
    book, mature = Book(tmp_path / "m.sqlite3"), FIRST + timedelta(days=33)
    for now, windows in ((mature - timedelta(microseconds=1), 0), (mature, 1)):
        reader(book, sqlite_url, now).read()
        assert len(label_windows(book, {LABEL.model: LABEL}, date(2026, 4, 4), 9)) == windows


@pytest.mark.parametrize(("ahead", "clients"), [(0, []), (1, ["after"])])
def test_a_prediction_of_this_very_instant_holds_up_the_next_one_and_one_of_later_does_not(
    sqlite_url: str, tmp_path: Path, ahead: int, clients: list[str]
) -> None:
    now = FIRST + timedelta(days=50)
    write(sqlite_url, predicted(0, client="ahead", decided_at=microseconds(now) + ahead))
    write(sqlite_url, predicted(1, client="after"))
    book = Book(tmp_path / "m.sqlite3")
    reader(book, sqlite_url, now).read()
    assert [window.client for window in label_windows(book, {LABEL.model: LABEL}, now.date(), 40)] == clients


def test_windows_have_their_days_and_those_before_with_area_and_threshold(sqlite_url: str, tmp_path: Path) -> None:
    write(sqlite_url, *(predicted(days) for days in (0, 1, 2, 3, 4, 5)), predicted(4, service="a-service"))
    book = Book(tmp_path / "m.sqlite3")
    reader(book, sqlite_url, FIRST + timedelta(days=60)).read()
    # Of 1 to 6 March: a window of two days up to 5 March, and the two days before it.
    until, threshold = date(2026, 3, 5) + timedelta(days=33), Deployed(0.3, 0.25, 0.01)
    label = Label("readmission_30d", "admission", 30, 3, 0.7, InForce(threshold, {"a-service": None}))
    windows = label_windows(book, {label.model: label}, until, 2)
    words = "predictions of 2026-03-04 to 2026-03-05"
    assert [(window.client, window.service, window.words) for window in windows] == [
        ("north", "a-service", words), ("north", "follow-up", words),
    ]  # fmt: skip
    one, other = windows
    assert [window.of("readmission_30d@1", "all").total("unlabelled") for window in windows] == [1, 2]
    earlier = [replace(window, now=window.before).of("readmission_30d@1").total("unlabelled") for window in windows]
    assert earlier == [0, 2], "of 2 and 3 March"
    assert (one.areas, one.deployed) == ({"readmission_30d": 0.7}, {})
    assert (other.areas, other.deployed) == ({"readmission_30d": 0.7}, {"readmission_30d": threshold})
    before = label_windows(book, {label.model: label}, until - timedelta(days=2), 2)
    assert [window.of("readmission_30d@1", "all").total("unlabelled") for window in before] == [2]
    bare = Label("readmission_30d", "admission", 30, 3)
    assert [(window.areas, window.deployed) for window in label_windows(book, {bare.model: bare}, until, 1)] == [
        ({}, {}), ({}, {}),
    ]  # fmt: skip


def test_an_outcome_of_a_removed_decision_counts_nothing(sqlite_url: str, tmp_path: Path) -> None:
    gone, kept = predicted(0), predicted(0)
    write(sqlite_url, kept)
    items = [
        Outcome(name, "follow-up", "north", "event", "readmission_30d", "yes", None, "api", microseconds(FIRST))
        for name in (gone.id, kept.id)
    ]
    book = Book(tmp_path / "m.sqlite3")
    reader(book, sqlite_url, FIRST + timedelta(days=60)).read()
    store_outcomes(parse_url(sqlite_url), items)
    reader(book, sqlite_url, FIRST + timedelta(days=60)).read()
    (window,) = label_windows(book, {LABEL.model: LABEL}, FIRST.date() + timedelta(days=33), 1)
    found = window.of("readmission_30d@1", "all")
    assert [found.total(name) for name in ("yes", "no", "unlabelled")] == [1, 0, 0]


@pytest.mark.parametrize(
    "basis",
    [b"{}", b"[]", b'{"scores": {"id": "m"}}', b'{"scores": {"id": "", "probability": 0.1}}', b'{"scores": {"id": 5}}'],
)
def test_a_decision_without_an_estimate_is_no_prediction(sqlite_url: str, tmp_path: Path, basis: bytes) -> None:
    one = predicted(0, basis=basis)
    write(sqlite_url, one)
    say(sqlite_url, one, "yes")
    book = Book(tmp_path / "m.sqlite3")
    for _ in range(2):
        reader(book, sqlite_url, FIRST + timedelta(days=60)).read()
    assert label_windows(book, {LABEL.model: LABEL}, FIRST.date() + timedelta(days=33), 9) == []
