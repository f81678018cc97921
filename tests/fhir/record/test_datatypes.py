"""Values and times of FHIR are what they say; one that cannot be used is refused in one whole sentence."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from fhir.record.datatypes import (
    CodeableConcept,
    Coding,
    FhirTime,
    Period,
    Quantity,
    as_json_value,
    decode_exactly,
    parse_time,
    two_days_before,
    with_plain_numbers,
    write_decimal,
    write_exactly,
)
from tests.each import for_rows
from tests.fhir.builders import AS_OF


@for_rows(
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


@pytest.mark.parametrize(("hour", "days"), [("08:00:01", 6), ("08:00:00", 7), ("00:00:00", 7)])
def test_a_window_counts_whole_days(hour: str, days: int) -> None:
    now = datetime(2026, 11, 20, 8, 0, tzinfo=UTC).timestamp()
    written, tomorrow = parse_time(f"2026-11-13T{hour}Z"), parse_time("2026-11-22")
    assert written is not None
    assert tomorrow is not None
    assert (written.whole_days(now), tomorrow.whole_days(now)) == (days, 0)


def test_no_window_of_the_product_counts_parts_of_days() -> None:
    modules = [path for floor in ("fhir", "cards", "models_onnx", "cds_hooks") for path in Path(floor).rglob("*.py")]
    assert len(modules) > 500
    compared = re.compile(r"age_days\([\w.]*\) *[<>]|[<>]=? *[\w.]+\.age_days\(")
    assert [str(path) for path in modules if compared.search(path.read_text(encoding="utf-8"))] == []


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


def test_the_texts_of_a_concept_are_its_text_and_every_display_once() -> None:
    codings = (Coding(display="Asthma"), Coding(code="J45.9"), Coding(display="Asthma, unspecified"))
    assert CodeableConcept(codings, "Asthma").texts == ("Asthma", "Asthma, unspecified")


@for_rows("text", ["", "20", "202a", "2026-13", "2026/11", "2026-11-31", "2026/11/20", "2026-1120", "26-11-20T"])
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_time(text) is None
    assert two_days_before(text) is None


def test_the_future_begins_after_the_slack_of_clocks_and_zones() -> None:
    now = AS_OF.timestamp()
    for precision, slack in (("instant", 300.0), ("day", 50_400.0)):
        at = [FhirTime(now + slack + more, "", precision).is_after(now) for more in (0.0, 1.0)]  # type: ignore[arg-type]
        assert at == [False, True]


@for_rows(
    ("text", "today", "months"),
    [
        ("2020-05-10", date(2026, 5, 9), 71),
        ("2020-05-10", date(2026, 5, 10), 72),
        ("2020-05", date(2026, 5, 1), 72),
        ("2020-12-31", date(2021, 1, 1), 0),
        ("2020", date(2026, 5, 1), None),
    ],
)
def test_months_are_completed(text: str, today: date, months: int | None) -> None:
    time = parse_time(text)
    assert time is not None
    assert time.completed_months(today) == months


def test_days_are_counted_from_the_beginning_and_never_below_none() -> None:
    time = FhirTime(1_000_000.0, "", "instant")
    assert (time.age_days(1_000_000.0 + 129_600), time.whole_days(1_000_000.0 + 129_600)) == (1.5, 1)
    assert (time.age_days(0.0), time.whole_days(0.0)) == (0.0, 0)
