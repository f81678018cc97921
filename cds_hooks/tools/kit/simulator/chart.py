"""A patient's chart: read from a file (Bundle, Patient or CDS Hooks request, plain or gzipped) or a sample.

Moves a chart in time by whole days, so that a history that ended years ago, or lies ahead, ends today.
"""

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import DecodeError
from msgspec import json as msgspec_json

from cds_hooks.samples import list_samples, load_draft, load_patient

_MOST_UNPACKED_BYTES = 64 * 1024 * 1024  # as in fhir/record/charts.py, which the kit is without; a test compares
_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}(?=$|T)")
_MONTH = re.compile(r"^\d{4}-\d{2}$")
_YEAR = re.compile(r"^\d{4}$")
# Four digits may be anything; in these members of FHIR R4 they are a year.
_MEMBER_WITH_DATE = re.compile(r"(date|datetime|authoredOn|dateAsserted|start|end)$", re.IGNORECASE)
_YEAR_DAYS = 365.2425
_OPEN_END = date(9999, 1, 1)
_KINDS = ("DateTime", "Period", "Instant")

# What happened to the patient; not the death, not when a record was made.
_EVENTS = ("Encounter", "Observation", "MedicationRequest", "ServiceRequest", "DiagnosticReport", "Procedure")
_HAPPENED = ("period", "authoredOn", *(f"{verb}{kind}" for verb in ("effective", "performed") for kind in _KINDS))


def last_event(resources: Iterable[dict[str, Any]]) -> datetime | None:
    """Return the time of the last encounter, result, procedure or order; None when the chart has none with a date.

    A day without a time begins at midnight UTC.
    """
    events = (resource for resource in resources if resource.get("resourceType") in _EVENTS)
    values = (resource.get(name) for resource in events for name in _HAPPENED)
    texts = (text for value in values for text in (value.values() if isinstance(value, dict) else (value,)))
    return max((time for text in texts if (time := _time(text)) is not None), default=None)


def _time(text: Any) -> datetime | None:
    try:
        time = datetime.fromisoformat(text) if isinstance(text, str) and _DAY.match(text) else None
    except ValueError:
        return None
    if time is None or time.date() >= _OPEN_END:
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def move_dates(value: Any, days: int, name: str = "") -> Any:
    """Return a copy of any JSON value (the member `name` of its parent) with every date in it moved by whole days.

    Times of day and offsets stay. A month without a day moves with its first day, a year alone by whole years. What
    would leave the calendar stays, such as the open end 9999-12-31.
    """
    if isinstance(value, dict):
        return {member: move_dates(member_value, days, member) for member, member_value in value.items()}
    if isinstance(value, list):
        return [move_dates(item, days, name) for item in value]
    if not isinstance(value, str) or not value[:1].isdigit():
        return value
    try:
        return _shifted_text(value, days, name)
    except (OverflowError, ValueError):
        return value


def _shifted_text(text: str, days: int, name: str) -> str:
    if _YEAR.match(text) and _MEMBER_WITH_DATE.search(name):
        return date(int(text) + round(days / _YEAR_DAYS), 1, 1).isoformat()[:4]
    if _MONTH.match(text):
        return (date.fromisoformat(f"{text}-01") + timedelta(days=days)).isoformat()[:7]
    if not _DAY.match(text):
        return text
    return (date.fromisoformat(text[:10]) + timedelta(days=days)).isoformat() + text[10:]


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
        return next(self.of_type("Patient"))

    def of_type(self, kind: str) -> Iterator[Resource]:
        """Yield the resources of this type."""
        return (resource for resource in self.resources if resource.get("resourceType") == kind)


def read_chart(path: Path) -> Chart:
    """Return the chart in a file; ChartError where it is none or holds not exactly one Patient."""
    return chart_of(read_json(path), path.name)


def chart_of(document: dict[str, Any], name: str) -> Chart:
    """Return the chart in a Bundle, a Patient or a CDS Hooks request; ChartError names the document by `name`."""
    if "hook" in document and isinstance(document.get("context"), dict):
        prefetch = (document.get("prefetch") or {}).values()
        drafts = resources_of(document["context"].get("draftOrders"))
        chart = Chart([resource for value in prefetch for resource in resources_of(value)], drafts)
    else:
        chart = Chart(resources_of(document))
    patients = {resource.get("id") for resource in chart.resources if resource.get("resourceType") == "Patient"}
    if len(patients) != 1:
        raise ChartError(f"{name} holds {len(patients)} patients; give a Bundle with the chart of exactly one")
    if patients == {None}:
        raise ChartError(f"the Patient in {name} has no id, and no fullUrl names it: no call can say whom it is about")
    return chart


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, gunzipped where it is gzipped; ChartError says what is wrong."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ChartError(unreadable(path, error)) from error
    try:
        if is_packed := content[:2] == b"\x1f\x8b":
            with gzip.open(path) as file:
                content = file.read(_MOST_UNPACKED_BYTES + 1)
        if is_packed and len(content) > _MOST_UNPACKED_BYTES:
            raise ChartError(f"{path.name} is over {_MOST_UNPACKED_BYTES:,} bytes when unpacked: unpack it first")
        document = msgspec_json.decode(content)
    except (DecodeError, UnicodeError, RecursionError, EOFError, OSError, zlib.error) as error:
        raise ChartError(f"{path.name} is not valid JSON. Nothing was sent.") from error
    if not isinstance(document, dict):
        raise ChartError(f"{path.name} must be a JSON object; give a FHIR resource or a Bundle")
    return document


