"""Implants that matter to an MR scan: from devices, problems and operations, and what is written of their MR safety.

SNOMED CT: DICOM context groups 3777 and 3779 (bvdh/dicom-terminology-in-fhir) and FHIR's device kinds. NCI Thesaurus:
FHIR R4, value set device-safety. ICD-10-CM Z95.0 and Z95.810: tabular list. ASTM F2503 has the words MR safe, MR
conditional, MR unsafe. Aneurysm clip and implanted pump had no code in what was read: they are known by words only.
Words of other languages than English are the usual ones of each (general knowledge, 2026-11-26). Metal in the eye: a
scan may be hazardous (abstract of pubmed 33383605, Radiography 2007); ICD-10-CM H44.6 is a magnetic one that stayed.
"""

import re
from collections.abc import Iterator
from enum import Enum

from msgspec import Struct

from fhir.mapping.conditions import condition_status
from fhir.record.datatypes import CodeableConcept
from fhir.record.record import PatientRecord
from fhir.record.resources import Condition, Device, Procedure
from fhir.terminology.assertions import states
from fhir.terminology.conditions import code_system
from fhir.terminology.medications import table_rows


class MrSafety(Enum):
    """What is written of an implant: scanned safely or under conditions, not to be scanned, or nothing."""

    CONDITIONAL = "conditional"
    UNSAFE = "unsafe"
    UNDOCUMENTED = "undocumented"


class Implant(Struct, frozen=True, gc=False):
    """An implant of the patient: its kind, the words of the chart, the resource, and what is written of its safety."""

    kind: str
    words: str
    source: str | None
    safety: MrSafety


class _Kind(Struct, frozen=True):
    name: str
    snomed: frozenset[str]
    icd10: tuple[str, ...]
    words: re.Pattern[str]


_KINDS = tuple(
    _Kind(
        row["name"],
        frozenset(filter(None, row["snomed"].split(";"))),
        tuple(filter(None, row["icd10"].split(";"))),
        re.compile(row["words"], re.IGNORECASE),
    )
    for row in table_rows("implants.csv")
)
_NOT_IMPLANTED = re.compile(
    r"\bextern|wearable|\btempor[aä]r|transcutan|explant|\binsulin\w*\b|\bambulatory\b|\bsyringe\b|\bremov(?:ed|al)|\bfailed\b|\baed\b"
    r"|\bentfern|\bablation (?:du|de)\b|\bretirad[oa]\b|\brimo[sz]|marca-?pasos temporal|\btest stim",
    re.IGNORECASE,
)
_PUT_IN = re.compile(r"implant|impiant|insert|placement|\bpose\b|inlägg|\bclip", re.IGNORECASE)
_UNSAFE = re.compile(
    r"\b(?:mri?|magnetic resonance)[ -]?unsafe|\bnot (?:mri?|magnetic resonance)\b|\bC106047\b", re.IGNORECASE
)
_SAFE = re.compile(r"\b(?:mri?|magnetic resonance)[ -]?(?:conditional|safe|compatible)\b|\bC10604[56]\b", re.IGNORECASE)


def implants(record: PatientRecord) -> tuple[Implant, ...]:
    """Return the implants on the chart; one of a problem or an operation only where no device of its kind came."""
    return record.derive(_find)


def _find(record: PatientRecord) -> tuple[Implant, ...]:
    implants = [implant for device in record.facts(Device) if (implant := _of_device(device)) is not None]
    for source in (_of_problems, _of_procedures):
        kinds = {implant.kind for implant in implants}
        implants += [implant for implant in source(record) if implant.kind not in kinds]
    return tuple(implants)


def _of_device(device: Device) -> Implant | None:
    """Return the implant that a device is; None where it is none, or no longer in the body."""
    if device.status == "inactive":
        return None
    text = " ".join(_names(device))
    if _NOT_IMPLANTED.search(text):
        return None
    codes = {coding.code for coding in device.type.coding} if device.type is not None else set()
    kind = next((kind for kind in _KINDS if kind.snomed & codes or kind.words.search(text)), None)
    if kind is None:
        return None
    source = f"Device/{device.id}" if device.id else None
    return Implant(kind.name, next(_names(device), kind.name), source, _safety_of(device, text))


def _names(device: Device) -> Iterator[str]:
    """Yield what the chart calls it: the words of its type, its names."""
    yield from device.type.texts if device.type is not None else ()
    yield from (name.name for name in device.deviceName if name.name)


def _safety_of(device: Device, text: str) -> MrSafety:
    codes = [coding.code for concept in device.safety for coding in concept.coding]
    words = [*(concept.words for concept in device.safety), *(note.text for note in device.note)]
    written = " ".join([text, device.modelNumber or "", *codes, *words])
    if _UNSAFE.search(written):
        return MrSafety.UNSAFE
    return MrSafety.CONDITIONAL if _SAFE.search(written) else MrSafety.UNDOCUMENTED


def _of_problems(record: PatientRecord) -> Iterator[Implant]:
    for problem in record.facts(Condition):
        if problem.code is None or condition_status(problem, record.as_of_epoch) == "past":
            continue
        kind = next((kind for kind in _KINDS if _is_problem(problem.code, kind)), None)
        if kind is not None:
            source = f"Condition/{problem.id}" if problem.id else None
            yield Implant(kind.name, next(iter(problem.code.texts), kind.name), source, MrSafety.UNDOCUMENTED)


def _of_procedures(record: PatientRecord) -> Iterator[Implant]:
    """Yield what an operation that was done put in: "implantation", "insertion" or "placement" of it."""
    for procedure in record.facts(Procedure):
        words = procedure.code.words if procedure.code is not None else ""
        kind = next((kind for kind in _KINDS if kind.words.search(words)), None)
        is_done = procedure.status != "preparation" and _PUT_IN.search(words) and not _NOT_IMPLANTED.search(words)
        if kind is not None and is_done:
            source = f"Procedure/{procedure.id}" if procedure.id else None
            yield Implant(kind.name, words, source, MrSafety.UNDOCUMENTED)


def _is_problem(concept: CodeableConcept, kind: _Kind) -> bool:
    """Whether an entry of the problem list says that the patient has such an implant: by its code or in words."""
    if kind.icd10 and _has_icd10(concept, kind.icd10):
        return True
    return states(kind.words, concept.words) and not _NOT_IMPLANTED.search(concept.words)


def _has_icd10(concept: CodeableConcept, prefixes: tuple[str, ...]) -> bool:
    return any(
        code_system(coding.system) == "icd10" and coding.code.replace(".", "").upper().startswith(prefixes)
        for coding in concept.coding
    )
