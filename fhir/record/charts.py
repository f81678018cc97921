"""Charts of a folder of FHIR, sorted by patient, and what was known of a patient at an instant.

Bundles or NDJSON are read; every resource stays as it came, as a dictionary. Nothing that was seen, written or ended
after an instant can change a feature of that instant.

A resource counts from when it was known: results from when they were issued, diagnoses from when they were recorded
(without a date from the end of the visit in which they were made), orders from when they were written. A day without a
time is known when the day is over. A resource without any date is left out. Later additions to a resource are taken
out: the end of a stay and where it went, the end of a condition, the patient's death, how an order ended.

At the bedside the same chart is read as it is written then: a day counts from its begin, and a condition that is over
or an order that has ended without a date are over. `as_written` reads so, to count where the two readings differ.
"""

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from fhir.record.datatypes import DAY_SECONDS, FhirTime, parse_time
from fhir.record.record import relative_reference
from fhir.record.statuses import NEVER_TOOK_PLACE

Json = dict[str, Any]

MOST_UNPACKED_BYTES = 64 * 1024 * 1024
"""The most bytes of one gzipped document that are read; the longest public chart at hand, of one patient, has 18 MB."""
_LINES = (".ndjson", ".ndjson.gz", ".jsonl", ".jsonl.gz")
_SUFFIXES = (*_LINES, ".json", ".json.gz")
# Named by others by reference, about no patient.
_SHARED = frozenset({"Medication"})
_REFERRING = ("subject", "patient", "encounter", "medicationReference", "partOf")


class ChartsRefused(Exception):
    """A folder without files of FHIR, or a file of it that cannot be read; the message names it."""


@dataclass(slots=True)
class PatientChart:
    """One patient's resources; `patient` is the Patient."""

    patient: Json
    resources: list[Json] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The patient's id."""
        return str(self.patient["id"])


def files_of(folder: Path) -> list[Path]:
    """Return the files of a folder that may hold FHIR, subfolders too; ChartsRefused where there is none."""
    if not folder.is_dir():
        raise ChartsRefused(f"{folder} is not a folder")
    paths = sorted(path for path in folder.rglob("*") if path.name.lower().endswith(_SUFFIXES) and path.is_file())
    if not paths:
        raise ChartsRefused(
            f"{folder} holds no bundle (.json) and no NDJSON (.ndjson, .jsonl), packed with gzip or not"
        )
    return paths


def has_lines(path: Path) -> bool:
    """Return whether a file holds a resource on each line, by the end of its name."""
    return path.name.lower().endswith(_LINES)


def read_charts(folder: Path, unreadable: Callable[[ChartsRefused], None] | None = None) -> Iterator[PatientChart]:
    """Every patient's chart: bundles that name the same person are one chart, as pages of a search; so is all NDJSON.

    A file that cannot be read is refused, or told to `unreadable` and left out. What comes twice is there once.
    """
    lines: list[tuple[Json, str | None]] = []
    files_by_person: dict[str, _Files] = {}
    for path in files_of(folder):
        try:
            if has_lines(path):
                lines += [(resource, None) for resource in read_ndjson(path)]
            else:
                _join(files_by_person, path, _people_of(read_bundle(path)))
        except ChartsRefused as problem:
            if unreadable is None:
                raise
            unreadable(problem)
    for files in {id(files): files for files in files_by_person.values()}.values():
        yield from by_patient([pair for path in files.paths for pair in read_bundle(path)])
    yield from by_patient(lines)


@dataclass(frozen=True, slots=True)
class _Files:
    """Files that tell of the same people, and the ids and addresses of these."""

    paths: list[Path]
    people: frozenset[str]


def _people_of(bundle: Iterable[tuple[Json, str | None]]) -> frozenset[str]:
    people = set[str]()
    for resource, url in bundle:
        if resource.get("resourceType") == "Patient":
            people |= {str(resource.get("id") or ""), (url or "").rpartition("/")[2].rpartition(":")[2]}
        else:
            people.add(patient_named_by(resource) or "")
    return frozenset(people - {""})


