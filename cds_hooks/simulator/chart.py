"""A patient's chart: read from a file (Bundle, Patient or CDS Hooks request, plain or gzipped) or a sample."""

import gzip
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from cds_hooks.samples import list_samples, load_draft, load_patient
from cds_hooks.simulator.dates import days_until, last_event, move_dates

Resource = dict[str, Any]


class ChartError(ValueError):
    """The file cannot be used; the message says why and what to give instead."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One patient's resources in the order of the file, and the drafts of a request file."""

    resources: list[Resource]
    drafts: list[Resource] = field(default_factory=list)

    @property
    def patient(self) -> Resource:
        """The one Patient of the chart."""
        return next(resource for resource in self.resources if resource.get("resourceType") == "Patient")


def read_chart(path: Path) -> Chart:
    """The chart in a file; ChartError where it is none or holds not exactly one Patient."""
    document = read_json(path)
    if "hook" in document and isinstance(document.get("context"), dict):
        prefetch = [value for value in (document.get("prefetch") or {}).values() if isinstance(value, dict)]
        drafts = resources_of(document["context"].get("draftOrders") or {})
        chart = Chart([each for value in prefetch for each in resources_of(value)], drafts)
    else:
        chart = Chart(resources_of(document))
    patients = {resource.get("id") for resource in chart.resources if resource.get("resourceType") == "Patient"}
    if len(patients) != 1:
        raise ChartError(f"{path.name} holds {len(patients)} patients; give a Bundle with the chart of exactly one")
    return chart


def read_drafts(path: Path) -> list[Resource]:
    """The draft orders in a file: one resource, or a Bundle of them with the Medications they refer to."""
    drafts = resources_of(read_json(path))
    if not drafts:
        raise ChartError(f"{path.name} holds no draft order; give a MedicationRequest or a Bundle with one")
    return drafts


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file, gunzipped where it is gzipped; ChartError says what is wrong."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ChartError(f"{path} cannot be read: {error.strerror}") from error
    try:
        document = orjson.loads(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
    except (ValueError, EOFError, OSError) as error:
        raise ChartError(f"{path.name} is not JSON") from error
    if not isinstance(document, dict):
        raise ChartError(f"{path.name} is JSON but no object; give a FHIR resource or Bundle")
    return document


def resources_of(document: dict[str, Any]) -> list[Resource]:
    """The resources of a Bundle, or the one resource it is; references by an entry's fullUrl become Type/id.

    That is what a FHIR server does with a Bundle it takes in: no search answer holds a urn:uuid of another Bundle.
    """
    if document.get("resourceType") != "Bundle":
        return [document] if document.get("resourceType") else []
    entries = [entry for entry in document.get("entry") or [] if isinstance(entry, dict)]
    found = [(entry.get("fullUrl"), entry["resource"]) for entry in entries if isinstance(entry.get("resource"), dict)]
    names = {url: f"{r.get('resourceType')}/{r['id']}" for url, r in found if isinstance(url, str) and r.get("id")}
    return [_renamed(resource, names) for _, resource in found]


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            name: names.get(member, member)
            if name == "reference" and isinstance(member, str)
            else _renamed(member, names)
            for name, member in value.items()
        }
    return [_renamed(member, names) for member in value] if isinstance(value, list) else value


_SAMPLE = "sample:"


def open_chart(path: Path, now: datetime) -> Chart:
    """The chart of a file, or of `sample:ID` with its dates as of `now`; ChartError where there is none."""
    sample = _sample_name(path)
    if sample is None:
        return read_chart(path)
    if sample not in {each.id for each in list_samples()}:
        raise ChartError(f"there is no sample {sample}; see: cds-hooks samples list")
    return Chart(resources_of(load_patient(sample, now)))


def open_drafts(path: Path, now: datetime) -> list[Resource]:
    """The draft orders of a file, or of `sample:ID`; ChartError where there are none."""
    sample = _sample_name(path)
    if sample is None:
        return read_drafts(path)
    if sample not in {order.draft for each in list_samples() for order in each.orders}:
        raise ChartError(f"there is no sample draft {sample}; see: cds-hooks samples list --json")
    return resources_of(load_draft(sample, now))


def days_to_today(chart: Chart, now: datetime) -> int:
    """By how many days the chart is to be moved so that its last event is today; ChartError where it has none."""
    time = last_event(chart.resources)
    if time is None:
        raise ChartError("the chart has no encounter, result or order with a date, so there is nothing to move it by")
    return days_until(time, now)


def move_chart(chart: Chart, days: int) -> Chart:
    """The same chart, all its dates moved by whole days."""
    return Chart(move_dates(chart.resources, days), move_dates(chart.drafts, days))


def _sample_name(path: Path) -> str | None:
    return str(path).removeprefix(_SAMPLE) if str(path).startswith(_SAMPLE) else None
