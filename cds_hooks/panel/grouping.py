"""The charts in a folder of FHIR: bundles one by one, Bulk Data NDJSON by type grouped by patient.

A folder by type is larger than memory, and a patient's resources lie far apart in it. Its lines are first dealt out
to files by a hash of the patient, each small enough to be held, and then each of these is grouped. What no model or
equation asks for is left out on the way, which is most of a chart.
"""

import gzip
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast
from zlib import crc32

import msgspec
from msgspec import Raw, Struct

from cds_hooks.prefetch.needs import Needs
from cds_hooks.prefetch.template import PRESSURE, PRESSURE_PANELS
from fhir.record.reading import id_of_reference
from fhir.terminology.analytes import ANALYTES
from models_onnx.errors import PanelRefused

_SUFFIXES = (".json", ".json.gz", ".ndjson", ".ndjson.gz")
_PART_BYTES = 64_000_000
_AT_ONCE_BYTES = 4_000_000
# LOINC codes: as servers write them, without spaces, which is found in half the time; else in any way.
_CODE = re.compile(rb'"code":"([0-9]+-[0-9])"')
_SPACED_CODE = re.compile(rb'"code"\s*:\s*"([0-9]+-[0-9])"')
# The resource as servers write it: the first reference of a subject is enough, unless a contained one comes before it.
_SUBJECT = (b'"subject":{"reference":"Patient/', b'"patient":{"reference":"Patient/')


class _Reference(Struct, frozen=True, gc=False):
    reference: str | None = None


class _Head(Struct, frozen=True, gc=False):
    resourceType: str | None = None
    id: str | None = None
    subject: _Reference | None = None
    patient: _Reference | None = None


class _Entry(Struct, frozen=True):
    fullUrl: str | None = None
    resource: Raw = Raw(b"null")


class _Bundle(Struct, frozen=True):
    resourceType: str | None = None
    entry: tuple[_Entry, ...] = ()


_head = msgspec.json.Decoder(_Head)
_bundle = msgspec.json.Decoder(_Bundle)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which resource types and which LOINC codes of Observations are read; no codes: every Observation."""

    types: frozenset[str]
    codes: frozenset[bytes]

    @staticmethod
    def of(needs: Needs) -> "Wanted":
        """What these needs read, beside the Patient."""
        codes = [code for key in needs.analytes for code in ANALYTES[key].loinc]
        codes += PRESSURE_PANELS if needs.analytes & PRESSURE else ()
        types = {"Patient", "Observation", *needs.resources}
        types |= {"Medication"} if "MedicationRequest" in types else set()
        return Wanted(frozenset(types), frozenset(code.encode() for code in codes))

    def takes(self, kind: str, line: bytes) -> bool:
        """Whether this resource can matter."""
        if kind != "Observation" or not self.codes:
            return kind in self.types
        return not self.codes.isdisjoint(_CODE.findall(line) or _SPACED_CODE.findall(line))


@dataclass(slots=True)
class ChartLines:
    """One patient's resources as the JSON they came as; `shared` are Medications, which name no patient."""

    patient_id: str
    lines: list[bytes] = field(default_factory=list)
    shared: tuple[bytes, ...] = ()


@dataclass(slots=True)
class GroupingTally:
    """What was read, and what was not: lines without a patient, lines and files that are no FHIR."""

    resources: int = 0
    used: int = 0
    without_patient: int = 0
    unreadable: int = 0


def charts_of(
    folder: Path, wanted: Wanted, tally: GroupingTally, progress: Callable[[int], None] = lambda _: None
) -> Iterator[ChartLines]:
    """Every patient's chart, each once, in an order that the folder alone decides.

    Bundles are a chart each; a patient of whom bundles and NDJSON tell comes once for each bundle and once for the
    NDJSON. `progress` is told how many resources have been dealt out.

    Raises:
        PanelRefused: the folder is not there or holds no FHIR.
    """
    if not folder.is_dir():
        raise PanelRefused(f"{folder} is not a folder.")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name.endswith(_SUFFIXES))
    if not files:
        raise PanelRefused(f"{folder} holds no bundle (.json) and no NDJSON (.ndjson), packed with gzip or not.")
    by_type = [path for path in files if ".ndjson" in path.name]
    for path in files:
        if ".ndjson" not in path.name:
            yield from _of_bundle(path, wanted, tally)
    if by_type:
        yield from _of_ndjson(by_type, wanted, tally, progress)


def _of_bundle(path: Path, wanted: Wanted, tally: GroupingTally) -> Iterator[ChartLines]:
    try:
        with _opened(path) as file:
            bundle = _bundle.decode(file.read())
    except (msgspec.DecodeError, OSError, EOFError):
        tally.unreadable += 1
        return
    charts: dict[str, ChartLines] = {}
    shared: list[bytes] = []
    heads = []
    names: dict[str, str] = {}
    for entry in bundle.entry:
        head = _head_of(bytes(entry.resource))
        if head is None or head.resourceType is None:
            tally.unreadable += 1
            continue
        heads.append((head, bytes(entry.resource)))
        if entry.fullUrl and head.id:
            names[entry.fullUrl] = f"{head.resourceType}/{head.id}"
        if head.resourceType == "Patient" and head.id:
            charts[head.id] = ChartLines(head.id)
    for head, line in heads:
        tally.resources += 1
        kind = head.resourceType or ""
        if not wanted.takes(kind, line):
            continue
        if kind == "Medication":
            shared.append(line)
            continue
        chart = charts.get(_patient_of(head, names) or "")
        if chart is None:
            tally.without_patient += 1
            continue
        tally.used += 1
        chart.lines.append(_renamed(line, names))
    for chart in charts.values():
        chart.shared = tuple(shared)
        yield chart


