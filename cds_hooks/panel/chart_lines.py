"""What is read of a folder of FHIR before its resources are: types, codes, and whom a resource is about."""

import gzip
import io
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import msgspec
from msgspec import Raw, Struct

from cds_hooks.prefetch.needs import Needs
from cds_hooks.prefetch.template import PRESSURE, PRESSURE_PANELS
from fhir.record.measurement import GENOMICS, SCREENING
from fhir.record.record import id_of_reference, read_value
from fhir.record.refusals import Refusal
from fhir.terminology.analytes import ANALYTES, LOINC, analyte_of_name

# Keys of questions for which Observations without a known code are read too (PatientRecord.genetic_observations).
_FOUND_WITHOUT_CODE = frozenset({GENOMICS, SCREENING})
_BUFFER_BYTES = 128_000
_GZIP = b"\x1f\x8b"
# The code of a laboratory result as most servers write the first one. A search for it takes a tenth of decoding.
_FIRST_CODE = b'"system":"http://loinc.org","code":"'

# How a packed file ends that was cut short or is damaged.
BROKEN_OFF = (gzip.BadGzipFile, EOFError, zlib.error)


class Reference(Struct, frozen=True, gc=False):
    """Whom something is about."""

    reference: str | None = None


class Head(Struct, frozen=True, gc=False):
    """What tells of a resource whose it is, and of an Observation what it is of."""

    resourceType: str | None = None
    id: str | None = None
    subject: Reference | None = None
    patient: Reference | None = None
    code: Raw = Raw(b"null")
    component: Raw = Raw(b"[]")


class _Coding(Struct, frozen=True, gc=False):
    system: str | None = None
    code: str | None = None
    display: str | None = None


class _Concept(Struct, frozen=True, gc=False):
    coding: tuple[_Coding, ...] = ()
    text: str | None = None


class _Component(Struct, frozen=True, gc=False):
    code: _Concept | None = None


class _Observed(Struct, frozen=True, gc=False):
    """The codes of an Observation and of its components: by nothing else is it found in a record."""

    code: _Concept | None = None
    component: tuple[_Component, ...] = ()