def _join(files_by_person: dict[str, _Files], path: Path, people: frozenset[str]) -> None:
    overlapping = {id(files): files for person in people if (files := files_by_person.get(person))}.values()
    earlier = [of_them for files in overlapping for of_them in files.paths]
    joined = _Files([*earlier, path], people.union(*(files.people for files in overlapping)))
    files_by_person.update(dict.fromkeys(sorted(joined.people), joined))


def read_bundle(path: Path) -> Iterator[tuple[Json, str | None]]:
    """Yield the resources of one bundle with their fullUrl; a file that holds one resource gives that."""
    document = _decoded(path, unpacked_document(path) if path.name.endswith(".gz") else path.read_bytes())
    if document.get("resourceType") != "Bundle":
        yield document, None
        return
    entries = document.get("entry")
    for entry in entries if isinstance(entries, list) else ():
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            yield resource, entry.get("fullUrl")


def read_ndjson(path: Path) -> Iterator[Json]:
    """Yield the resources of one NDJSON file; ChartsRefused where one is longer than `MOST_UNPACKED_BYTES`."""
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
            while line := file.readline(MOST_UNPACKED_BYTES + 1):
                if len(line) > MOST_UNPACKED_BYTES:
                    raise ChartsRefused(f"{path.name} has a line of over {MOST_UNPACKED_BYTES:,} bytes")
                if line.strip():
                    yield _decoded(path, line)
    except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
        raise ChartsRefused(f"{path.name} breaks off, or is not packed with gzip") from problem


def patient_named_by(resource: Json) -> str | None:
    """Return the end of the reference to the patient: an id, or a UUID."""
    for name in ("subject", "patient"):
        value = resource.get(name)
        reference = value.get("reference") if isinstance(value, dict) else None
        if isinstance(reference, str):
            return reference.rpartition("/")[2].rpartition(":")[2]
    return None


def by_patient(resources: list[tuple[Json, str | None]]) -> Iterator[PatientChart]:
    """Yield these resources' charts with their fullUrls; references by fullUrl become Type/id, as a server gives them.

    What names no patient of these is left out, and what comes twice is there once.
    """
    names = {
        url: f"{resource.get('resourceType')}/{resource['id']}"
        for resource, url in resources
        if url and resource.get("id")
    }
    charts = {
        resource["id"]: PatientChart(resource)
        for resource, _ in resources
        if resource.get("resourceType") == "Patient" and isinstance(resource.get("id"), str)
    }
    shared = [resource for resource, _ in resources if resource.get("resourceType") in _SHARED]
    identities: set[tuple[Any, ...]] = set()
    for resource, _ in resources:
        renamed, kind, own_id = _with_references(resource, names), resource.get("resourceType"), resource.get("id")
        patient = patient_named_by(renamed) or ""
        # as `fhir.record.facts.distinct`: a stay on two pages is one stay
        identity = (patient, kind, own_id or msgspec.json.encode(resource))
        if (chart := charts.get(patient)) is not None and kind != "Patient" and identity not in identities:
            chart.resources.append(renamed)
            identities.add(identity)
    for chart in charts.values():
        chart.resources += shared
        yield chart


def _with_references(resource: Json, names: dict[str, str]) -> Json:
    changed = {
        element: {**value, "reference": names[value["reference"]]}
        for element in _REFERRING
        if isinstance(value := resource.get(element), dict) and value.get("reference") in names
    }
    return {**resource, **changed} if changed else resource


def unpacked_document(path: Path) -> bytes:
    """Return a gzipped document; ChartsRefused where it is longer than `MOST_UNPACKED_BYTES`."""
    with gzip.open(path) as file:
        content = file.read(MOST_UNPACKED_BYTES + 1)
    if len(content) > MOST_UNPACKED_BYTES:
        raise ChartsRefused(f"{path.name} is over {MOST_UNPACKED_BYTES:,} bytes when it is unpacked: unpack it first")
    return content


def _decoded(path: Path, content: bytes) -> Json:
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise ChartsRefused(f"{path.name} is not valid JSON: {problem}") from problem
    if not isinstance(document, dict):
        raise ChartsRefused(f"{path.name} holds no FHIR resource")
    return document


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
