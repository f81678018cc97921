"""FHIR dates and times as charted, as instants, and as exact as they are."""

from datetime import UTC, datetime

import pytest

from fhir.record.datatypes import parse_time


@pytest.mark.parametrize(
    ("text", "precision", "day"),
    [
        ("2020", "year", (2020, 1, 1)),
        ("2020-03", "month", (2020, 3, 1)),
        ("2020-03-04", "day", (2020, 3, 4)),
        ("2020-03-04T10:00:00Z", "instant", (2020, 3, 4)),
        ("2020-03-04T23:30:00-05:00", "instant", (2020, 3, 5)),
        ("2020-03-04T00:30:00.123+14:00", "instant", (2020, 3, 3)),
    ],
)
def test_a_date_is_read_with_its_precision(text: str, precision: str, day: tuple[int, int, int]) -> None:
    time = parse_time(text)
    assert time is not None
    assert (time.precision, time.text) == (precision, text)
    assert datetime.fromtimestamp(time.instant, UTC).timetuple()[:3] == day


def test_a_time_of_day_without_offset_counts_as_a_day() -> None:
    time = parse_time("2020-03-04T10:00:00")
    assert time is not None
    assert time.precision == "day"


@pytest.mark.parametrize(
    "text", ["", "yesterday", "20200304", "2020-02-30", "2020-13", "0000", "2020-W01-1", "2020/03/04"]
)
def test_what_is_no_fhir_date_is_none(text: str) -> None:
    assert parse_time(text) is None


def test_a_date_of_today_is_not_the_future_anywhere_on_earth() -> None:
    evening_in_samoa = datetime(2026, 11, 19, 23, 0, tzinfo=UTC).timestamp()
    today = parse_time("2026-11-20")
    tomorrow = parse_time("2026-11-21")
    assert today is not None
    assert tomorrow is not None
    assert not today.is_after(evening_in_samoa)
    assert tomorrow.is_after(evening_in_samoa)


def test_an_instant_an_hour_ahead_is_the_future() -> None:
    now = datetime(2026, 11, 20, 9, 0, tzinfo=UTC).timestamp()
    ahead = parse_time("2026-11-20T10:00:00Z")
    assert ahead is not None
    assert ahead.is_after(now)


def test_age_counts_from_the_start_of_a_year_only_date() -> None:
    now = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
    year = parse_time("2026")
    assert year is not None
    assert int(year.age_days(now)) == 323
