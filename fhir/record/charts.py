"""Charts of a folder of FHIR, every resource as a dictionary, and what was known of a patient at an instant.

Nothing that was seen, written or ended after an instant can change a feature of that instant.

A resource counts from when it was known: results from when they were issued, diagnoses from when they were recorded
(without a date from the end of the visit in which they were made), orders from when they were written. A day without a
time is known when the day is over. A resource without any date is left out. Later additions to a resource are taken
out: the end of a stay and where it went, the end of a condition, the patient's death, how an order ended.

At the bedside the same chart is read as it is written then: a day counts from its begin, and a condition that is over
or an order that has ended without a date are over. `as_written` reads so, to count where the two readings differ.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from fhir.record.datatypes import DAY_SECONDS, FhirTime, parse_time
from fhir.record.folder import ChartsRefused, FolderTally, lines_by_patient, patient_named_by, read_contents
from fhir.record.record import relative_reference
from fhir.record.statuses import NEVER_TOOK_PLACE

Json = dict[str, Any]

# Named by others by reference, about no patient.
_SHARED = frozenset({"Medication"})


@dataclass(slots=True)
class PatientChart:
    """One patient's resources; `patient` is the Patient."""

    patient: Json
    resources: list[Json] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The patient's id."""
        return str(self.patient["id"])


def read_charts(folder: Path, unreadable: Callable[[ChartsRefused], None] | None = None) -> Iterator[PatientChart]:
    """Every patient's chart, whichever files tell of the patient.

    A file that cannot be read is refused, or told to `unreadable` and left out. What comes twice is there once.
    """
    with lines_by_patient(folder, FolderTally(), is_strict=True, unreadable=unreadable) as people:
        for person in people:
            yield from by_patient(map(msgspec.json.decode, person.lines))


def read_resources(path: Path) -> Iterator[Json]:
    """Yield the resources of one file: NDJSON, a bundle, or one resource.

    Raises:
        ChartsRefused: It is no FHIR, breaks off, or has a resource longer than `MOST_UNPACKED_BYTES`.
    """
    for content in read_contents(path):
        try:
            resource = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            is_cut = "truncated" in str(problem)
            fault = "ends too early: get the whole file" if is_cut else f"is not valid JSON: {problem}"
            raise ChartsRefused(f"{path.name} {fault}") from problem
        if not isinstance(resource, dict):
            raise ChartsRefused(f"{path.name} holds no FHIR resource")
        yield resource


def by_patient(resources: Iterable[Json]) -> Iterator[PatientChart]:
    """Yield these resources' charts.

    What names no patient of these is left out, and what comes twice is there once.
    """
    listed = list(resources)
    charts = {
        resource["id"]: PatientChart(resource)
        for resource in listed
        if resource.get("resourceType") == "Patient" and isinstance(resource.get("id"), str)
    }
    shared = [resource for resource in listed if resource.get("resourceType") in _SHARED]
    identities: set[tuple[Any, ...]] = set()
    for resource in listed:
        patient, kind, own_id = patient_named_by(resource) or "", resource.get("resourceType"), resource.get("id")
        # as `fhir.record.facts.distinct`: a stay on two pages is one stay
        identity = (patient, kind, own_id or msgspec.json.encode(resource))
        if (chart := charts.get(patient)) is not None and kind != "Patient" and identity not in identities:
            chart.resources.append(resource)
            identities.add(identity)
    for chart in charts.values():
        chart.resources += shared
        yield chart


# Where the times of each type stand; every one that is there must have passed.
_TIMES: Mapping[str, tuple[str, ...]] = {
    "Observation": ("effectiveDateTime", "effectiveInstant", "effectivePeriod.end", "effectivePeriod.start", "issued"),
    "Condition": ("recordedDate", "onsetDateTime", "onsetPeriod.start"),
    "MedicationRequest": ("authoredOn",),
    "MedicationStatement": ("dateAsserted", "effectiveDateTime", "effectivePeriod.start"),
    "MedicationDispense": ("whenHandedOver", "whenPrepared"),
    "MedicationAdministration": ("effectiveDateTime", "effectivePeriod.start"),
    "AllergyIntolerance": ("recordedDate", "onsetDateTime"),
    "Encounter": ("period.start",),
    "Procedure": ("performedDateTime", "performedPeriod.start"),
    "ServiceRequest": ("authoredOn",),
}
# Known whenever they are: about no time.
_TIMELESS = frozenset({"Medication"})
# How an order stands is written over as time goes by; that it was given is what remains true.
_WAS_AN_ORDER = frozenset({"active", "completed", "stopped", "on-hold", "unknown"})


