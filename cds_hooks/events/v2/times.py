"""Turns times of HL7 v2 (TS, DTM, DT) into FHIR times with the same precision and a zone."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

from msgspec import Struct

_TIME: Final = re.compile(r"(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\.\d{1,6})?([+-]\d{4})?")

_DAY_LENGTH: Final = len("2026-11-20")


class FeedTime(Struct, frozen=True):
    """A time: as FHIR writes it, as epoch seconds of its beginning, and what about it is not certain."""

    text: str
    epoch: float
    notes: tuple[str, ...] = ()
    has_no_offset: bool = False
    """Whether a time of day came without its offset from UTC."""

    @property
    def is_day(self) -> bool:
        """Whether it has no time of day."""
        return len(self.text) <= _DAY_LENGTH


def read_time(text: str, zone: tzinfo) -> FeedTime | None:
    """Return the time of a field; None where it is none.

    A time without an offset is in the zone of the feed. In the hour that a clock change repeats the first of both is
    taken and noted; an hour that the change leaves out is noted, too.

    >>> read_time("20261120", UTC).text
    '2026-11-20'
    >>> from zoneinfo import ZoneInfo
    >>> read_time("202611010130", ZoneInfo("America/New_York")).notes
    ('ambiguous-time',)
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        moment = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), min(int(second or 0), 59),
            tzinfo=_offset(offset) if offset else zone,
        )  # fmt: skip
        epoch = moment.astimezone(UTC).timestamp() + float(fraction or 0)
    except (ValueError, OverflowError):
        return None
    if minute is None:  # FHIR has no time with hours alone
        date = "-".join(part for part in (year, month, day) if part is not None)
        return FeedTime(date, epoch, ("hour-only",) if hour else ())
    return FeedTime(moment.isoformat(timespec="seconds"), epoch, () if offset else _doubts(moment, zone), not offset)


def zone_of(text: str, zone: tzinfo) -> tzinfo:
    """Return the offset of a time as a zone, else `zone`.

    >>> zone_of("20261120101500+0100", UTC)
    datetime.timezone(datetime.timedelta(seconds=3600))
    """
    match = _TIME.fullmatch(text.strip())
    try:
        return _offset(match[8]) if match is not None and match[8] else zone
    except ValueError:
        return zone


def _offset(text: str) -> timezone:
    minutes = int(text[1:3]) * 60 + int(text[3:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _doubts(moment: datetime, zone: tzinfo) -> tuple[str, ...]:
    again = moment.replace(fold=1)
    if moment.utcoffset() == again.utcoffset():
        return ()
    is_real = moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == moment.replace(tzinfo=None)
    return ("ambiguous-time",) if is_real else ("time-left-out",)
