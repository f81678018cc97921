"""Moves a chart in time by whole days, so that a story that ended years ago, or lies ahead, ends today."""

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
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


def last_event(resources: Iterable[dict[str, Any]]) -> date | None:
    """The day of the last encounter, result, procedure or order; None when the chart has none."""
    days = [
        day
        for resource in resources
        for path in _EVENTS.get(str(resource.get("resourceType")), ())
        if (day := _day_at(resource, path)) is not None
    ]
    return max(days, default=None)


def _day_at(resource: dict[str, Any], path: tuple[str, ...]) -> date | None:
    value: Any = resource
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return _day(value) if isinstance(value, str) else None


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


def days_until(day: date, now: datetime) -> int:
    """Whole days from a day to today."""
    return (now.date() - day).days
