"""Relative dates become the dates their file promises."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_hooks.kit.samples.loader import icu_observations, place_dates
from tests.each import for_rows

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@for_rows(
    ("placeholder", "placed"),
    [
        ("@-45d", "2026-10-06"),
        ("@-45dT08:30", "2026-10-06T08:30:00+00:00"),
        ("@-78y-40d", "1948-10-11"),
        ("@-6y:year", "2020"),
        ("@-14m:month", "2025-09"),
        ("@+21d", "2026-12-11"),
        ("@-0d", "2026-11-20"),
    ],
)
def test_a_placeholder_becomes_the_date_of_the_docstring(placeholder: str, placed: str) -> None:
    assert place_dates({"onset": [placeholder]}, AS_OF) == {"onset": [placed]}


@for_rows(
    ("day", "placeholder", "placed"),
    [
        ("2028-02-29", "@-1y", "2027-02-28"),
        ("2026-03-31", "@-1m", "2026-02-28"),
        ("2026-01-15", "@-1m", "2025-12-15"),
        ("2026-12-15", "@+1m", "2027-01-15"),
    ],
)
def test_months_of_other_lengths_give_their_last_day(day: str, placeholder: str, placed: str) -> None:
    assert place_dates(placeholder, datetime.fromisoformat(f"{day}T12:00:00+00:00")) == placed


def test_an_instant_keeps_the_offset_of_as_of() -> None:
    chatham = timezone(timedelta(hours=12, minutes=45))
    assert place_dates("@-1dT08:30", AS_OF.astimezone(chatham)) == "2026-11-19T08:30:00+12:45"


@for_rows("wrong", ["@", "@45d", "@-45", "@-45w", "@-45d T08:30", "@-45dT8:30", "@-45d:day"])
def test_a_mistyped_placeholder_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="not a relative date"):
        place_dates([wrong], AS_OF)


def test_a_clock_without_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        place_dates({}, AS_OF.replace(tzinfo=None))


@given(st.integers(0, 120), st.integers(0, 364), st.dates(min_value=AS_OF.date(), max_value=date(2099, 1, 1)))
def test_a_birth_date_gives_the_same_age_on_every_day(years: int, days: int, today: date) -> None:
    as_of = datetime.fromisoformat(f"{today}T00:00:00+00:00")
    born = datetime.fromisoformat(place_dates(f"@-{years}y-{days}d", as_of))
    had_birthday = (as_of.month, as_of.day) >= (born.month, born.day)
    assert as_of.year - born.year - (not had_birthday) == years


def test_a_value_without_decimals_is_a_whole_number() -> None:
    measured = [seen["valueQuantity"] for seen in icu_observations() if "valueQuantity" in seen]
    assert {type(value["value"]) for value in measured if value["unit"] == "/min"} == {int}
    assert {type(value["value"]) for value in measured if value["unit"] == "Cel"} == {float}
