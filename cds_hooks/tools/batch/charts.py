"""The charts in a folder of FHIR: bundles, single resources and Bulk Data NDJSON, sorted by patient.

What no model or equation asks for is left out on the way, which is most of a chart. The rest is sorted in a temporary
file, so memory does not grow with the folder.
"""

import gzip
import re
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from msgspec import Raw, Struct

from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.prefetch.template import PRESSURE, PRESSURE_PANELS
from fhir.record.charts import ChartsRefused, files_of, has_lines, patient_named_by, read_lines, unpacked_document
from fhir.record.measurement import GENOMICS, SCREENING
from fhir.terminology.analytes import ANALYTES, LOINC
from fhir.terminology.plain_file import is_packed
from models_onnx.errors import BatchRefused

# Keys of questions for which Observations without a known code are read too (PatientRecord.genetic_observations).
_FOUND_WITHOUT_CODE = frozenset({GENOMICS, SCREENING})
_LINE_BREAKS = bytes.maketrans(b"\r\n", b"  ")
_URN = re.compile(rb'"(urn:[^"]+)"')


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which resource types and which LOINC codes of Observations are read; no codes: every Observation."""

    types: tuple[str, ...]
    codes: tuple[str, ...]

    @staticmethod
    def of(needs: Needs) -> "Wanted":
        """Return what these needs read, beside the Patient."""
        codes = [code for key in needs.analytes for code in ANALYTES[key].loinc]
        codes += PRESSURE_PANELS if needs.analytes & PRESSURE else ()
        types = {"Patient", "Observation", *needs.resources}
        types |= {"Medication"} if "MedicationRequest" in types else set()
        is_by_code = codes and not needs.analytes & _FOUND_WITHOUT_CODE
        return Wanted(tuple(sorted(types)), tuple(sorted(set(codes))) if is_by_code else ())


@dataclass(slots=True)
class RawChart:
    """One patient's resources as the JSON they came as."""

    patient_id: str
    resources: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class FolderTally:
    """What was read, and what was not: resources without a patient of the folder, lines and files that are no FHIR.

    `unreadable_in` is the first file with one of these. `two_persons` are the patients of whom two Patient resources
    differ in birth date or sex, so that their charts are perhaps of two people.
    """

    resources: int = 0
    used: int = 0
    without_patient: int = 0
    unreadable: int = 0
    unreadable_in: str = ""
    two_persons: int = 0


@contextmanager
def charts_of(folder: Path, wanted: Wanted, tally: FolderTally) -> Iterator[Iterator[RawChart]]:
    """Yield every patient's chart, each once with all that the files tell, in the order of their ids.

    Raises:
        BatchRefused: the folder is not there or holds no FHIR, or a packed file breaks off.
    """
    with (
        TemporaryDirectory(prefix="cds-hooks-batch-") as work,
        closing(sqlite3.connect(Path(work) / "charts.sqlite3", isolation_level=None)) as database,
    ):
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("CREATE TABLE resources (patient TEXT, line BLOB)")
        reader = _Reader(wanted, tally)
        try:
            for path in files_of(folder):
                database.execute("BEGIN")
                database.executemany("INSERT INTO resources VALUES (?, ?)", reader.rows_of(path))
                database.execute("COMMIT")
        except ChartsRefused as problem:
            raise BatchRefused(f"{str(problem).rstrip('.')}. Export or copy it again.") from problem
        rows = database.execute("SELECT patient, line FROM resources ORDER BY patient, rowid")
        yield reader.charts(rows)


class _Head(Struct):
    """What is read of a resource to sort it, whatever form it has."""

    resourceType: str
    id: Any = None
    subject: Any = None
    patient: Any = None
    code: Any = None
    component: Any = None
    gender: Any = None
    birthDate: Any = None


