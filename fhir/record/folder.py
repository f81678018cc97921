"""Files of FHIR in a folder, and their resources sorted by patient: bundles, single resources, NDJSON (Bulk Data).

Every resource stays the JSON that it came as. They are sorted in a temporary file, so memory does not grow with the
folder.
"""

import gzip
import re
import sqlite3
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw, Struct

MOST_UNPACKED_BYTES = 64 * 1024 * 1024
"""The most bytes of one gzipped document that are read; the longest public chart at hand, of one patient, has 18 MB."""
_LINES = (".ndjson", ".ndjson.gz", ".jsonl", ".jsonl.gz")
_SUFFIXES = (*_LINES, ".json", ".json.gz")
_LINE_BREAKS = bytes.maketrans(b"\r\n", b"  ")
_BY_URL = re.compile(rb'"reference"\s*:\s*"([^"]+)"')
_MEDICATION = re.compile(rb'Medication/([^"/]+)')


class ChartsRefused(Exception):
    """A folder without files of FHIR, or a file of it that cannot be read; the message names it."""


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


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
            while line := file.readline(MOST_UNPACKED_BYTES + 1):
                if len(line) > MOST_UNPACKED_BYTES:
                    raise ChartsRefused(f"{path.name} has a line of over {MOST_UNPACKED_BYTES:,} bytes")
                if stripped := line.strip():
                    yield stripped
    except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
        raise ChartsRefused(f"{path.name} breaks off, or is not packed with gzip") from problem


def _unpacked_document(path: Path) -> bytes:
    """Return a gzipped document; ChartsRefused where it is longer than `MOST_UNPACKED_BYTES`."""
    with gzip.open(path) as file:
        content = file.read(MOST_UNPACKED_BYTES + 1)
    if len(content) > MOST_UNPACKED_BYTES:
        raise ChartsRefused(f"{path.name} is over {MOST_UNPACKED_BYTES:,} bytes when it is unpacked: unpack it first")
    return content


def patient_named_by(resource: dict[str, Any]) -> str | None:
    """Return the end of the reference to the patient: an id, or a UUID."""
    for name in ("subject", "patient"):
        value = resource.get(name)
        reference = value.get("reference") if isinstance(value, dict) else None
        if isinstance(reference, str):
            return reference.partition("/_history/")[0].rpartition("/")[2].rpartition(":")[2]
    return None


class Head(Struct):
    """What is read of a resource to sort it, whatever form it has."""

    resourceType: str
    id: Any = None
    subject: Any = None
    patient: Any = None
    code: Any = None
    component: Any = None
    gender: Any = None
    birthDate: Any = None

    @property
    def about(self) -> str:
        """The id of the patient, as far as it names one."""
        if self.resourceType == "Patient":
            return str(self.id or "")
        return patient_named_by({"subject": self.subject, "patient": self.patient}) or ""


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


class PatientLines(NamedTuple):
    """The resources of one patient, with the Medications that they name; a Medication says of no patient whose it is.

    `may_be_two`: two Patient resources differ in birth date or sex.
    """

    patient: str
    lines: list[bytes]
    may_be_two: bool


@contextmanager
def lines_by_patient(
    folder: Path,
    tally: FolderTally,
    is_wanted: Callable[[Head], bool] = lambda _: True,
    *,
    is_strict: bool = False,
    unreadable: Callable[[ChartsRefused], None] | None = None,
) -> Iterator[Iterator[PatientLines]]:
    """Yield who has a Patient resource with all the wanted resources that the files tell, in the order of the ids.

    What is no FHIR is counted; where it is strict, the whole file is refused, as is one that breaks off. A file that is
    refused is told to `unreadable` and left out.

    Raises:
        ChartsRefused: The folder is not there or holds no FHIR, or a file is refused and nobody wants to be told.
    """
    with (
        TemporaryDirectory(prefix="cds-hooks-charts-") as work,
        closing(sqlite3.connect(Path(work) / "charts.sqlite3", isolation_level=None)) as database,
    ):
        database.execute("CREATE TABLE resources (patient TEXT, line BLOB)")
        reader = _Reader(tally, is_wanted, is_strict=is_strict)
        for path in files_of(folder):
            database.execute("BEGIN")
            try:
                database.executemany("INSERT INTO resources VALUES (?, ?)", reader.rows_of(path))
            except ChartsRefused as problem:
                if unreadable is None:
                    raise
                database.execute("ROLLBACK")
                unreadable(problem)
            else:
                database.execute("COMMIT")
        yield reader.people(database.execute("SELECT patient, line FROM resources ORDER BY patient, rowid"))


