"""What is read of a folder of FHIR before its resources are: types, codes, and whom a resource is about."""

import gzip
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

import msgspec
from msgspec import Struct

from cds_hooks.prefetch.needs import Needs
from cds_hooks.prefetch.template import PRESSURE, PRESSURE_PANELS
from fhir.record.reading import id_of_reference
from fhir.terminology.analytes import ANALYTES

# LOINC codes: as servers write them, without spaces, which is found in half the time; else in any way.
_CODE = re.compile(rb'"code":"([0-9]+-[0-9])"')
_SPACED_CODE = re.compile(rb'"code"\s*:\s*"([0-9]+-[0-9])"')
# As most servers write the first one, which is found in a fifth of the time.
_FIRST_CODE = b'"system":"http://loinc.org","code":"'


class Reference(Struct, frozen=True, gc=False):
    """Whom something is about."""

    reference: str | None = None


class Head(Struct, frozen=True, gc=False):
    """What tells of a resource whose it is."""

    resourceType: str | None = None
    id: str | None = None
    subject: Reference | None = None
    patient: Reference | None = None


_head = msgspec.json.Decoder(Head)


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

    def observations(self, lines: list[bytes]) -> list[bytes]:
        """Those of these Observations that can matter."""
        if not self.codes:
            return lines
        codes, length, kept = self.codes, len(_FIRST_CODE), list[bytes]()
        for line in lines:
            start = line.find(_FIRST_CODE) + length
            if line[start : line.find(b'"', start)] in codes or self.takes("Observation", line):
                kept.append(line)
        return kept


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


def head_of(line: bytes) -> Head | None:
    """The head of a resource; None where this is no resource in JSON."""
    try:
        return _head.decode(line)
    except msgspec.DecodeError:
        return None


def patient_of(head: Head, names: dict[str, str]) -> str | None:
    """The id of the patient whom a resource is about; `names` has what each fullUrl stands for."""
    if head.resourceType == "Patient":
        return head.id
    for subject in (head.subject, head.patient):
        if subject is not None and subject.reference:
            return id_of_reference(names.get(subject.reference, subject.reference))
    return None


def opened(path: Path) -> IO[bytes]:
    """The file, unpacked where its name says that it is packed."""
    return cast(IO[bytes], gzip.open(path)) if path.name.endswith(".gz") else path.open("rb")
