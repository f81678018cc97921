"""Moves a chart in time by whole days, so that a story that ended years ago, or lies ahead, ends today."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

_DAY = re.compile(r"^(\d{4})-(\d{2})-(\d{2})(?=$|T)")
_MONTH = re.compile(r"^\d{4}-\d{2}$")

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
    if not isinstance(value, str) or _day(value) is None:
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


def shifted(value: Any, days: int) -> Any:
    """A copy of any JSON value with every date in it moved by whole days; times of day and offsets stay.

    A month without a day moves with its first day; a year alone moves by whole years.
    """
    if isinstance(value, dict):
        return {name: shifted(member, days) for name, member in value.items()}
    if isinstance(value, list):
        return [shifted(member, days) for member in value]
    return _shifted_text(value, days) if isinstance(value, str) else value


def _shifted_text(text: str, days: int) -> str:
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
