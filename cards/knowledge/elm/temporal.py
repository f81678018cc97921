"""Holds dates, times of day and date-times with the precision that they were given with, and computes with them.

CQL 1.5.3 (HL7, https://cql.hl7.org, chapters "Author's Guide" and Appendix B, read on 2026-11-28): a value may stop at
any component; comparing values of different precision is uncertain; date-times are compared in the time zone offset of
the evaluation; seconds and milliseconds count as one component where values are compared.
"""

import re
from calendar import monthrange
from contextlib import suppress
from datetime import date
from typing import Final, TypeAlias

from cards.knowledge.elm.errors import CqlError

PRECISIONS: Final = ("year", "month", "day", "hour", "minute", "second", "millisecond")
_LOWEST: Final = (1, 1, 1, 0, 0, 0, 0)
_HIGHEST: Final = (9999, 12, 31, 23, 59, 59, 999)
_DAY: Final = 86_400_000
_EPOCH: Final = date(1970, 1, 1).toordinal()
_MS_OF: Final = {
    "week": 7 * _DAY, "day": _DAY, "hour": 3_600_000, "minute": 60_000, "second": 1000, "millisecond": 1,
}  # fmt: skip
_TEXT: Final = re.compile(
    r"(?:(\d{4})(?:-(\d\d)(?:-(\d\d))?)?)?(?:T(?:(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?)?)?(Z|[+-]\d\d:\d\d)?"
)

Kind: TypeAlias = str  # Date, DateTime or Time
Parts: TypeAlias = tuple[int, ...]
_EXTENTS: Final[dict[Kind, tuple[int, int]]] = {"Date": (0, 3), "DateTime": (0, 7), "Time": (3, 4)}


class Temporal:
    """A date, a date-time or a time of day: its components from the largest on, as far as they were given.

    `first` is the index in `PRECISIONS` of its first component and `most` how many a whole value has. `offset` is the
    time zone offset in minutes and `home` that of the evaluation, in which `at_home` has the components.
    """

    __slots__ = ("at_home", "first", "home", "kind", "most", "offset", "parts")

    def __init__(self, kind: Kind, parts: Parts, offset: int = 0, home: int = 0) -> None:
        self.kind = kind
        self.parts = parts
        self.offset = offset
        self.home = home
        self.first, self.most = _EXTENTS[kind]
        self.at_home = parts
        if offset != home and len(parts) > 3:
            with suppress(CqlError):  # on the first and the last day that there are
                self.at_home = _from_ms(kind, self.instant() + home * 60_000)[: len(parts)]

    @property
    def precision(self) -> str:
        """Return the name of the last component that is given."""
        return PRECISIONS[self.first + len(self.parts) - 1]

    def with_parts(self, parts: Parts) -> "Temporal":
        """Return the same kind and offset with other components."""
        return Temporal(self.kind, parts, self.offset, self.home)

    def lowest(self) -> "Temporal":
        """Return the first instant that this value can mean."""
        return self.with_parts(self.parts + _LOWEST[self.first + len(self.parts) : self.first + self.most])

    def highest(self) -> "Temporal":
        """Return the last instant that this value can mean."""
        parts = self.parts
        while len(parts) < self.most:
            index = self.first + len(parts)
            parts += (monthrange(*parts)[1] if index == 2 else _HIGHEST[index],)
        return self.with_parts(parts)

    def instant(self) -> int:
        """Return milliseconds since 1970 (of a time of day: since midnight), missing components being the lowest."""
        return _to_ms(self.kind, self.parts) - self.offset * 60_000

    def __str__(self) -> str:
        """Return the ISO text with exactly the precision of the value."""
        texts = [f"{part:04d}" if not index + self.first else f"{part:02d}" for index, part in enumerate(self.parts)]
        day, clock = "-".join(texts[: 3 - self.first]), texts[3 - self.first :]
        if not clock:
            return day
        seconds = f".{self.parts[-1]:03d}" if len(self.parts) == self.most else ""
        hours, minutes = divmod(abs(self.offset), 60)
        offset = f"{'-' if self.offset < 0 else '+'}{hours:02d}:{minutes:02d}" if day else ""
        return (day + "T" if day else "") + ":".join(clock[:3]) + seconds + offset

    def compare(self, other: "Temporal", precision: str | None = None) -> int | None:
        """Return -1, 0 or 1; None where the precision of one of them leaves it open.

        >>> Temporal("Date", (2024, 2)).compare(Temporal("Date", (2024, 3, 1)))
        -1
        >>> Temporal("Date", (2024, 3)).compare(Temporal("Date", (2024, 3, 1))) is None
        True
        """
        a, b = (self.parts, other.parts) if self.offset == other.offset else (self.at_home, other.at_home)
        requested = 7 if precision is None else PRECISIONS.index(precision) + 1 - self.first
        shared = min(len(a), len(b), requested)
        if a[:shared] != b[:shared]:
            return -1 if a[:shared] < b[:shared] else 1
        return 0 if shared == requested or len(a) == len(b) else None

    def plus(self, amount: int, unit: str) -> "Temporal":
        """Return the value moved by a whole number of calendar units; a month that is too short ends on its last day.

        Raises:
            CqlError: the result is out of range.
        """
        if unit in {"year", "month"}:
            return self._plus_months(amount * (12 if unit == "year" else 1))
        if PRECISIONS.index("day" if unit == "week" else unit) >= self.first + len(self.parts):
            # a smaller unit than the value has: so many whole units of its last component (12 months, 30 days)
            days = {"year": 365, "month": 30}.get(self.precision)
            length = days * _DAY if days else _MS_OF[self.precision]
            return self.plus(int(amount * _MS_OF[unit] / length), self.precision)
        moved = _from_ms(self.kind, _to_ms(self.kind, self.parts) + amount * _MS_OF[unit])
        return self.with_parts(moved[: len(self.parts)])

    def _plus_months(self, months: int) -> "Temporal":
        if self.kind == "Time":
            raise CqlError("Years and months cannot be added to a time of day.")
        year, month, *rest = (*self.parts, 1) if len(self.parts) == 1 else self.parts
        months = int(months / 12) * 12 if len(self.parts) == 1 else months
        year, month = year + (month - 1 + months) // 12, (month - 1 + months) % 12 + 1
        if not 1 <= year <= 9999:
            raise CqlError("The result is not between the years 1 and 9999.")
        rest[:1] = [min(day, monthrange(year, month)[1]) for day in rest[:1]]
        return self.with_parts((year, month, *rest)[: len(self.parts)])


