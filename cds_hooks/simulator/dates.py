"""Moves a chart in time by whole days, so that a history that ended years ago, or lies ahead, ends today."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

_DAY = re.compile(r"^(\d{4})-(\d{2})-(\d{2})(?=$|T)")
_MONTH = re.compile(r"^\d{4}-\d{2}$")
_YEAR = re.compile(r"^\d{4}$")
# Four digits may be anything; in these members of FHIR R4 they are a year.
_MEMBER_WITH_DATE = re.compile(r"(date|datetime|authoredOn|dateAsserted|start|end)$", re.IGNORECASE)
_YEAR_DAYS = 365.2425
_OPEN_END = date(9999, 1, 1)

# What happened to the patient; not the death, not when a record was made.
_EVENTS = {
    "Encounter": (("period", "end"), ("period", "start")),
    "Observation": (
        ("effectiveDateTime",),
        ("effectivePeriod", "end"),
        ("effectivePeriod", "start"),
        ("effectiveInstant",),
    ),
    "MedicationRequest": (("authoredOn",),),
    "ServiceRequest": (("authoredOn",),),
    "DiagnosticReport": (("effectiveDateTime",),),
    "Procedure": (("performedDateTime",), ("performedPeriod", "end")),
}


def last_event(resources: Iterable[dict[str, Any]]) -> datetime | None:
    """The time of the last encounter, result, procedure or order; None when the chart has none with a date.

    A day without a time begins at midnight UTC.
    """
    times = [
        time
        for resource in resources
        for path in _EVENTS.get(str(resource.get("resourceType")), ())
        if (time := _time_at(resource, path)) is not None
    ]
    return max(times, default=None)


def _time_at(resource: dict[str, Any], path: tuple[str, ...]) -> datetime | None:
    value: Any = resource
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    day = _day(value) if isinstance(value, str) else None
    if day is None or day >= _OPEN_END:
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _day(text: str) -> date | None:
    match = _DAY.match(text)
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None


def move_dates(value: Any, days: int, name: str = "") -> Any:
    """A copy of any JSON value (the member `name` of its parent) with every date in it moved by whole days.

    Times of day and offsets stay. A month without a day moves with its first day, a year alone by whole years. What
    would leave the calendar stays, such as the open end 9999-12-31.
    """
    if isinstance(value, dict):
        return {member: move_dates(each, days, member) for member, each in value.items()}
    if isinstance(value, list):
        return [move_dates(each, days, name) for each in value]
    if not isinstance(value, str):
        return value
    try:
        return _shifted_text(value, days, name)
    except (OverflowError, ValueError):
        return value


def _shifted_text(text: str, days: int, name: str) -> str:
    if _YEAR.match(text) and _MEMBER_WITH_DATE.search(name):
        return date(int(text) + round(days / _YEAR_DAYS), 1, 1).isoformat()[:4]
    if _MONTH.match(text):
        first = _day(f"{text}-01")
        return (first + timedelta(days=days)).isoformat()[:7] if first else text
    day = _day(text)
    if day is None:
        return text
    return (day + timedelta(days=days)).isoformat() + text[10:]


def days_until(time: datetime, now: datetime) -> int:
    """Whole days by which to move so that `time` falls into the last 24 hours, and nothing lies in the future."""
    return (now - time) // timedelta(days=1)