_head = msgspec.json.Decoder(Head)
_observed = msgspec.json.Decoder(_Observed)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which resource types and which LOINC codes of Observations are read; no codes: every Observation."""

    types: frozenset[str]
    codes: frozenset[str]

    @staticmethod
    def of(needs: Needs) -> "Wanted":
        """Returns what these needs read, beside the Patient."""
        codes = [code for key in needs.analytes for code in ANALYTES[key].loinc]
        codes += PRESSURE_PANELS if needs.analytes & PRESSURE else ()
        types = {"Patient", "Observation", *needs.resources}
        types |= {"Medication"} if "MedicationRequest" in types else set()
        is_by_code = codes and not needs.analytes & _FOUND_WITHOUT_CODE
        return Wanted(frozenset(types), frozenset(codes) if is_by_code else frozenset())

    def takes(self, kind: str, line: bytes) -> bool:
        """Whether this resource can matter: no only where the record of the chart would not find it by any code.

        What cannot be decoded is taken, for the reader of the chart to name.
        """
        if kind != "Observation" or not self.codes:
            return kind in self.types
        return self._takes_codes(line)

    def takes_head(self, head: Head) -> bool:
        """Returns the same for a resource of which the head was decoded."""
        kind = head.resourceType or ""
        if kind != "Observation" or not self.codes:
            return kind in self.types
        return self._takes_codes(b'{"code":%b,"component":%b}' % (bytes(head.code), bytes(head.component)))

    def _takes_codes(self, line: bytes) -> bool:
        try:
            observation = _observed.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return True
        codes = self.codes
        for concept in (observation.code, *(component.code for component in observation.component)):
            for coding in concept.coding if concept is not None else ():
                if coding.code in codes:
                    return True
        return observation.code is not None and _has_name(observation.code, codes)

    def observations(self, lines: list[bytes]) -> list[bytes]:
        """Returns those of these Observations that can matter."""
        if not self.codes:
            return lines
        codes, length, kept = {code.encode() for code in self.codes}, len(_FIRST_CODE), list[bytes]()
        for line in lines:
            start = line.find(_FIRST_CODE) + length
            if line[start : line.find(b'"', start)] in codes or self.takes("Observation", line):
                kept.append(line)
        return kept


def _has_name(concept: _Concept, codes: frozenset[str]) -> bool:
    """Whether a result without a LOINC code may be read by its name as one of these codes."""
    if any(coding.system == LOINC for coding in concept.coding):
        return False
    for text in (concept.text, *(coding.display for coding in concept.coding)):
        key = analyte_of_name(" ".join(text.split())) if text else None
        if key is not None and not codes.isdisjoint(ANALYTES[key].loinc):
            return True
    return False


@dataclass(slots=True)
class ChartLines:
    """One patient's resources as the JSON they came as.

    `lines` are one resource each, `blocks` whole lines of NDJSON, of a resource each; `shared` are Medications, which
    name no patient.
    """

    patient_id: str
    lines: list[bytes] = field(default_factory=list)
    shared: tuple[bytes, ...] = ()
    blocks: list[bytes] = field(default_factory=list)

    def together(self) -> bytes:
        """Returns all resources, with line breaks between them."""
        return b"\n".join((*self.lines, *self.blocks, *self.shared))

    def resources(self) -> list[bytes]:
        """Returns the resources one by one."""
        of_blocks = (line for block in self.blocks for line in block.split(b"\n") if line.strip())
        return [*self.lines, *of_blocks, *self.shared]


@dataclass(slots=True)
class GroupingTally:
    """What was read, and what was not: lines without a patient, lines and files that are no FHIR.

    `unreadable_in` is the first file with one of these. `two_persons` are the patients of whom two Patient resources
    differ in birth date or sex, so that their charts are perhaps of two people.
    """

    resources: int = 0
    used: int = 0
    without_patient: int = 0
    unreadable: int = 0
    unreadable_in: str = ""
    two_persons: int = 0

    def note_file(self, path: Path, before: int) -> None:
        """Names this file where what is no FHIR was found in it: more is counted than `before`."""
        if self.unreadable > before:
            self.unreadable_in = self.unreadable_in or path.name


def head_of(line: bytes) -> Head | None:
    """Returns the head of a resource; None where this is no resource in JSON."""
    try:
        return _head.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def patient_of(head: Head, names: Mapping[str, str]) -> str | None:
    """Returns the id of the patient whom a resource is about; `names` has what each fullUrl stands for."""
    if head.resourceType == "Patient":
        return head.id
    for subject in (head.subject, head.patient):
        if subject is not None and subject.reference:
            return id_of_reference(names.get(subject.reference, subject.reference))
    return None


def read_with_faults(line: bytes, refusals: list[Refusal]) -> list[Any]:
    """Read one resource as the server does, none where it is not JSON; what is wrong in it is added to `refusals`."""
    try:
        resource, faults = read_value("chart", line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        refusals.append(Refusal("chart", "unreadable", "A line of the chart is not valid JSON: not used."))
        return []
    refusals += faults
    return [] if resource is None else [resource]


def medications_of(blocks: list[bytes], shared: dict[bytes, bytes]) -> tuple[bytes, ...]:
    """Returns those of the Medications, by id, that these lines name."""
    ids = {id_ for block in blocks if b"Medication/" in block for id_ in re.findall(rb'Medication/([^"/]+)', block)}
    return tuple(shared[name] for name in sorted(ids) if name in shared)


def broken_off(path: Path) -> str:
    """Returns what is said of a packed file that cannot be read to its end."""
    return (
        f"{path.name} cannot be unpacked to its end: with a part of it charts would be scored without "
        "some of their resources. Export or copy it again."
    )


def is_packed(path: Path) -> bool:
    """Whether the file begins as gzip does, or has the name of a packed file and begins as nothing that is read."""
    with path.open("rb", buffering=0) as file:
        begins = file.read(len(BOM_UTF8))
    return begins.startswith(_GZIP) or (
        path.name.lower().endswith(".gz") and begins[:1] not in (b"{", BOM_UTF8[:1], b"")
    )


def opened(path: Path) -> IO[bytes]:
    """Returns the file, unpacked where it is packed, ready to be read line by line, behind a byte order mark."""
    raw = gzip.GzipFile(path) if is_packed(path) else path.open("rb", buffering=0)
    file = io.BufferedReader(cast(io.RawIOBase, raw), _BUFFER_BYTES)
    try:
        if file.peek(len(BOM_UTF8)).startswith(BOM_UTF8):
            file.read(len(BOM_UTF8))
    except BROKEN_OFF:
        file.close()
        raise
    return file
