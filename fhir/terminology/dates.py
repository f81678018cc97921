"""The dates in a note: "10/9/26", "28/7", "Jan 15", "in July"."""

import re
from datetime import date
from typing import Final

from msgspec import Struct


class FoundDate(Struct, frozen=True):
    """A day and where a text names it."""

    start: int
    end: int
    day: date


_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH: Final = (
    "(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    "|oct(?:ober)?"
    "|nov(?:ember)?|dec(?:ember)?)"
)
_NUMERIC: Final = re.compile(r"(?<![\d/.])(\d{1,2})[/.](\d{1,2})(?:[/.](\d{4}|\d{2}))?(?![\d/]|\.\d|%)")
_ISO: Final = re.compile(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)")
_WORDS: Final = re.compile(
    rf"(?<![\w/])(?:(?P<before>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?[ -])?{_MONTH}\.?(?:[ -](?P<after>\d{{1,2}}(?!\d"
    rf"|/))(?:st|nd|rd|th)?)?(?:,?[ -]?(?P<year>(?:19|20)\d\d))?\b",
    re.IGNORECASE,
)


def find_dates(text: str, on: date, *, month_first: bool) -> list[FoundDate]:
    """Return the dates of a note that was written on a day; without a year, the last such day up to then."""
    dates: list[FoundDate] = []
    for match in _ISO.finditer(text):
        _add(dates, match, int(match[1]), int(match[2]), int(match[3]), on)
    for match in _NUMERIC.finditer(text):
        if "." in match[0] and match[3] is None:
            continue  # a decimal
        if match[3] is None and not month_first and int(match[2]) in (7, 12) and not _is_date(match):
            continue
        first, second = int(match[1]), int(match[2])
        month, day = (first, second) if month_first else (second, first)
        if month > 12 >= day and match[3] is not None:
            month, day = day, month
        year = int(match[3]) if match[3] else None
        _add(dates, match, year + 2000 if year is not None and year < 100 else year, month, day, on)
    for match in _WORDS.finditer(text):
        if match["month"].lower() in ("may", "mar", "march") and not (
            match["before"] or match["after"] or match["year"]
        ):
            continue
        month = _MONTHS.index(match["month"][:3].lower()) + 1
        day = int(match["before"] or match["after"] or 1)
        _add(dates, match, int(match["year"]) if match["year"] else None, month, day, on)
    return sorted(dates, key=lambda one_date: one_date.start)


def _is_date(match: re.Match[str]) -> bool:
    """Whether "28/7" is a day: of British durations ("2/7" days, "6/12" months, "4/52" weeks) the first is small."""
    is_bracketed = match.string[match.start() - 1 : match.start()] == "(" and match.string[match.end() :][:1] == ")"
    return is_bracketed or int(match[1]) > 12


def _add(dates: list[FoundDate], match: re.Match[str], year: int | None, month: int, day: int, on: date) -> None:
    try:
        moment = date(year or on.year, month, day)
        if year is None and moment > on:
            moment = date(on.year - 1, month, day)
    except ValueError:
        return
    dates.append(FoundDate(match.start(), match.end(), moment))
