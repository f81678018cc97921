"""Ages and intervals as CDC writes them ("6 months - 4 days"), and what a date becomes when one is added.

Source: CDC, Logic Specification for ACIP Recommendations 4.5, business rules CALCDT-1 to CALCDT-6.
"""

import re
from datetime import date, timedelta

_PART = re.compile(r"\s*([+-]?)\s*(\d+)\s*(year|month|week|day)s?\s*", re.IGNORECASE)
_DAYS = {"week": 7, "day": 1}


class Period:
    """A length of time that is added to a date: first the years, then the months, then the days.

    A plain class, not a dataclass: the knowledge files write it as text, and msgspec reads a dataclass as an object.
    """

    __slots__ = ("days", "months", "years")

    def __init__(self, years: int = 0, months: int = 0, days: int = 0) -> None:
        self.years, self.months, self.days = years, months, days

    def after(self, start: date) -> date:
        """The date that lies this period after `start`."""
        return _add_months(_add_months(start, self.years * 12), self.months) + timedelta(days=self.days)


def parse_period(text: str) -> Period:
    """Read a period as CDC writes it.

    >>> parse_period("6 months - 4 days").after(date(2000, 1, 31))
    datetime.date(2000, 7, 27)

    Raises:
        ValueError: the text is not a period.
    """
    amounts = {"year": 0, "month": 0, "day": 0}
    position = 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            raise ValueError("not an age or interval of the form '6 months - 4 days'")
        sign, number, unit = part.groups()
        unit = unit.lower()
        amounts["day" if unit in _DAYS else unit] += int(f"{sign}{number}") * _DAYS.get(unit, 1)
        position = part.end()
    return Period(amounts["year"], amounts["month"], amounts["day"])


def _add_months(start: date, months: int) -> date:
    """Add months; a day that the month does not have becomes the first of the next month (CALCDT-5)."""
    if not months:
        return start
    count = start.year * 12 + start.month - 1 + months
    try:
        return date(count // 12, count % 12 + 1, start.day)
    except ValueError:
        count += 1
        return date(count // 12, count % 12 + 1, 1)
