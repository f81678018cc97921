"""The lean chart of a call as JSON: all that was read of its resources, so that the call can be answered again.

Elements that no feature or rule can need are not in it, nor resources of types that none reads, nor who the patient is:
references to the patient are replaced. What could not be read is not in it either; its refusal is recorded with the
call.
"""

from collections.abc import Iterable
from datetime import datetime
from itertools import chain
from operator import attrgetter
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, structs

from fhir.record.facts import FACT_TYPES, ReadResources
from fhir.record.opting_out import SystemAndCode
from fhir.record.record import BIRTH_PLACE, SEX_EXTENSIONS, PatientRecord, record_of_resources
from fhir.record.refusals import Refusal
from fhir.record.resources import AnyResource, Medication, Patient

_WHOSE: Final = {
    kind: attrgetter("patient" if "patient" in kind.__struct_fields__ else "subject") for kind in FACT_TYPES
}
"""What gives the reference to the patient of each kind of resource."""


class LeanChart(Struct, frozen=True, omit_defaults=True):
    """The resources of one patient, type by type, each once."""

    patient: Patient | None = None
    resources: tuple[AnyResource, ...] = ()
    medications: dict[str, Medication] = {}
    """Medication resources by every name that a reference can use."""


class _WrittenChart(Struct, frozen=True, omit_defaults=True):
    """The same with the resources as JSON."""

    patient: Patient | None = None
    resources: Raw | UnsetType = UNSET
    medications: dict[str, Medication] = {}


_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(LeanChart)


def encode_chart(read: ReadResources, patient_id: str) -> bytes:
    """Return the chart of this patient as JSON."""
    kinds = [read.encoded.pop(kind, b"") or _encode(of_kind) for kind, of_kind in read.by_type.items() if of_kind]
    resources = Raw(b"[%b]" % b",".join([text[1:-1] for text in kinds])) if kinds else UNSET
    text = _encode(_WrittenChart(_without_names(read.patient), resources, read.medications))
    return _without_references(text, patient_id, _other_references(read, patient_id))


def decode_chart(content: bytes) -> LeanChart:
    """Return the chart that `encode_chart` wrote; raises msgspec.MsgspecError where it is none."""
    return _decoder.decode(content)


def record_of_chart(
    chart: LeanChart,
    patient_id: str,
    as_of: datetime,
    refusals: tuple[Refusal, ...],
    requested: frozenset[str] | None = None,
    encounter_id: str | None = None,
    opt_out_flags: frozenset[SystemAndCode] = frozenset(),
) -> PatientRecord:
    """Return the record in which every question has the answer that it had; `refusals` are those of reading."""
    resources = ReadResources()
    resources.patient = chart.patient
    resources.medications = chart.medications
    for resource in chart.resources:
        resources.by_type[type(resource)].append(resource)
    resources.refusals = list(refusals)
    return record_of_resources(resources, patient_id, as_of, requested, encounter_id, opt_out_flags)


def _without_references(text: bytes, patient_id: str, others: Iterable[str]) -> bytes:
    for number, reference in enumerate((_usual_reference(patient_id), *others)):
        text = text.replace(_encode(reference), b'"#%d"' % number)
    return text


def _usual_reference(patient_id: str) -> str:
    return f"Patient/{patient_id}"


def _other_references(read: ReadResources, patient_id: str) -> tuple[str, ...]:
    """Return the other forms in which the resources refer to their patient."""
    subjects = chain.from_iterable([map(_WHOSE[kind], resources) for kind, resources in read.by_type.items()])
    references = {subject.reference for subject in subjects if subject is not None}
    return tuple(sorted(reference for reference in references - {_usual_reference(patient_id)} if reference))


def _without_names(patient: Patient | None) -> Patient | None:
    if patient is None:
        return None
    extensions = tuple(
        [extension for extension in patient.extension if extension.url in (BIRTH_PLACE, *SEX_EXTENSIONS)]
    )
    return structs.replace(patient, id=None, extension=extensions)
