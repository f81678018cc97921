"""The days at which predictions become mature, count in a window, and count as without an event."""

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from cds_hooks.monitor.book import CountBook
from cds_hooks.monitor.label_reading import LabelReader, _is_complete, label_windows
from cds_hooks.outcomes.labels import Label
from cds_hooks.storage.database import parse_url
from cds_hooks.storage.outcomes import Outcome, store_outcomes
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


def reader(book: CountBook, url: str, now: datetime) -> LabelReader:
    """A reader at this instant."""
    return LabelReader(book, url, {LABEL.model: LABEL}, microseconds(now))


def test_a_prediction_is_mature_at_the_very_end_of_its_wait(sqlite_url: str, tmp_path: Path) -> None:
    write(sqlite_url, predicted(0))
    book, mature = Book(tmp_path / "m.sqlite3"), FIRST + timedelta(days=33)
    for now, windows in ((mature - timedelta(microseconds=1), 0), (mature, 1)):
        reader(book, sqlite_url, now).read()
        assert len(label_windows(book, {LABEL.model: LABEL}, date(2026, 4, 4), 9)) == windows


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