def _renamed(line: bytes, names: dict[str, str]) -> bytes:
    """The resource with references by fullUrl as Type/id, as a server gives them."""
    if b'"urn:' not in line:
        return line
    return re.sub(
        rb'"(urn:[^"]+)"', lambda found: f'"{names.get(found[1].decode(), found[1].decode())}"'.encode(), line
    )


def _of_ndjson(
    files: list[Path], wanted: Wanted, tally: GroupingTally, progress: Callable[[int], None]
) -> Iterator[ChartLines]:
    size = sum(path.stat().st_size * (8 if path.name.endswith(".gz") else 1) for path in files)
    parts = max(1, size // _PART_BYTES)
    with tempfile.TemporaryDirectory(prefix="cds-hooks-panel-") as work, ExitStack() as stack:
        places = [Path(work) / f"{number}.lines" for number in range(parts)]
        out: list[IO[bytes]] = [stack.enter_context(place.open("wb+")) for place in places]
        shared = _deal(files, out, wanted, tally, progress)
        for part in out:
            part.seek(0)
            yield from _grouped(part, shared, tally)
            part.truncate(0)


def _deal(
    files: list[Path], out: list[IO[bytes]], wanted: Wanted, tally: GroupingTally, progress: Callable[[int], None]
) -> dict[bytes, bytes]:
    """Writes every wanted line behind its patient's id into one of the files; gives the Medications by id."""
    shared: dict[bytes, bytes] = {}
    waiting: list[list[bytes]] = [[] for _ in out]
    held = 0
    for path in files:
        with _opened(path) as file:
            for line in file:
                tally.resources += 1
                found = _dealt(line, wanted, tally, shared)
                if found is not None:
                    tally.used += 1
                    sign = _OF_PATIENT if _kind_of(line) in ("Patient", "") else _OF_OTHER
                    waiting[crc32(found) % len(out)].append(found + sign + line)
                    held += len(line)
                if held > _AT_ONCE_BYTES * len(out):
                    held = _flush(out, waiting)
        progress(tally.resources)
    _flush(out, waiting)
    return shared


def _flush(out: list[IO[bytes]], waiting: list[list[bytes]]) -> int:
    for file, lines in zip(out, waiting, strict=True):
        file.writelines(lines)
        lines.clear()
    return 0


_KIND = b'"resourceType":"'
# Between the patient's id and a line: whether it may be the Patient itself.
_OF_PATIENT, _OF_OTHER = b"\t+", b"\t-"


def _kind_of_any(line: bytes) -> str:
    head = _head_of(line)
    return (head.resourceType or "") if head is not None else ""


def _kind_of(line: bytes) -> str:
    """The type by the first member that says it, which is the first of all in what servers write; else empty."""
    start = line.find(_KIND, 0, 40)
    return (
        line[start + len(_KIND) : line.find(b'"', start + len(_KIND))].decode("ascii", "replace") if start > 0 else ""
    )


def _dealt(line: bytes, wanted: Wanted, tally: GroupingTally, shared: dict[bytes, bytes]) -> bytes | None:
    """The id of the patient of a wanted line; None for any other line."""
    kind = _kind_of(line)
    if kind and not wanted.takes(kind, line):
        return None
    if kind not in ("", "Patient", "Medication") and b'"contained"' not in line:
        for sign in _SUBJECT:
            start = line.find(sign)
            if start >= 0:
                return line[start + len(sign) : line.find(b'"', start + len(sign))]
    if not line.strip():
        tally.resources -= 1
        return None
    head = _head_of(line)
    if head is None or head.resourceType is None:
        tally.unreadable += 1
        return None
    if not wanted.takes(head.resourceType, line):
        return None
    if head.resourceType == "Medication":
        shared[(head.id or "").encode()] = line
        return None
    patient = _patient_of(head, {})
    if not patient:
        tally.without_patient += 1
    return patient.encode() if patient else None


def _grouped(part: IO[bytes], shared: dict[bytes, bytes], tally: GroupingTally) -> Iterator[ChartLines]:
    lines: dict[bytes, list[bytes]] = {}
    patients: set[bytes] = set()
    for line in part:
        patient, _, resource = line.partition(b"\t")
        known = lines.get(patient)
        if known is None:
            known = lines[patient] = []
        if resource[:1] == _OF_PATIENT[1:] and _kind_of_any(resource[1:]) == "Patient":
            patients.add(patient)
        known.append(resource[1:])
    for patient in sorted(lines):
        of_patient = lines.pop(patient)
        if patient not in patients:  # named, and not in the folder
            tally.without_patient += len(of_patient)
            continue
        yield ChartLines(patient.decode(), of_patient, _medications_of(of_patient, shared) if shared else ())


def _medications_of(lines: list[bytes], shared: dict[bytes, bytes]) -> tuple[bytes, ...]:
    named = {found for line in lines if b"Medication/" in line for found in re.findall(rb'Medication/([^"/]+)', line)}
    return tuple(shared[name] for name in sorted(named) if name in shared)


def _head_of(line: bytes) -> _Head | None:
    try:
        return _head.decode(line)
    except msgspec.DecodeError:
        return None


def _patient_of(head: _Head, names: dict[str, str]) -> str | None:
    if head.resourceType == "Patient":
        return head.id
    for subject in (head.subject, head.patient):
        if subject is not None and subject.reference:
            return id_of_reference(names.get(subject.reference, subject.reference))
    return None


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.name.endswith(".gz") else path.open("rb")
