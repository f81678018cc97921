"""Holds dates, times of day and date-times with the precision that they were given with, and computes with them.

CQL 1.5.3 (HL7, https://cql.hl7.org, chapters "Author's Guide" and Appendix B, read on 2026-11-28): a value may stop at
any component; comparing values of different precision is uncertain; date-times are compared in the time zone offset of
the evaluation; seconds and milliseconds count as one component where values are compared.
"""

import calendar
import re
from dataclasses import dataclass, field
from typing import Final, Literal, Self, TypeAlias

from cards.knowledge.elm.errors import CqlError

PRECISIONS: Final = ("year", "month", "day", "hour", "minute", "second", "millisecond")
_LOWEST: Final = (1, 1, 1, 0, 0, 0, 0)
_HIGHEST: Final = (9999, 12, 31, 23, 59, 59, 999)
_MS_OF: Final = {
    "week": 604_800_000,
    "day": 86_400_000,
    "hour": 3_600_000,
    "minute": 60_000,
    "second": 1000,
    "millisecond": 1,
}
_DATE_TIME: Final = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?(?:T(?:(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?)?)?(Z|[+-]\d\d:\d\d)?"
)
_TIME: Final = re.compile(r"T?(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?")

Kind: TypeAlias = Literal["Date", "DateTime", "Time"]


def days_from_civil(year: int, month: int, day: int) -> int:
    """Return the days since 1970-01-01 in the proleptic Gregorian calendar."""
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468