def _to_ms(kind: Kind, parts: Parts) -> int:
    *day, hour, minute, second, ms = parts + (_LOWEST[3:] if kind == "Time" else _LOWEST)[len(parts) :]
    days = date(*day).toordinal() - _EPOCH if day else 0
    return days * _DAY + ((hour * 60 + minute) * 60 + second) * 1000 + ms


def _from_ms(kind: Kind, ms: int) -> Parts:
    days, rest = divmod(ms, _DAY)
    clock = (rest // 3_600_000, rest // 60_000 % 60, rest // 1000 % 60, rest % 1000)
    if not (days == 0 if kind == "Time" else 1 <= days + _EPOCH <= date.max.toordinal()):
        raise CqlError("The result is not a time of one day, or not between the years 1 and 9999.")
    day = date.fromordinal(days + _EPOCH)
    return clock if kind == "Time" else (day.year, day.month, day.day) + (() if kind == "Date" else clock)


def checked(kind: Kind, parts: Parts, offset: int, home: int) -> Temporal:
    """Return the value.

    Raises:
        CqlError: a component is out of its range.
    """
    for index, number in enumerate(parts, _EXTENTS[kind][0]):
        highest = monthrange(*parts[:2])[1] if index == 2 else _HIGHEST[index]
        if not _LOWEST[index] <= number <= highest:
            raise CqlError(f"The {PRECISIONS[index]} of a {kind} is out of range.")
    if abs(offset) > 14 * 60:
        raise CqlError("A time zone offset is out of range.")
    return Temporal(kind, parts, offset, home)


def read_temporal(text: object, kind: Kind, home: int = 0) -> Temporal | None:
    """Return the date, date-time or time of day of an ISO text with its precision; None for what is not one."""
    if not isinstance(text, str):
        return None
    text = text.strip()
    match = _TEXT.fullmatch(text if kind != "Time" or text.startswith("T") else "T" + text)
    if match is None or (match[4 if kind == "Time" else 1]) is None or (kind == "Time" and (match[1] or match[8])):
        return None
    parts = tuple(int(part) for part in match.groups()[:6] if part is not None)
    if match[7] is not None:
        parts += (int((match[7] + "00")[:3]),)
    home, zone = (home, match[8]) if kind == "DateTime" else (0, None)
    offset = home
    if zone is not None:
        offset = 0 if zone == "Z" else (int(zone[1:3]) * 60 + int(zone[4:6])) * (-1 if zone[0] == "-" else 1)
    with suppress(CqlError):
        return checked(kind, parts[: _EXTENTS[kind][1]], offset, home)
    return None


def duration(start: Temporal, end: Temporal, unit: str) -> int:
    """Return the whole units that pass from one whole value to another; negative where `end` is earlier."""
    passed = end.instant() - start.instant()
    if passed < 0:
        return -duration(end, start, unit)
    if unit not in {"year", "month"}:
        return passed // _MS_OF[unit]
    late, early = end.at_home, start.at_home
    months = (late[0] - early[0]) * 12 + late[1] - early[1]
    months -= late[2:] < (min(early[2], monthrange(*late[:2])[1]), *early[3:])
    return months // 12 if unit == "year" else months


def difference(start: Temporal, end: Temporal, unit: str) -> int:
    """Return how many borders of the unit lie between two whole values (a week begins on Sunday)."""
    a, b = start.at_home, end.at_home
    if unit in {"year", "month"}:
        return b[0] - a[0] if unit == "year" else (b[0] - a[0]) * 12 + b[1] - a[1]
    ms = _MS_OF[unit]
    shift = 4 * _DAY if unit == "week" else 0  # 1970-01-01 was a Thursday: Sundays are four days after
    return (_to_ms(end.kind, b) + shift) // ms - (_to_ms(start.kind, a) + shift) // ms
