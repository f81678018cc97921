"""What a criterion is judged on, how a test came out, and the windows of time and limits that tests share."""

import calendar
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any, Final

from msgspec import Struct

from fhir.record.datatypes import CodeableConcept, FhirTime
from fhir.record.record import PatientRecord

Test = Mapping[str, Any]


class Seen(Struct, frozen=True):
    """Whether a test holds, and the references of the resources that show that it does or does not."""

    holds: bool | None
    sources: tuple[str, ...] = ()


UNKNOWN: Final = Seen(None)
NO: Final = Seen(False)


class Subject(Struct, frozen=True):
    """What a criterion is judged on: the chart, the day of service, who orders, and visits with their participants."""

    record: PatientRecord
    day: date
    requester: str | None = None
    participants: Mapping[str, frozenset[str]] = {}
    """By the id of an Encounter the references of who took part."""


def months_before(day: date, months: int) -> date:
    """Return the same day so many months earlier, or the last day of that month.

    >>> months_before(date(2026, 8, 31), 6)
    datetime.date(2026, 2, 28)
    """
    month = day.year * 12 + day.month - 1 - months
    year, month = divmod(month, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def is_within(time: FhirTime | None, wanted: Test, day: date) -> bool | None:
    """Return whether the time lies in the window of the test; None where it cannot be told."""
    begin = end = None
    if "within_months" in wanted:
        begin = months_before(day, wanted["within_months"])
    elif "within_days" in wanted:
        begin = day - timedelta(days=wanted["within_days"])
    elif "within_full_months" in wanted:  # months that begin after the month of the event
        begin = months_before(day.replace(day=1), wanted["within_full_months"])
    if "older_than_days" in wanted:
        end = day - timedelta(days=wanted["older_than_days"])
    elif "older_than_months" in wanted:
        end = months_before(day, wanted["older_than_months"])
    if begin is None and end is None:
        return True
    if time is None:
        return None
    if begin is not None:
        if time.last_day < begin or time.first_day > day:
            return False
        if time.first_day < begin:
            return None
    if end is not None:
        if time.first_day > end:
            return False
        if time.last_day > end:
            return None
    return True


def counted(hits: Iterable[tuple[bool | None, str]], count: int) -> Seen:
    """Return that it holds with so many certain hits; unknown where the uncertain could make them up."""
    sources, doubtful = [], 0
    for holds, source in hits:
        if holds:
            sources.append(source)
        elif holds is None:
            doubtful += 1
    if len(sources) >= count:
        return Seen(True, tuple(sources))
    return UNKNOWN if len(sources) + doubtful >= count else NO


def absent(record: PatientRecord, *kinds: str) -> Seen:
    """Return what nothing means: no where the chart was asked for these types, unknown where it was not."""
    return NO if all(record.was_requested(kind) for kind in kinds) else UNKNOWN


def is_in(value: float, wanted: Test) -> bool:
    """Return whether a value keeps the limits of a test."""
    return (
        value >= wanted.get("ge", value)
        and value <= wanted.get("le", value)
        and ("gt" not in wanted or value > wanted["gt"])
        and ("lt" not in wanted or value < wanted["lt"])
    )


def words_of(concept: CodeableConcept) -> str:
    """Return the text and the displays of a concept in lower case."""
    return " ".join(concept.texts).lower()