class _Reader:
    """Reads files into rows of patient and resource, and puts these together again by patient."""

    def __init__(self, tally: FolderTally, is_wanted: Callable[[Head], bool], *, is_strict: bool) -> None:
        self._tally, self._is_wanted, self._is_strict = tally, is_wanted, is_strict
        self._people: dict[str, set[tuple[str, str]]] = {}
        """Sex and birth date of each person, as the Patient resources have them."""
        self._medications: dict[str, bytes] = {}

    def rows_of(self, path: Path) -> Iterator[tuple[str, bytes]]:
        """Yield the patient and the JSON of each resource of a file that is wanted."""
        tally = self._tally
        for line in read_contents(path):
            tally.resources += 1
            try:
                head = _head.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as problem:
                if self._is_strict:
                    raise ChartsRefused(f"{path.name} is not valid JSON, or no FHIR: {problem}") from problem
                tally.unreadable, tally.unreadable_in = tally.unreadable + 1, tally.unreadable_in or path.name
                continue
            if head.resourceType == "Patient" and head.id:
                said = head.gender if isinstance(head.gender, str) else "", str(head.birthDate or "")
                self._people.setdefault(str(head.id), set()).add(said)
            if not self._is_wanted(head):
                continue
            if head.resourceType == "Medication":
                tally.used += 1
                self._medications[str(head.id)] = line
            else:
                yield head.about, line

    def people(self, rows: Iterable[tuple[str, bytes]]) -> Iterator[PatientLines]:
        """Yield the people in rows that are sorted by patient."""
        for patient, resources in groupby(rows, itemgetter(0)):
            lines = [line for _, line in resources]
            if (said := self._people.get(patient)) is None:
                self._tally.without_patient += len(lines)
                continue
            self._tally.used += len(lines)
            may_be_two = _may_be_two(said)
            self._tally.two_persons += may_be_two
            yield PatientLines(patient, lines + self._medications_of(lines), may_be_two)

    def _medications_of(self, lines: list[bytes]) -> list[bytes]:
        """Return the Medications that these name, and those that are in them."""
        medications: dict[str, bytes] = {}
        waiting: Collection[bytes] = lines
        while waiting and self._medications:
            named = {match.decode() for line in waiting for match in _MEDICATION.findall(line)} - medications.keys()
            new = {name: self._medications[name] for name in sorted(named) if name in self._medications}
            medications |= new
            waiting = new.values()
        return list(medications.values())


def _may_be_two(said: set[tuple[str, str]]) -> bool:
    """Return whether these are of two people; a birth date may be more exact than another."""
    longest = max((born for _, born in said), key=len)
    return len({sex for sex, _ in said if sex}) > 1 or not all(longest.startswith(born) for _, born in said)


class _Entry(Struct, frozen=True):
    fullUrl: str | None = None
    resource: Raw = Raw(b"null")


class _Document(Struct, frozen=True):
    resourceType: str | None = None
    entry: tuple[_Entry, ...] = ()


_head = msgspec.json.Decoder(Head)
_document = msgspec.json.Decoder(_Document)


def read_contents(path: Path) -> Iterator[bytes]:
    """Yield the JSON of each resource of one file; the end of a name says whether it holds one on each line.

    A reference by the fullUrl of an entry of a bundle becomes one by type and id, as a server gives it. A file that is
    no FHIR is one empty resource.
    """
    return _lines(path) if path.name.lower().endswith(_LINES) else _documents(path)


def _documents(path: Path) -> Iterator[bytes]:
    try:
        content = _unpacked_document(path) if path.name.endswith(".gz") else path.read_bytes()
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
    names = {url.encode(): name.encode() for url, resource in resources if url and (name := _name_of(resource))}

    def name_of(match: re.Match[bytes]) -> bytes:
        return b'"reference":"' + names.get(match[1], match[1]) + b'"'

    for _, resource in resources:
        if resource != b"null":
            yield _BY_URL.sub(name_of, resource).translate(_LINE_BREAKS)


def _name_of(resource: bytes) -> str:
    try:
        head = _head.decode(resource)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return f"{head.resourceType}/{head.id}" if head.id else ""