def unreadable(path: Path, error: OSError) -> str:
    """Return the name and why it cannot be read, in the words of the whole program (fhir/terminology/plain_file.py)."""
    if isinstance(error, FileNotFoundError):
        if not path.parent.is_dir():
            return f"{path} is not there, nor is its folder {path.parent}"
        return f"{path} is not there" if path.is_absolute() else f"“{path}” is not there: {Path.cwd()} has no such file"
    if isinstance(error, IsADirectoryError):
        return f"{path} is a folder; give a file"
    if isinstance(error, PermissionError):
        return f"{path} may not be read by the user who runs this program"
    return f"{path} cannot be read: {error.strerror}"


def resources_of(document: Any) -> list[Resource]:
    """Return the resources of a Bundle, or the one resource it is; references by an entry's fullUrl become Type/id.

    That is what a FHIR server does with a Bundle it takes in: no search answer holds a urn:uuid of another Bundle.
    """
    if not _is_resource(document) or document["resourceType"] != "Bundle":
        return [document] if _is_resource(document) else []
    listed = document.get("entry")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    resources = [
        (entry.get("fullUrl"), _with_id(entry["resource"], entry.get("fullUrl")))
        for entry in entries
        if _is_resource(entry.get("resource"))
    ]
    names = {url: f"{r['resourceType']}/{r['id']}" for url, r in resources if isinstance(url, str) and r.get("id")}
    return [rename_references(resource, names) for _, resource in resources]


def _with_id(resource: Resource, full_url: Any) -> Resource:
    """Return a resource of a Bundle with the id that its fullUrl gives it, where it has none of its own."""
    match = _ID_OF_URL.search(full_url) if isinstance(full_url, str) and not resource.get("id") else None
    return resource if match is None else {**resource, "id": match[1]}


_ID_OF_URL = re.compile(r"[/:]([A-Za-z0-9.-]{1,64})$")


def _is_resource(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("resourceType"), str)


def rename_references(value: Any, names: Mapping[str, str]) -> Any:
    """Return a copy of any JSON value in which every reference of these names has its new one."""
    if isinstance(value, dict):
        return {
            name: names.get(member, member)
            if name == "reference" and isinstance(member, str)
            else rename_references(member, names)
            for name, member in value.items()
        }
    return [rename_references(member, names) for member in value] if isinstance(value, list) else value


_SAMPLE = "sample:"


def open_chart(path: Path, now: datetime) -> Chart:
    """Return the chart of a file, or of `sample:ID` with its dates as of `now`; ChartError where there is none."""
    sample = _sample_name(path)
    if sample is None:
        return read_chart(path)
    if sample not in {sample.id for sample in list_samples()}:
        raise ChartError(f"There is no sample {sample}; `cds-hooks call` lists the samples.")
    return Chart(resources_of(load_patient(sample, now)))


def open_drafts(path: Path, now: datetime) -> list[Resource]:
    """Return the draft orders and their Medications of a file, or of `sample:ID`; ChartError where there are none."""
    sample = _sample_name(path)
    if sample is None:
        drafts = resources_of(read_json(path))
        if not drafts:
            raise ChartError(f"{path.name} holds no draft order; give a MedicationRequest or a Bundle with one")
        return drafts
    if sample not in {order.draft for sample in list_samples() for order in sample.orders}:
        raise ChartError(f"There is no sample draft {sample}; `cds-hooks call` lists the drafts.")
    return resources_of(load_draft(sample, now))


def days_to_today(chart: Chart, now: datetime) -> int:
    """By how many whole days to move the chart so that its last event falls into the last 24 hours.

    Raises:
        ChartError: It has none with a date.
    """
    time = last_event(chart.resources)
    if time is None:
        raise ChartError("the chart has no encounter, result or order with a date, so there is nothing to move it by")
    return (now - time) // timedelta(days=1)


def move_chart(chart: Chart, days: int) -> Chart:
    """Return the same chart, all its dates moved by whole days."""
    return Chart(move_dates(chart.resources, days), move_dates(chart.drafts, days))


def _sample_name(path: Path) -> str | None:
    return str(path).removeprefix(_SAMPLE) if str(path).startswith(_SAMPLE) else None
