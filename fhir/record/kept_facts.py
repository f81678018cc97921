"""What of a chart an answer read, kept so that it can be answered again: lean resources with the members that are read.

Left out are resource types and analytes that nobody asked about, values that are older than any that was looked at,
Observations that say nothing about what they were looked through for, and the references to the patient. What was there
and is left out is named, so that a question about it is refused (`NotKept`) and not answered with "none".
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import compress
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from fhir.record.facts import ALL, FACT_TYPES, FactLimits, NotKept, ReadResources
from fhir.record.measurement import GENOMICS, OTHER, SCREENING, SMOKING_STATUS
from fhir.record.opting_out import SystemAndCode
from fhir.record.record import BIRTH_PLACE, BIRTH_SEX, PatientRecord, record_of_resources
from fhir.record.refusals import Refusal
from fhir.record.resources import (
    AnyResource,
    Immunization,
    Medication,
    MedicationAdministration,
    MedicationDispense,
    MedicationRequest,
    MedicationStatement,
    Observation,
    Patient,
    Procedure,
)

_ORDERS: Final = (MedicationRequest, MedicationStatement, MedicationDispense, MedicationAdministration)
_LOOKED_THROUGH: Final = frozenset({GENOMICS, OTHER, SCREENING})
"""Keys of Observations of which only those are kept that were taken."""
_WHOSE: Final = {kind: "patient" if "patient" in kind.__struct_fields__ else "subject" for kind in FACT_TYPES}
"""The member of each kind of resource that refers to the patient."""
_KINDS: Final = {str(kind.__struct_config__.tag): kind for kind in FACT_TYPES}


class KeptFacts(Struct, frozen=True, omit_defaults=True):
    """The facts of one call. `left_out` names resource types and analytes that were there and were not read."""

    patient: Patient | None = None
    chart: tuple[AnyResource, ...] = ()
    medications: dict[str, Medication] = {}
    """Medication resources by every name that a reference can use."""
    refusals: tuple[Refusal, ...] = ()
    left_out: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()
    """Analytes of which only the newest values were looked at."""
    scans: tuple[str, ...] = ()
    """What the Observations were looked through for."""


_encode: Final = msgspec.json.Encoder().encode


def keep_facts(resources: ReadResources, named_orders: bytes = b"") -> bytes:
    """JSON of the facts that were read so far; `named` is other JSON whose Medication references are kept, too."""
    kept = facts_read(resources, named_orders)
    return _encode(structs.replace(kept, chart=tuple(map(_of_nobody, kept.chart))))


def _of_nobody(fact: AnyResource) -> AnyResource:
    """A copy without the reference to the patient; other calls read the resource itself."""
    copied = fact.__copy__()
    structs.force_setattr(copied, _WHOSE[type(fact)], None)
    return copied


def facts_read(resources: ReadResources, named_orders: bytes = b"") -> KeptFacts:
    """The facts that the questions so far have read."""
    chart = [fact for kind, facts in resources.facts.items() if kind is not Observation for fact in facts]
    for kind in (Procedure, Immunization):
        if kind in resources.facts:
            chart += [fact for fact in resources.by_type[kind] if fact.status == "not-done"]
    observations, partial = _observations(resources)
    return KeptFacts(
        patient=_without_names(resources.patient),
        chart=(*chart, *observations),
        medications=_medications(resources, chart, named_orders),
        refusals=tuple(dict.fromkeys(resources.refusals)),
        left_out=tuple(_left_out(resources)),
        partial=tuple(partial),
        scans=tuple(sorted(resources.scans)) if resources.by_type[Observation] else (ALL,),
    )


def _observations(resources: ReadResources) -> tuple[list[Observation], list[str]]:
    """Those that were read, in the order they came, and the analytes of which older values were not looked at."""
    every = resources.by_type[Observation]
    if ALL in resources.scans:
        return every, []
    read = set(resources.used)
    partial: list[str] = []
    for key, results in resources.results.items():
        parts, is_whole = results.parts_read()
        read.update([id(part[0]) for part in parts])
        if not is_whole:
            partial.append(key)
    if SMOKING_STATUS in resources.scans:
        read.update([id(part[0]) for part in resources.parts_of(SMOKING_STATUS)])
    return list(compress(every, map(read.__contains__, map(id, every)))) if read else [], partial


def _left_out(resources: ReadResources) -> Iterator[str]:
    for kind, resources_of_kind in resources.by_type.items():
        if resources_of_kind and kind is not Observation and kind not in resources.facts:
            yield str(kind.__struct_config__.tag)
    if ALL in resources.scans or not resources.by_type[Observation]:
        return
    if resources.by_analyte is None and not resources.scans:
        yield "Observation"
        return
    resources.parts_of(OTHER)  # sorts them by analyte where they were only looked through
    for key in resources.by_analyte or ():
        is_read = key in resources.results or (key == SMOKING_STATUS and SMOKING_STATUS in resources.scans)
        if not is_read and key not in _LOOKED_THROUGH:
            yield key


def _without_names(patient: Patient | None) -> Patient | None:
    if patient is None:
        return None
    return structs.replace(
        patient,
        id=None,
        extension=tuple(extension for extension in patient.extension if extension.url in (BIRTH_PLACE, *BIRTH_SEX)),
    )


def _medications(resources: ReadResources, chart: Iterable[Any], named_orders: bytes) -> dict[str, Medication]:
    """Those that an order of the facts, another of them, or `named` refers to."""
    every = resources.medications
    if not every:
        return {}
    wanted = [order.medicationReference for order in chart if isinstance(order, _ORDERS)]
    names = {reference.reference for reference in wanted if reference is not None and reference.reference}
    names |= {key for key in every if key.encode() in named_orders} if named_orders else set()
    medications: dict[str, Medication] = {}
    while names:
        keys = {key for name in names for key in (name, "/".join(name.split("/_history/", 1)[0].rsplit("/", 2)[-2:]))}
        new = {key: every[key] for key in keys if key in every and key not in medications}
        medications |= new
        parts = (part.itemReference for medication in new.values() for part in medication.ingredient)
        names = {part.reference for part in parts if part is not None and part.reference}
    return medications


class _Kinds(dict[type[Any], list[Any]]):
    """The resources by type; asking for one that was left out is refused."""

    def __missing__(self, kind: type[Any]) -> list[Any]:
        raise NotKept(str(kind.__struct_config__.tag))


def record_of_facts(
    facts: KeptFacts,
    patient_id: str,
    as_of: datetime,
    requested: frozenset[str] | None,
    encounter_id: str | None,
    opt_out_flags: frozenset[SystemAndCode] = frozenset(),
) -> PatientRecord:
    """The record in which every question that was asked then has the same answer; any other one raises NotKept."""
    resources = ReadResources()
    resources.patient = facts.patient
    resources.medications = facts.medications
    for resource in facts.chart:
        resources.by_type[type(resource)].append(resource)
    resources.refusals = list(facts.refusals)
    scans = None if ALL in facts.scans else frozenset(facts.scans)
    resources.limits = FactLimits(frozenset(facts.left_out), frozenset(facts.partial), scans)
    resources.by_type = _Kinds(resources.by_type)
    for resource in facts.left_out:
        if resource in _KINDS:
            resources.by_type.pop(_KINDS[resource], None)
    return record_of_resources(resources, patient_id, as_of, requested, encounter_id, opt_out_flags)
