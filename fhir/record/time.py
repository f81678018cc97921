"""FHIR dates and times, with the text as charted, an instant to compare by, and their precision."""

from datetime import UTC, date, datetime, timedelta
from typing import Literal

from msgspec import Struct

from fhir.terminology.caching import remembered

Precision = Literal["year", "month", "day", "instant"]

DAY_SECONDS = 86_400.0
# A date without a time is true somewhere between UTC+14 and UTC-12.
_ZONE_SLACK_SECONDS = 14 * 3600.0
_CLOCK_SLACK_SECONDS = 300.0


class FhirTime(Struct, frozen=True, gc=False):
    """A point in time: `instant` is the epoch second (UTC) at which it begins, `text` is what the chart says."""

    instant: float
    text: str
    precision: Precision

    @property
    def date(self) -> str:
        """The day as the chart writes it (YYYY-MM-DD), or the shorter YYYY-MM or YYYY when no day was given."""
        return self.text[:10]

    def age_days(self, as_of_epoch: float) -> float:
        """Days from its beginning to `as_of_epoch`, never negative: a year-only date counts from 1 January."""
        return max(0.0, (as_of_epoch - self.instant) / DAY_SECONDS)

    def is_after(self, as_of_epoch: float) -> bool:
        """Whether it lies in the future, time zones and small clock differences allowed for."""
        slack = _CLOCK_SLACK_SECONDS if self.precision == "instant" else _ZONE_SLACK_SECONDS
        return self.instant > as_of_epoch + slack


@remembered("dates and times", entries=16_384, longest=40)
def parse_time(text: str) -> FhirTime | None:
    """The time a FHIR date, dateTime or instant names; None when it is none of them.

    A time of day without an offset (which FHIR forbids) counts with the precision of a day.

    >>> parse_time("2026-11").precision
    'month'
    >>> parse_time("yesterday") is None
    True
    """
    try:
        return _parse(text)
    except (ValueError, OverflowError):
        return None


@remembered("two days before a day", entries=1024, longest=10)
def two_days_before(day: str) -> str | None:
    """The day two days earlier as text; None for what is no day.

    >>> two_days_before("2026-03-01"), two_days_before("2026-03")
    ('2026-02-27', None)
    """
    try:
        return (date.fromisoformat(day) - timedelta(days=2)).isoformat() if len(day) == 10 else None
    except (ValueError, OverflowError):
        return None


def _parse(text: str) -> FhirTime | None:
    size = len(text)
    if size == 10:
        return _day(text, text, "day")
    if size > 10 and text[10] == "T":
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            return _day(text[:10], text[:10], "day")
        return FhirTime(moment.timestamp(), text, "instant")
    if size == 7 and text[4] == "-":
        return _day(f"{text}-01", text, "month")
    if size == 4 and text.isdigit():
        return _day(f"{text}-01-01", text, "year")
    return None


def _day(day: str, text: str, precision: Precision) -> FhirTime | None:
    if day[4] != "-" or day[7] != "-":
        return None
    first = date.fromisoformat(day)
    return FhirTime(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp(), text, precision)
