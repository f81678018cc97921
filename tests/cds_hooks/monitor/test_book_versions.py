"""A book of counts of another version, and what it remembers of verifications and incidents."""

from pathlib import Path

import pytest

from cds_hooks.monitor.book import CountBook, Verified, day_of
from cds_hooks.storage.decision import RecordUnavailable


def version_of(book: CountBook, change: int | None = None) -> int:
    """The version of the file, set before where one is given."""
    with book.open() as connection:
        if change is not None:
            connection.execute(f"PRAGMA user_version = {change}")
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_a_book_of_a_newer_version_is_refused_and_one_of_an_older_version_is_made_again(tmp_path: Path) -> None:
    file = tmp_path / "counts" / "book.sqlite3"
    book = CountBook(file)
    ours = version_of(book)
    assert file.stat().st_mode & 0o777 == 0o600
    book.note_incident("ehr", "units", is_open=True)
    assert version_of(CountBook(file)) == ours
    version_of(book, ours - 1)
    again = CountBook(file)
    assert (version_of(again), again.open_incidents()) == (ours, {("ehr", "units")})
    version_of(book, ours + 1)
    with pytest.raises(RecordUnavailable) as refused:
        CountBook(file)
    assert str(refused.value) == "book.sqlite3 was written by a newer version; delete it, and it is made again."


def test_the_newest_verification_is_the_last_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = CountBook(tmp_path / "book.sqlite3")
    assert book.last_verification() is None
    for at, read, fault in ((100.9, 5, ""), (200.0, 6, "row 3"), (200.0, 7, ""), (150.0, 8, "x")):
        monkeypatch.setattr("cds_hooks.monitor.book.time", lambda at=at: at)
        book.note_verification(read, fault)
    assert book.last_verification() == Verified(200, 7, "")


@pytest.mark.parametrize(
    ("microseconds", "day"),
    [(0, "1970-01-01"), (86_399_999_999, "1970-01-01"), (86_400_000_000, "1970-01-02"), (-1, "1969-12-31")],
)
def test_a_day_is_one_of_utc(microseconds: int, day: str) -> None:
    assert day_of(microseconds) == day
