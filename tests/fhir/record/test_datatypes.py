"""Values and times of FHIR are what they say; one that cannot be used is refused in one whole sentence."""

from datetime import UTC, datetime

import pytest

from fhir.record.datatypes import (
    Period,
    Quantity,
    as_json_value,
    decode_exactly,
    parse_time,
    with_plain_numbers,
    write_decimal,
    write_exactly,
)
from tests.each import for_rows, rows_of


@for_rows(
    ("text", "precision", "day"),
    rows_of(__file__, "a_date_is_read_with_its_precision"),
)
def test_a_date_is_read_with_its_precision(text: str, precision: str, day: list[int]) -> None:
    time = parse_time(text)
    assert time is not None
    assert (time.precision, time.text) == (precision, text)
    assert datetime.fromtimestamp(time.instant, UTC).timetuple()[:3] == tuple(day)


def test_a_time_of_day_without_offset_counts_as_a_day() -> None:
    time = parse_time("2020-03-04T10:00:00")
    assert time is not None
    assert time.precision == "day"


@for_rows(
    "text",
    ["", "yesterday", "20200304", "2020-02-30", "2020-13", "0000", "2020-W01-1", "2020/03/04", "2020-03-04 10:00:00Z"],
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
    assert year.whole_days(now) == 323


def test_a_number_is_written_as_it_came_and_calculated_with_as_a_number() -> None:
    text = b'{"value":1.10,"unit":"mg","low":[2.5,1e2]}'
    value = decode_exactly(text)
    assert value == {"value": 1.1, "unit": "mg", "low": [2.5, 100.0]}
    assert write_exactly(value) == text
    assert write_exactly(with_plain_numbers(value)) == b'{"value":1.1,"unit":"mg","low":[2.5,100.0]}'
    assert as_json_value(Period("2026", None)) == {"start": "2026"}
    exact = as_json_value(Quantity(value["value"], unit="mg"))
    assert exact == {"value": 1.1, "unit": "mg"}
    assert write_exactly(exact) == b'{"value":1.10,"unit":"mg"}'
    with pytest.raises(NotImplementedError, match=r"^object is not written as JSON$"):
        write_decimal(object())
