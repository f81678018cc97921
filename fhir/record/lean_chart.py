"""The lean chart of a call as JSON: all that was read of its resources, so that the call can be answered again.

Elements that no feature or rule can need are not in it, nor resources of types that none reads, nor who the patient is:
references to the patient are replaced. What could not be read is not in it either; its refusal is recorded with the
call.

The services of a visit ask for parts of one chart. What is written of the second part goes on from the first: the
resources that it adds, and the places of its resources among all of them. `join_charts` makes it whole again.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import accumulate
from operator import attrgetter, is_, sub
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct, structs

from fhir.record.datatypes import Subject
from fhir.record.facts import FACT_TYPES, ReadResources
from fhir.record.opting_out import SystemAndCode
from fhir.record.record import BIRTH_PLACE, SEX_EXTENSIONS, PatientRecord, record_of_resources
from fhir.record.refusals import Refusal
from fhir.record.resources import AnyResource, Medication, Patient
from fhir.record.text_budget import CHARACTERS_OF_A_CALL, long_characters

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


class _Part(Struct, omit_defaults=True):
    """A chart as it is recorded, with as many of its members decoded as `join_charts` needs."""

    patient: Any = None
    resources: Sequence[Any] = ()
    """Where it goes on from others, those that they do not have."""
    medications: Any = {}
    """None: those of the chart before it."""
    steps: Sequence[int] | None = None
    """The places of its resources, each less the one before, in the list of what all charts up to this one added."""


_NONE, _NO_MEDICATIONS = Raw(b"null"), Raw(b"{}")


class _RawPart(_Part):
    patient: Raw = _NONE
    resources: tuple[Raw, ...] = ()
    medications: Raw = _NO_MEDICATIONS
    steps: tuple[int, ...] | None = None


class ChartsBefore(Struct, frozen=True):
    """The charts of a visit from which its next one can go on."""

    hash: bytes
    """The name of the last one."""
    count: int
    places: dict[int, int]
    """By the id of each resource its place in the list of all."""
    resources: tuple[Any, ...]
    """All of them, so that their ids stay theirs."""
    references: tuple[str, ...]
    """The other forms in which they refer to their patient, by number."""
    medications: dict[str, Medication]
    long_characters: int
    """In the long texts of all of them; a chart with fewer than are read of a call needs no other look at its texts."""


class ChartPart(Struct, frozen=True):
    """What a chart adds to those before it."""

    text: bytes
    places: dict[int, int]
    new: tuple[Any, ...]
    long_characters: int
    """With those of the charts before it."""


_encode: Final = msgspec.json.Encoder().encode
_raw_decoder: Final = msgspec.json.Decoder(_RawPart)
_decoder: Final = msgspec.json.Decoder(LeanChart)


def encode_chart(read: ReadResources, patient_id: str) -> bytes:
    """Return the chart of this patient as JSON."""
    resources = _resources_of(read)
    text = _encode(LeanChart(_without_names(read.patient), resources, read.medications))
    return _without_references(text, patient_id, _other_references(resources, patient_id))


def first_chart(read: ReadResources, patient_id: str, name: bytes, text: bytes) -> ChartsBefore:
    """Return what the next chart needs to go on from this one, which was written whole as this text."""
    resources = _resources_of(read)
    places = {id(resource): position for position, resource in enumerate(resources)}
    references = _other_references(resources, patient_id)
    return ChartsBefore(name, 1, places, resources, references, read.medications, long_characters(text))


def continue_chart(read: ReadResources, patient_id: str, before: ChartsBefore) -> ChartPart | None:
    """Return what is to be written of a chart that goes on from others; None where it is to be written whole."""
    resources, places = _resources_of(read), before.places
    new = tuple([resource for resource in resources if id(resource) not in places])
    if not set(_other_references(new, patient_id)) <= set(before.references):
        return None
    if new:
        places = places | {id(resource): position for position, resource in enumerate(new, len(before.resources))}
    at = [places[id(resource)] for resource in resources]
    medications = None if _are_the_same(read.medications, before.medications) else read.medications
    part = _Part(_without_names(read.patient), new, medications, list(map(sub, at, [0, *at])))
    text = _without_references(_encode(part), patient_id, before.references)
    characters = before.long_characters + long_characters(text)
    return ChartPart(text, places, new, characters) if characters <= CHARACTERS_OF_A_CALL else None


def after_part(part: ChartPart, before: ChartsBefore, read: ReadResources, name: bytes) -> ChartsBefore:
    """Return what the next chart needs to go on from this part, which has this name."""
    return ChartsBefore(
        name,
        before.count + 1,
        part.places,
        before.resources + part.new,
        before.references,
        read.medications,
        part.long_characters,
    )


def join_charts(contents: Sequence[bytes]) -> bytes:
    """Return the last one of these charts as `encode_chart` writes it; the others are those from which it goes on.

    Raises:
        msgspec.MsgspecError, IndexError: They do not belong together.
    """
    parts = [_raw_decoder.decode(content) for content in contents]
    last = parts[-1]
    if last.steps is None:
        return contents[-1]
    added = [resource for part in parts for resource in part.resources]
    resources = tuple([added[position] for position in accumulate(last.steps)])
    medications = next(part.medications for part in reversed(parts) if part.medications != _NONE)
    patient = None if last.patient == _NONE else last.patient
    return _encode(_Part(patient, resources, {} if medications == _NO_MEDICATIONS else medications))


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


def facts_as_json(content: bytes, patient_id: str, as_of: datetime) -> list[dict[str, Any]]:
    """Return the Medications and facts of a recorded chart at that instant, as FHIR JSON without what is not read.

    Raises:
        msgspec.MsgspecError: It is no chart.
    """
    record = record_of_chart(decode_chart(content), patient_id, as_of, ())
    return msgspec.json.decode(_encode(list(record.every_fact())), type=list[dict[str, Any]])


def _resources_of(read: ReadResources) -> tuple[Any, ...]:
    return tuple([resource for of_kind in read.by_type.values() for resource in of_kind])


def _without_references(text: bytes, patient_id: str, others: Iterable[str]) -> bytes:
    for number, reference in enumerate((_usual_reference(patient_id), *others)):
        text = text.replace(_encode(reference), b'"#%d"' % number)
    return text


def _usual_reference(patient_id: str) -> str:
    return f"Patient/{patient_id}"


def _other_references(resources: Iterable[Any], patient_id: str) -> tuple[str, ...]:
    """Return the other forms in which the resources refer to their patient."""
    subjects: set[Subject | None] = {_WHOSE[type(resource)](resource) for resource in resources}
    references = {subject.reference for subject in subjects if subject is not None and subject.reference}
    return tuple(sorted(references - {_usual_reference(patient_id)}))


def _are_the_same(medications: dict[str, Medication], before: dict[str, Medication]) -> bool:
    return list(medications) == list(before) and all(map(is_, medications.values(), before.values()))


def _without_names(patient: Patient | None) -> Patient | None:
    if patient is None:
        return None
    extensions = tuple(
        [extension for extension in patient.extension if extension.url in (BIRTH_PLACE, *SEX_EXTENSIONS)]
    )
    return structs.replace(patient, id=None, extension=extensions)
