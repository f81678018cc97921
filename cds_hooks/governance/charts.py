"""The charts of a folder: Bundles and NDJSON, plain or gzipped, one patient's resources at a time."""

import gzip
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

Resource = dict[str, Any]

_WHOSE = ("subject", "patient")


def chart_files(folder: Path) -> list[Path]:
    """Every file that may hold charts, in a fixed order."""
    files = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if path.name.removesuffix(".gz").endswith((".json", ".ndjson"))]


def patients_of(path: Path) -> Iterator[list[Resource]]:
    """The resources of each patient in a file, with the Medications beside them; nothing where it holds no FHIR."""
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    try:
        if path.name.removesuffix(".gz").endswith(".ndjson"):
            resources = [orjson.loads(line) for line in content.splitlines() if line.strip()]
        else:
            resources = _of_document(orjson.loads(content))
    except orjson.JSONDecodeError:
        return
    yield from _by_patient([one for one in resources if isinstance(one, dict)])


def _of_document(document: Any) -> list[Any]:
    if not isinstance(document, dict):
        return []
    if document.get("resourceType") == "Bundle":
        entries = document.get("entry")
        return [each.get("resource") for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []
    prefetch = document.get("prefetch")
    if isinstance(prefetch, dict):
        return [one for value in prefetch.values() for one in _of_document(value)]
    return [document]


def _by_patient(resources: list[Resource]) -> Iterator[list[Resource]]:
    patients = [one for one in resources if one.get("resourceType") == "Patient"]
    if len(patients) == 1:
        yield resources
        return
    medications = [one for one in resources if one.get("resourceType") == "Medication"]
    own: defaultdict[str, list[Resource]] = defaultdict(list)
    for one in resources:
        own[_whose(one)].append(one)
    for patient in patients:
        yield [patient, *own[str(patient.get("id"))], *medications]


def _whose(resource: Resource) -> str:
    for name in _WHOSE:
        subject = resource.get(name)
        reference = subject.get("reference") if isinstance(subject, dict) else None
        if isinstance(reference, str):
            return reference.rsplit("/", 1)[-1]
    return ""
