"""Reads reports of outcomes from files: CSV, NDJSON, and FHIR R4 (Encounter, Patient, Observation; NDJSON or Bundle).

The columns of a CSV file and the members of an NDJSON line are those of a report (`report.py`). Of FHIR:

- an inpatient Encounter (class IMP, ACUTE or NONAC of HL7's ActCode) that began is an `admission`;
- `Patient.deceasedDateTime` is a `death`; `deceasedBoolean` names no time, and is not a report;
- an Observation is the event that the site names for its code, where its value is a boolean.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from cds_hooks.evidence.outcomes.labels import ADMISSION, DEATH
from cds_hooks.evidence.outcomes.report import Report, WrongReport, checked_report
from cds_hooks.evidence.storage.outcomes import Source
from fhir.record.record import id_of_reference, may_be_patient
from fhir.terminology.plain_file import LongLine, refuse_long_lines

Form = Literal["csv", "ndjson", "fhir"]
_INPATIENT: Final = frozenset({"IMP", "ACUTE", "NONAC"})
_STARTED: Final = frozenset({"in-progress", "onleave", "finished"})
_DONE: Final = frozenset({"final", "amended", "corrected"})


class WrongFile(Exception):
    """A file that cannot be read; one sentence with the line, without a value of it."""


@dataclass(frozen=True, slots=True)
class Lines:
    """What one file holds: `skipped` are FHIR resources that report nothing, such as outpatient encounters."""

    reports: list[Report]
    source: Source
    skipped: int = 0


def read_file(path: Path, form: Form | None = None, observations: Mapping[str, str] | None = None) -> Lines:
    """Return the reports of a file, all or none. `form` is told from the name where it is not given.

    `observations`: the event that an Observation with a code (`system|code`) says.

    Raises:
        WrongFile: It has another form, or a report in it is wrong.
        OSError: It cannot be read.
    """
    try:
        refuse_long_lines(path)
        text = path.read_text(encoding="utf-8-sig")
    except LongLine as error:
        raise WrongFile(str(error)) from error
    except UnicodeDecodeError as error:
        raise WrongFile(f"{path} is not UTF-8 (byte {error.start})") from error
    if form is None:
        form = "csv" if path.suffix.lower() == ".csv" else "fhir" if '"resourceType"' in text else "ndjson"
    if form == "csv":
        lines = Lines(list(_of_csv(path, text)), "csv")
    elif form == "ndjson":
        lines = Lines([_report(path, number, value) for number, value in _json_lines(path, text)], "ndjson")
    else:
        lines = _of_fhir(path, text, observations or {})
    if not lines.reports:
        raise WrongFile(f"{path} holds no outcome ({lines.skipped} resources without an outcome)")
    return lines


def _of_csv(path: Path, text: str) -> Iterator[Report]:
    try:
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        names = rows.fieldnames or []
        unknown = sorted(set(names) - set(Report.__struct_fields__))
        if unknown or not names:
            columns = ", ".join(Report.__struct_fields__)
            raise WrongFile(f"{path}, line 1: the columns of a CSV file of outcomes are {columns}; leave others out")
        if len(set(names)) < len(names):
            raise WrongFile(f"{path}, line 1: two columns have the same name")
        for row in rows:
            if None in row or None in row.values():
                raise WrongFile(f"{path}, line {rows.line_num}: the number of columns differs from the first line")
            yield _report(path, rows.line_num, {name: value for name, value in row.items() if value})
    except csv.Error as error:
        raise WrongFile(f"{path} cannot be read as CSV: {error}") from error


def _json_lines(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line, object_pairs_hook=_members_once)
        except (ValueError, RecursionError) as error:
            raise WrongFile(f"{path}, line {number}: it is not JSON, or has a member twice") from error


def _members_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members_once = dict(pairs)
    if len(members_once) < len(pairs):
        raise ValueError
    return members_once


def _report(path: Path, number: int, value: Any) -> Report:
    try:
        return checked_report(msgspec.convert(value, Report))
    except msgspec.ValidationError as error:
        members, member = ", ".join(Report.__struct_fields__), str(error).rpartition("`$.")[2].rstrip("`")
        strange = f"; {member} has a value that it cannot have" if member in Report.__struct_fields__ else ""
        text = f"{path}, line {number}: a report of an outcome must be an object with some of {members}{strange}"
        raise WrongFile(text) from error
    except WrongReport as error:
        raise WrongFile(f"{path}, line {number}: {error.text.rstrip('.')}") from error


# FHIR


def _of_fhir(path: Path, text: str, observations: Mapping[str, str]) -> Lines:
    reports, skipped = list[Report](), 0
    for number, resource in _resources(path, text):
        report = _said_by(resource, observations)
        if report is None:
            skipped += 1
        else:
            reports.append(_report(path, number, report))
    return Lines(reports, "fhir", skipped)


def _resources(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield each resource with its line; those of a Bundle with the line on which it begins."""
    try:
        whole = [(1, json.loads(text))]
    except (ValueError, RecursionError):
        whole = list(_json_lines(path, text))
    for number, document in whole:
        if not isinstance(document, dict) or not isinstance(document.get("resourceType"), str):
            raise WrongFile(f"{path}, line {number}: the line is not a FHIR resource")
        entries = document.get("entry", []) if document["resourceType"] == "Bundle" else [{"resource": document}]
        for entry in entries if isinstance(entries, list) else []:
            resource = entry.get("resource") if isinstance(entry, dict) else None
            if isinstance(resource, dict):
                yield number, resource


def _said_by(resource: Mapping[str, Any], observations: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the members of the report that a resource makes; None where it makes none."""
    kind, outcome = resource.get("resourceType"), None
    event: str | None
    if kind == "Patient":
        patient, event, at = resource.get("id"), DEATH, resource.get("deceasedDateTime")
    elif kind == "Encounter":
        patient, event, at = _subject(resource), ADMISSION, _admitted(resource)
    elif kind == "Observation":
        patient, at = _subject(resource), resource.get("effectiveDateTime")
        event, outcome = _observed(resource, observations)
    else:
        return None
    if not (patient and event and at):
        return None
    return {"patient": patient, "event": event, "at": at} | ({"outcome": outcome} if outcome else {})


def _subject(resource: Mapping[str, Any]) -> str | None:
    subject = resource.get("subject")
    reference = subject.get("reference") if isinstance(subject, dict) else None
    if not isinstance(reference, str) or not may_be_patient(reference):
        return None
    return id_of_reference(reference) or None


def _admitted(encounter: Mapping[str, Any]) -> Any:
    """When an inpatient stay began; None for other encounters, and for those that were planned or canceled."""
    kind, period = encounter.get("class"), encounter.get("period")
    if not isinstance(kind, dict) or not isinstance(period, dict):
        return None
    inpatient = kind.get("code") in _INPATIENT and encounter.get("status") in _STARTED
    return period.get("start") if inpatient else None


def _observed(observation: Mapping[str, Any], observations: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return the event that the site names for the code, and whether the value says yes or no."""
    code, value = observation.get("code"), observation.get("valueBoolean")
    codings = code.get("coding", []) if isinstance(code, dict) else []
    names = [f"{coding.get('system', '')}|{coding.get('code', '')}" for coding in codings if isinstance(coding, dict)]
    event = next((observations[name] for name in names if name in observations), None)
    if event is None or observation.get("status") not in _DONE or not isinstance(value, bool):
        return None, None
    return event, None if value else "no"
