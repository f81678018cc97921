"""Request bodies of a wanted size, as an EHR would fill the service's prefetch templates from one chart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from benchmarks.charts import Chart, charted_at, days_until, shift_dates
from benchmarks.templates import Resource, Template

_NOT_OBSERVATIONS_SHARE = 0.15  # of a body: conditions, medications and the like; the rest is labs and vitals
_SERVER = "http://127.0.0.1/fhir"


@dataclass(frozen=True)
class Window:
    """A chart up to one instant of the stay, moved in time so that this instant is today."""

    chart: Chart
    until: str
    days: int

    @property
    def newest_first(self) -> Iterator[Resource]:
        """Everything but the Patient up to the window's end; what has no date comes last."""
        return (resource for resource in self.chart.newest_first if charted_at(resource) <= self.until)

    @property
    def words(self) -> str:
        """Which patient, up to when, moved by how much."""
        return f"{self.chart.origin} up to {self.until}, moved by {self.days} days"


def windows(chart: Chart, now: datetime, most: int = 60) -> Iterator[Window]:
    """The chart up to its last observation, then up to earlier days of the stay that have any, newest first."""
    newest_of_day: dict[str, str] = {}
    for resource in chart.resources:
        at = charted_at(resource)
        if resource["resourceType"] == "Observation" and len(at) > 10:
            newest_of_day[at[:10]] = max(at, newest_of_day.get(at[:10], ""))
    for day in sorted(newest_of_day, reverse=True)[:most]:
        yield Window(chart, newest_of_day[day], days_until(newest_of_day[day], now))


def build_body(window: Window, templates: list[Template], target_bytes: int) -> bytes:
    """The hook's request: what the templates ask for up to the window's end, newest first, no more than their `_count`.

    A seventh of the target is kept for conditions, medications and the like; they fill what labs and vitals leave.
    A target of 0 gives the Patient only and null for every other key; a chart with too little gives a smaller body.
    """
    room = target_bytes - len(_encode(window.chart.patient))
    found = _Found(window, templates)
    kept_for_others = _size(found.others(int(room * _NOT_OBSERVATIONS_SHARE)))
    observations = found.observations(room - kept_for_others)
    by_key = {**observations, **found.others(room - _size(observations))}
    request = {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/example", "patientId": window.chart.patient["id"]},
        "prefetch": {template.key: _answer(template, window.chart.patient, by_key) for template in templates},
    }
    return _encode(shift_dates(request, window.days))


ByKey = dict[str, list[Resource]]


@dataclass(frozen=True)
class _Found:
    """What a window's chart has for the templates."""

    window: Window
    templates: list[Template]

    def observations(self, room: int) -> ByKey:
        """Labs and vitals of no more than `room` bytes by prefetch key."""
        return self._newest([t for t in self.templates if t.is_search and t.kind == "Observation"], room)

    def others(self, room: int) -> ByKey:
        """Everything else of no more than `room` bytes by prefetch key."""
        return self._newest([t for t in self.templates if t.is_search and t.kind != "Observation"], room)

    def _newest(self, templates: list[Template], room: int) -> ByKey:
        by_key: ByKey = {template.key: [] for template in templates}
        for resource in self.window.newest_first:
            for template in templates:
                taken = by_key[template.key]
                if len(taken) == template.count or not template.matches(resource):
                    continue
                entry = _entry(resource)
                room -= len(_encode(entry)) + 1
                if room < 0:
                    return by_key
                taken.append(entry)
        return by_key


def _size(by_key: ByKey) -> int:
    return sum(len(_encode(entry)) + 1 for entries in by_key.values() for entry in entries)


def _answer(template: Template, patient: Resource, by_key: ByKey) -> Resource | None:
    """What the FHIR server would have found; null where it found nothing."""
    if not template.is_search:
        return patient if template.kind == "Patient" else None
    entries = by_key[template.key]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries} if entries else None


def _entry(resource: Resource) -> dict[str, Any]:
    address = f"{_SERVER}/{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": address, "resource": resource, "search": {"mode": "match"}}


def _encode(value: Any) -> bytes:
    return orjson.dumps(value)
