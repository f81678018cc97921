"""What a criterion is judged on, and the windows of time, counts and limits that the words of criteria share."""

import calendar
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from msgspec import Struct

from cards.rules.conditions.condition import LIMITS, Truth, comparison
from fhir.record.datatypes import CodeableConcept, FhirTime
from fhir.record.record import PatientRecord

Test = Mapping[str, Any]


class Subject(Struct, frozen=True):
    """What a criterion is judged on: the chart, the day of service, who orders, and visits with their participants."""

    record: PatientRecord
    day: date
    requester: str | None = None
    participants: Mapping[str, frozenset[str]] = {}
    """By the id of an Encounter the references of who took part."""
    is_complete: bool = True
    """Whether what the chart was asked for and does not show is not so; else it is unknown."""

    @property
    def sex(self) -> str | None:
        """The administrative sex, as the word of rules asks for it."""
        return self.record.sex

    def lacks(self, *kinds: str) -> Truth:
        """Return what nothing means: false where the chart was asked for these types, else unknown."""
        return False if self.is_complete and all(map(self.record.was_requested, kinds)) else None

    def counted(self, hits: Iterable[Truth], count: int) -> Truth:
        """Return that it holds with so many certain hits; unknown where the uncertain could make them up."""
        answers = list(hits)
        if answers.count(True) >= count:
            return True
        return None if answers.count(True) + answers.count(None) >= count else self.lacks()


def months_before(day: date, months: int) -> date:
    """Return the same day so many months earlier, or the last day of that month.

    >>> months_before(date(2026, 8, 31), 6)
    datetime.date(2026, 2, 28)
    """
    month = day.year * 12 + day.month - 1 - months
    year, month = divmod(month, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def is_within(time: FhirTime | None, wanted: Test, day: date) -> Truth:
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


def is_in(value: float, wanted: Test) -> Truth:
    """Return whether a value keeps the limits of a test, if it has any."""
    return comparison(wanted)[0](value) if any(word in wanted for word in LIMITS) else True


def words_of(concept: CodeableConcept) -> str:
    """Return the text and the displays of a concept in lower case."""
    return " ".join(concept.texts).lower()
