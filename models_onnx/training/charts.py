"""Charts of a folder of FHIR: bundles or NDJSON, sorted by patient; every resource as it came, as a dictionary."""

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from models_onnx.errors import TrainingRefused

Json = dict[str, Any]

_SUFFIXES = (".json", ".json.gz", ".ndjson", ".ndjson.gz")
# Named by others by reference, about no patient.
_SHARED = frozenset({"Medication"})
_REFERRING = ("subject", "patient", "encounter", "medicationReference", "partOf")


@dataclass(slots=True)
class Chart:
    """One patient's resources; `patient` is the Patient."""

    patient: Json
    resources: list[Json] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The patient's id."""
        return str(self.patient["id"])


def files_of(folder: Path) -> list[Path]:
    """The files of a folder that may hold FHIR, subfolders too; TrainingRefused where there is none."""
    if not folder.is_dir():
        raise TrainingRefused(f"{folder} is no folder")
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name.endswith(_SUFFIXES))
    if not found:
        raise TrainingRefused(f"{folder} holds no bundle (.json) and no NDJSON (.ndjson), packed with gzip or not")
    return found


def read_charts(folder: Path, unreadable: Callable[[TrainingRefused], None] | None = None) -> Iterator[Chart]:
    """Every patient's chart; bundles one by one, NDJSON files together, because there each type has its own file.

    A file that cannot be read is refused, or told to `unreadable` and left out.
    """
    lines: list[tuple[Json, str | None]] = []
    for path in files_of(folder):
        try:
            if ".ndjson" in path.name:
                lines += [(resource, None) for resource in read_ndjson(path)]
                continue
            bundle = list(read_bundle(path))
        except TrainingRefused as problem:
            if unreadable is None:
                raise
            unreadable(problem)
            continue
        yield from by_patient(bundle)
    yield from by_patient(lines)


def read_bundle(path: Path) -> Iterator[tuple[Json, str | None]]:
    """The resources of one bundle with their fullUrl; a file that holds one resource gives that."""
    document = _decoded(path, _content(path))
    if document.get("resourceType") != "Bundle":
        yield document, None
        return
    entries = document.get("entry")
    for entry in entries if isinstance(entries, list) else ():
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            yield resource, entry.get("fullUrl")


def read_ndjson(path: Path) -> Iterator[Json]:
    """The resources of one NDJSON file."""
    for line in _content(path).splitlines():
        if line.strip():
            yield _decoded(path, line)


def patient_named_by(resource: Json) -> str | None:
    """The end of the reference to the patient: an id, or a UUID."""
    for name in ("subject", "patient"):
        value = resource.get(name)
        reference = value.get("reference") if isinstance(value, dict) else None
        if isinstance(reference, str):
            return _last(reference)
    return None


def by_patient(resources: list[tuple[Json, str | None]]) -> Iterator[Chart]:
    """The charts in these resources with their fullUrls; references by fullUrl become Type/id, as a server gives them.

    What names no patient of these is left out.
    """
    names = {url: f"{each.get('resourceType')}/{each['id']}" for each, url in resources if url and each.get("id")}
    charts = {
        each["id"]: Chart(each)
        for each, _ in resources
        if each.get("resourceType") == "Patient" and isinstance(each.get("id"), str)
    }
    shared = [each for each, _ in resources if each.get("resourceType") in _SHARED]
    for resource, _ in resources:
        named = _named(resource, names)
        chart = charts.get(patient_named_by(named) or "")
        if chart is not None and resource.get("resourceType") != "Patient":
            chart.resources.append(named)
    for chart in charts.values():
        chart.resources += shared
        yield chart


def _named(resource: Json, names: dict[str, str]) -> Json:
    changed = {
        element: {**value, "reference": names[value["reference"]]}
        for element in _REFERRING
        if isinstance(value := resource.get(element), dict) and value.get("reference") in names
    }
    return {**resource, **changed} if changed else resource


def _last(reference: str) -> str:
    return reference.rpartition("/")[2].rpartition(":")[2]


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.name.endswith(".gz") else content


def _decoded(path: Path, content: bytes) -> Json:
    try:
        found = msgspec.json.decode(content)
    except msgspec.DecodeError as problem:
        raise TrainingRefused(f"{path.name} is no JSON: {problem}") from problem
    if not isinstance(found, dict):
        raise TrainingRefused(f"{path.name} holds no FHIR resource")
    return found