def civil_from_days(days: int) -> tuple[int, int, int]:
    """Return year, month and day of a number of days since 1970-01-01."""
    era, day_of_era = divmod(days + 719468, 146097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1


def month_length(year: int, month: int) -> int:
    """Return how many days the month has."""
    return 29 if month == 2 and calendar.isleap(year) else (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


@dataclass(frozen=True, slots=True, eq=False)
class Temporal:
    """A date, a date-time or a time of day: its components from the largest on, as far as they were given.

    `offset` is the time zone offset in minutes and `home` that of the evaluation; both are 0 for dates and times.
    """

    kind: Kind
    parts: tuple[int, ...]
    offset: int = 0
    home: int = 0
    _at_home: list[tuple[int, ...]] = field(default_factory=list, repr=False)

    @property
    def first(self) -> int:
        """Return the index of the first component in `PRECISIONS`."""
        return 3 if self.kind == "Time" else 0

    @property
    def most(self) -> int:
        """Return how many components a whole value of this kind has."""
        return {"Date": 3, "DateTime": 7, "Time": 4}[self.kind]

    @property
    def whole(self) -> bool:
        """Return whether each component is given."""
        return len(self.parts) == self.most

    @property
    def precision(self) -> str:
        """Return the name of the last component that is given."""
        return PRECISIONS[self.first + len(self.parts) - 1]

    def at_home(self) -> tuple[int, ...]:
        """Return the components in the time zone offset of the evaluation."""
        if self.offset == self.home or len(self.parts) < 4:
            return self.parts
        if not self._at_home:
            moved = from_ms(self.kind, to_ms(self.kind, self.parts) + (self.home - self.offset) * 60_000, clip=False)
            self._at_home.append(moved[: len(self.parts)])
        return self._at_home[0]

    def with_parts(self, parts: tuple[int, ...]) -> Self:
        """Return the same kind and offset with other components."""
        return type(self)(self.kind, parts, self.offset, self.home)

    def lowest(self) -> Self:
        """Return the first instant that this value can mean."""
        return self.with_parts(self.parts + _LOWEST[self.first + len(self.parts) : self.first + self.most])

    def highest(self) -> Self:
        """Return the last instant that this value can mean."""
        return self.with_parts(_filled(self.parts, self.first, self.most))

    def __str__(self) -> str:
        return iso_text(self)


def _filled(parts: tuple[int, ...], first: int, most: int) -> tuple[int, ...]:
    filled = list(parts)
    for index in range(len(parts), most):
        last_day = index == 2 and first == 0
        filled.append(month_length(filled[0], filled[1]) if last_day else _HIGHEST[first + index])
    return tuple(filled)


def to_ms(kind: Kind, parts: tuple[int, ...]) -> int:
    """Return milliseconds since 1970 (of a time of day: since midnight), missing components being the lowest."""
    if kind == "Time":
        hour, minute, second, ms = parts + (0,) * (4 - len(parts))
        return ((hour * 60 + minute) * 60 + second) * 1000 + ms
    year, month, day, hour, minute, second, ms = parts + _LOWEST[len(parts) :]
    return days_from_civil(year, month, day) * 86_400_000 + ((hour * 60 + minute) * 60 + second) * 1000 + ms


def from_ms(kind: Kind, ms: int, *, clip: bool = True) -> tuple[int, ...]:
    """Return the components of a number of milliseconds.

    Raises:
        CqlError: the year is not between 1 and 9999, or the time is not within one day; unless `clip` is false.
    """
    days, rest = divmod(ms, 86_400_000)
    clock = (rest // 3_600_000, rest // 60_000 % 60, rest // 1000 % 60, rest % 1000)
    if kind == "Time":
        if days and clip:
            raise CqlError("The result is not a time of one day.")
        return clock
    date = civil_from_days(days)
    if clip and not 1 <= date[0] <= 9999:
        raise CqlError("The result is not between the years 1 and 9999.")
    return date if kind == "Date" else date + clock


def checked(kind: Kind, parts: tuple[int, ...], offset: int, home: int) -> Temporal:
    """Return the value.

    Raises:
        CqlError: a component is out of its range.
    """
    first = 3 if kind == "Time" else 0
    for index, number in enumerate(parts):
        highest = _HIGHEST[first + index]
        if index == 2 and first == 0:
            highest = month_length(parts[0], parts[1])
        if not _LOWEST[first + index] <= number <= highest:
            raise CqlError(f"The {PRECISIONS[first + index]} of a {kind} is out of range.")
    if not -14 * 60 <= offset <= 14 * 60:
        raise CqlError("A time zone offset is out of range.")
    return Temporal(kind, parts, offset, home)


def _milliseconds(text: str | None) -> tuple[int, ...]:
    return () if text is None else (int((text + "00")[:3]),)


def read_date_time(text: str, home: int, kind: Kind = "DateTime") -> Temporal | None:
    """Return the date or date-time of an ISO text with its precision; None for what is not one."""
    match = _DATE_TIME.fullmatch(text.strip())
    if match is None:
        return None
    parts = tuple(int(part) for part in match.groups()[:6] if part is not None) + _milliseconds(match[7])
    try:
        if kind == "Date":
            return checked("Date", parts[:3], 0, 0)
        return checked("DateTime", parts, home if match[8] is None else _offset_minutes(match[8]), home)
    except CqlError:
        return None


def _offset_minutes(text: str) -> int:
    if text == "Z":
        return 0
    minutes = int(text[1:3]) * 60 + int(text[4:6])
    return -minutes if text[0] == "-" else minutes


def read_time(text: str) -> Temporal | None:
    """Return the time of day of an ISO text with its precision; None for what is not one."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    parts = tuple(int(part) for part in match.groups()[:3] if part is not None) + _milliseconds(match[4])
    try:
        return checked("Time", parts, 0, 0)
    except CqlError:
        return None


def iso_text(value: Temporal) -> str:
    """Return the ISO text with exactly the precision of the value."""
    texts = [f"{part:0{4 if value.kind != 'Time' and index == 0 else 2}d}" for index, part in enumerate(value.parts)]
    date, clock = ([], texts) if value.kind == "Time" else (texts[:3], texts[3:])
    text = "-".join(date)
    if not clock:
        return text
    seconds = f".{value.parts[-1]:03d}" if value.whole else ""
    text = (text + "T" if date else "") + ":".join(clock[:3]) + seconds
    return text + (_offset_text(value.offset) if value.kind == "DateTime" else "")


def _offset_text(offset: int) -> str:
    hours, minutes = divmod(abs(offset), 60)
    return f"{'-' if offset < 0 else '+'}{hours:02d}:{minutes:02d}"


def compare(left: Temporal, right: Temporal, precision: str | None = None) -> int | None:
    """Return -1, 0 or 1; None where the precision of one of them leaves it open.

    >>> compare(Temporal("Date", (2024, 2)), Temporal("Date", (2024, 3, 1)))
    -1
    >>> compare(Temporal("Date", (2024, 3)), Temporal("Date", (2024, 3, 1))) is None
    True
    """
    a, b = (left.parts, right.parts) if left.offset == right.offset else (left.at_home(), right.at_home())
    first = left.first
    if precision is not None:
        count = PRECISIONS.index(precision) + 1 - first
        if count < 7 - first:
            a, b = a[:count], b[:count]
    shared = min(len(a), len(b))
    if a[:shared] != b[:shared]:
        return -1 if a[:shared] < b[:shared] else 1
    if len(a) == len(b) or (precision is not None and shared >= PRECISIONS.index(precision) + 1 - first):
        return 0
    return None


def add(value: Temporal, amount: int, unit: str) -> Temporal:
    """Return the value moved by a whole number of calendar units; a month that is too short ends on its last day.

    Raises:
        CqlError: the result is out of range.
    """
    if unit in {"year", "month"}:
        return _add_months(value, amount * (12 if unit == "year" else 1))
    ms = _MS_OF[unit]
    count = len(value.parts) + value.first
    if (unit != "week" and PRECISIONS.index(unit) >= count) or (unit == "week" and count < 3):
        return _add_to_last(value, amount, ms)
    moved = from_ms(value.kind, to_ms(value.kind, value.parts) + amount * ms)
    return value.with_parts(moved[: len(value.parts)])


def _add_months(value: Temporal, months: int) -> Temporal:
    if value.kind == "Time":
        raise CqlError("Years and months cannot be added to a time of day.")
    if len(value.parts) == 1:
        year, month = value.parts[0] + int(months / 12), 1
    else:
        year, month = divmod(value.parts[0] * 12 + value.parts[1] - 1 + months, 12)
        month += 1
    if not 1 <= year <= 9999:
        raise CqlError("The result is not between the years 1 and 9999.")
    parts = (year, month)[: len(value.parts)] + value.parts[2:]
    if len(parts) > 2:
        parts = (*parts[:2], min(parts[2], month_length(year, month)), *parts[3:])
    return value.with_parts(parts)


def _add_to_last(value: Temporal, amount: int, ms: int) -> Temporal:
    """Add a smaller unit than the value has: so many whole units of its last component (12 months, 30 days)."""
    days = {"year": 365, "month": 30}.get(value.precision)
    last_ms = days * 86_400_000 if days else _MS_OF[value.precision]
    whole = int(amount * ms / last_ms)
    return add(value, whole, value.precision)


def duration(start: Temporal, end: Temporal, unit: str) -> int:
    """Return the whole units that pass from one whole value to another; negative where `end` is earlier."""
    if unit in {"year", "month"}:
        sign, early, late = 1, start, end
        if _instant(early) > _instant(late):
            sign, early, late = -1, late, early
        late_parts, early_parts = late.at_home(), early.at_home()
        months = (late_parts[0] - early_parts[0]) * 12 + late_parts[1] - early_parts[1]
        last_day = min(early_parts[2], month_length(late_parts[0], late_parts[1]))
        months -= (late_parts[2], *late_parts[3:]) < (last_day, *early_parts[3:])
        return sign * (months // 12 if unit == "year" else months)
    passed = _instant(end) - _instant(start)
    return (
        int(passed / _MS_OF[unit]) if abs(passed) < 2**52 else (abs(passed) // _MS_OF[unit]) * (1 if passed > 0 else -1)
    )


def difference(start: Temporal, end: Temporal, unit: str) -> int:
    """Return how many borders of the unit lie between two whole values (a week begins on Sunday)."""
    a, b = start.at_home(), end.at_home()
    if unit == "year":
        return b[0] - a[0]
    if unit == "month":
        return (b[0] - a[0]) * 12 + b[1] - a[1]
    ms = _MS_OF[unit]
    if unit == "week":  # 1970-01-01 was a Thursday: Sundays are four days after
        shift = 4 * 86_400_000
        return (to_ms(end.kind, b) + shift) // ms - (to_ms(start.kind, a) + shift) // ms
    return to_ms(end.kind, b) // ms - to_ms(start.kind, a) // ms


def _instant(value: Temporal) -> int:
    return to_ms(value.kind, value.parts) - value.offset * 60_000


def step(value: Temporal, direction: int) -> Temporal:
    """Return the next (1) or the previous (-1) value of the same precision.

    Raises:
        CqlError: there is none.
    """
    return add(value, direction, value.precision)


def minimum(kind: Kind, home: int = 0) -> Temporal:
    """Return the smallest value of a kind."""
    return Temporal(kind, _LOWEST[3:] if kind == "Time" else _LOWEST[: 3 if kind == "Date" else 7], home, home)


def maximum(kind: Kind, home: int = 0) -> Temporal:
    """Return the largest value of a kind."""
    return Temporal(kind, _HIGHEST[3:] if kind == "Time" else _HIGHEST[: 3 if kind == "Date" else 7], home, home)
