"""Ages and intervals are added to dates as CDC's logic specification says (CALCDT-1 to CALCDT-6)."""

from datetime import date

import pytest

from cards.vaccines.knowledge import parse_period


@pytest.mark.parametrize(
    ("start", "period", "end"),
    [
        ("2000-01-01", "3 years", "2003-01-01"),
        ("2000-11-01", "6 months", "2001-05-01"),
        ("2000-02-01", "5 weeks", "2000-03-07"),
        ("2000-01-15", "- 4 days", "2000-01-11"),
        ("2000-03-31", "6 months", "2000-10-01"),
        ("2010-08-31", "6 months", "2011-03-01"),
        ("2000-01-31", "6 months - 4 days", "2000-07-27"),
        ("2000-02-29", "1 year", "2001-03-01"),
        ("2000-01-31", "16 years - 4 months", "2015-10-01"),
        ("2000-05-05", "0 days", "2000-05-05"),
    ],
)
def test_a_period_is_added_years_first_then_months_then_days(start: str, period: str, end: str) -> None:
    assert parse_period(period).after(date.fromisoformat(start)) == date.fromisoformat(end)


@pytest.mark.parametrize("text", ["soon", "6", "6 moons", "six months", "6 months!"])
def test_what_is_not_a_period_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not an age or interval"):
        parse_period(text)