class _Reader:
    """Reads files into rows of patient and resource, and puts these together again in charts."""

    def __init__(self, wanted: Wanted, tally: FolderTally) -> None:
        self._types, self._codes = frozenset(wanted.types), frozenset(wanted.codes)
        self._tally = tally
        self._people: dict[str, set[tuple[str, str]]] = {}
        """Sex and birth date of each person, as the Patient resources have them."""
        self._medications: dict[str, bytes] = {}

    def rows_of(self, path: Path) -> Iterator[tuple[str, bytes]]:
        """Yield the patient and the JSON of each resource of a file that is asked for."""
        tally = self._tally
        for line in read_lines(path) if has_lines(path) else _documents(path):
            tally.resources += 1
            try:
                head = _head.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                tally.unreadable, tally.unreadable_in = tally.unreadable + 1, tally.unreadable_in or path.name
                continue
            if head.resourceType == "Patient" and head.id:
                said = head.gender if isinstance(head.gender, str) else "", str(head.birthDate or "")
                self._people.setdefault(str(head.id), set()).add(said)
            if not self._is_asked_for(head):
                continue
            if head.resourceType == "Medication":
                tally.used += 1
                self._medications[str(head.id)] = line
            else:
                yield _patient_of(head), line

    def _is_asked_for(self, head: _Head) -> bool:
        """Whether a resource can matter. An Observation without a LOINC code may be read by its name."""
        if head.resourceType not in self._types:
            return False
        if head.resourceType != "Observation" or not self._codes:
            return True
        components = head.component if isinstance(head.component, list) else ()
        own = list(_codings(head.code))
        inner = [coding for item in components if isinstance(item, dict) for coding in _codings(item.get("code"))]
        has_loinc = any(coding.get("system") == LOINC for coding in own)
        return not has_loinc or any(coding.get("code") in self._codes for coding in (*own, *inner))

    def charts(self, rows: Iterable[tuple[str, bytes]]) -> Iterator[RawChart]:
        """Yield the charts in rows that are sorted by patient, with the Medications that their resources name.

        A Medication says of no patient whose it is.
        """
        for patient, resources in groupby(rows, itemgetter(0)):
            lines = [line for _, line in resources]
            if (said := self._people.get(patient)) is None:
                self._tally.without_patient += len(lines)
                continue
            self._tally.used += len(lines)
            if _may_be_two(said):
                self._tally.two_persons += 1
            else:
                named = {
                    match.decode()
                    for line in lines
                    if b"Medication/" in line
                    for match in re.findall(rb'Medication/([^"/]+)', line)
                }
                medications = [self._medications[name] for name in sorted(named) if name in self._medications]
                yield RawChart(patient, lines + medications)


def _may_be_two(said: set[tuple[str, str]]) -> bool:
    """Return whether these are of two people; a birth date may be more exact than another."""
    longest = max((born for _, born in said), key=len)
    return len({sex for sex, _ in said if sex}) > 1 or not all(longest.startswith(born) for _, born in said)


def _codings(concept: Any) -> Iterator[dict[str, Any]]:
    codings = concept.get("coding") if isinstance(concept, dict) else None
    return (coding for coding in (codings if isinstance(codings, list) else ()) if isinstance(coding, dict))


def _patient_of(head: _Head) -> str:
    if head.resourceType == "Patient":
        return str(head.id or "")
    return patient_named_by({"subject": head.subject, "patient": head.patient}) or ""


def grouped(batches: Iterable[Any]) -> Iterator[RawChart]:
    """Yield the charts in Arrow batches with the columns `patient_id` and `resource`, in which patients lie together.

    Raises:
        BatchRefused: the rows are not sorted, so that a patient could be scored on half a chart, or one names nobody.
    """
    chart: RawChart | None = None
    for batch in batches:
        columns = (batch.column(name).to_pylist() for name in ("patient_id", "resource"))
        for patient, resource in zip(*columns, strict=True):
            if not patient or resource is None:
                raise BatchRefused(
                    "A row has no `patient_id` or no `resource`. Remove such rows first; this part was not scored."
                )
            if chart is None or patient != chart.patient_id:
                if chart is not None:
                    if patient < chart.patient_id:
                        raise BatchRefused(
                            "The rows are not sorted by patient_id. Sort them with "
                            "sortWithinPartitions('patient_id'); this part was not scored."
                        )
                    yield chart
                chart = RawChart(patient)
            chart.resources.append(resource.encode() if isinstance(resource, str) else resource)
    if chart is not None:
        yield chart


class _Entry(Struct, frozen=True):
    fullUrl: str | None = None
    resource: Raw = Raw(b"null")


class _Document(Struct, frozen=True):
    resourceType: str | None = None
    entry: tuple[_Entry, ...] = ()


_head = msgspec.json.Decoder(_Head)
_document = msgspec.json.Decoder(_Document)


def _documents(path: Path) -> Iterator[bytes]:
    """Yield the resources of a bundle, or a single one; the file as it is where it is no FHIR.

    A reference by the fullUrl of an entry becomes one by type and id, as a server gives it.
    """
    try:
        content = unpacked_document(path) if is_packed(path) else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ChartsRefused(f"{path.name} cannot be unpacked to its end") from error
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        document = _document.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        yield b""
        return
    if document.resourceType not in (None, "Bundle"):
        yield content.translate(_LINE_BREAKS)
        return
    resources = [(entry.fullUrl or "", bytes(entry.resource)) for entry in document.entry]
    names = {url.encode(): _name_of(resource).encode() for url, resource in resources if url.startswith("urn:")}
    for _, resource in resources:
        if resource != b"null":
            renamed = _URN.sub(lambda match: b'"' + (names.get(match[1]) or match[1]) + b'"', resource)
            yield renamed.translate(_LINE_BREAKS)


def _name_of(resource: bytes) -> str:
    try:
        head = _head.decode(resource)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return f"{head.resourceType}/{head.id}" if head.id else ""
