"""A value that cannot be used is refused in one whole sentence; a value that can is whole; times are what they say."""

from datetime import date

import pytest

from fhir.record.datatypes import FhirTime, parse_time, two_days_before
from tests.fhir.builders import AS_OF


@pytest.mark.parametrize(
    "text", ["", "20", "202a", "2026-13", "2026/11", "2026-11-31", "2026/11/20", "2026-1120", "26-11-20T"]
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_time(text) is None
    assert two_days_before(text) is None


def test_the_future_begins_after_the_slack_of_clocks_and_zones() -> None:
    now = AS_OF.timestamp()
    for precision, slack in (("instant", 300.0), ("day", 50_400.0)):
        at = [FhirTime(now + slack + more, "", precision).is_after(now) for more in (0.0, 1.0)]  # type: ignore[arg-type]
        assert at == [False, True]


@pytest.mark.parametrize(
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