def known_at(patient: Json, resources: Iterable[Json], epoch: float, *, as_written: bool = False) -> list[Json]:
    """Return the patient and the resources that were known, without what was written into them later."""
    listed = list(resources)
    ends = {
        f"Encounter/{resource.get('id')}": _at(resource, "period.end")
        for resource in listed
        if _is(resource, "Encounter")
    }
    resources_then = [{name: value for name, value in patient.items() if not name.startswith("deceased")}]
    for resource in listed:
        if resource.get("resourceType") in _TIMELESS:
            resources_then.append(resource)
        elif _is_known(resource, ends, epoch, as_written=as_written):
            is_left = as_written and _has_no_end(resource)
            resources_then.append(resource if is_left else _as_it_stood(resource, epoch))
    return resources_then


def has_passed(time: FhirTime, epoch: float) -> bool:
    """Whether the time is over at that instant: a day in its last second, a month and a year likewise."""
    days = {"instant": 0, "day": 1, "month": 31, "year": 366}[time.precision]
    return time.instant + (days * DAY_SECONDS - 1.0 if days else 0.0) <= epoch


def time_of(resource: Json, path: str) -> FhirTime | None:
    """Return the time at a path of one or two steps; None where there is none that can be read."""
    return _at(resource, path)


def _is_known(resource: Json, ends: Mapping[str, FhirTime | None], epoch: float, *, as_written: bool) -> bool:
    paths = _TIMES.get(str(resource.get("resourceType")))
    if paths is None:
        return False
    times = [time for path in paths if (time := _at(resource, path)) is not None]
    if not times and _is(resource, "Condition"):
        visit = resource.get("encounter")
        end = ends.get(relative_reference(str(visit.get("reference")))) if isinstance(visit, dict) else None
        times = [end] if end is not None else []
    return bool(times) and all(time.instant <= epoch if as_written else has_passed(time, epoch) for time in times)


def _has_no_end(resource: Json) -> bool:
    """Whether its state is written without the time since when it is so."""
    return not _is(resource, "Encounter") and not any(name.startswith("abatement") for name in resource)


def _as_it_stood(resource: Json, epoch: float) -> Json:
    if _is(resource, "Encounter"):
        return _open_stay(resource, epoch)
    if _is(resource, "Condition"):
        return _open_condition(resource, epoch)
    if _is(resource, "MedicationRequest") and resource.get("status") in _WAS_AN_ORDER:
        return {**resource, "status": "active"}
    return resource


def _open_stay(resource: Json, epoch: float) -> Json:
    end = _at(resource, "period.end")
    if resource.get("status") in NEVER_TOOK_PLACE or (end is not None and has_passed(end, epoch)):
        return resource
    period = {"start": resource["period"]["start"]}
    return {
        **{name: value for name, value in resource.items() if name not in ("hospitalization", "diagnosis", "length")},
        "period": period,
        "status": "in-progress",
    }


def _open_condition(resource: Json, epoch: float) -> Json:
    ends = [_at(resource, path) for path in ("abatementDateTime", "abatementPeriod.start", "abatementPeriod.end")]
    known_ends = [end for end in ends if end is not None]
    if known_ends and all(has_passed(end, epoch) for end in known_ends):
        return resource
    kept = {name: value for name, value in resource.items() if not name.startswith("abatement")}
    status = kept.get("clinicalStatus")
    if known_ends or status is not None:
        # Whether it is over is written when it is over, which was not yet, or nobody knows when.
        kept["clinicalStatus"] = {"coding": [{"code": "active"}]}
    return kept


def _is(resource: Json, kind: str) -> bool:
    return resource.get("resourceType") == kind


def _at(resource: Json, path: str) -> FhirTime | None:
    value: Any = resource
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return parse_time(value) if isinstance(value, str) else None
