"""Reads an order as a payer needs it: billing codes, day and place of service, who orders, which coverage it names."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final, TypeAlias

from msgspec import Struct

from cards.coverage.policy import SYSTEMS
from fhir.record.datatypes import parse_time
from fhir.record.record import relative_reference

Json: TypeAlias = dict[str, Any]
ORDER_TYPES: Final = (
    "DeviceRequest",
    "ServiceRequest",
    "MedicationRequest",
    "NutritionOrder",
    "VisionPrescription",
    "CommunicationRequest",
    "Appointment",
    "Encounter",
)
"""The resources that CRD lets a payer annotate."""
_PERSON: Final = {"NutritionOrder": "patient", "VisionPrescription": "patient", "Appointment": ""}
_BILLING: Final = {
    **{address.lower().partition("://")[2]: name for name, address in SYSTEMS.items()},
    "urn:oid:2.16.840.1.113883.6.285": "HCPCS",
    "urn:oid:2.16.840.1.113883.6.14": "HCPCS",
    "urn:oid:2.16.840.1.113883.6.12": "CPT",
    "terminology.hl7.org/codesystem/hcpcs-all-codes": "HCPCS",
    "bluebutton.cms.gov/resources/codesystem/hcpcs": "HCPCS",
    "www.cms.gov/medicare/coding/medhcpcsgeninfo/index.html": "HCPCS",
}
# What has a code of a laboratory test or of a drug is not an order that a billing code would make finer.
_OTHER_BILLING: Final = ("loinc.org", "rxnorm", "/ndc", "cvx")
_PLACE_SYSTEMS: Final = ("place-of-service", "place_of_service", "2.16.840.1.113883.6.50")


class OrderFacts(Struct, frozen=True):
    """What of an order decides."""

    reference: str
    resource: Json
    codes: tuple[tuple[str, str], ...]
    """System (HCPCS or CPT) and code."""
    is_too_coarse: bool
    """Whether it names something in words or a clinical code only, which no list of a payer has."""
    days: tuple[date, ...]
    """The first and the last day of service that the order names; empty where it names none."""
    places: frozenset[str]
    sites: frozenset[str]
    """Where and by whom it is to be done: references and identifiers, in lower case."""
    requester: str | None
    insurance: tuple[str, ...]


def read_order(resource: Json, sites: Mapping[str, Json]) -> OrderFacts | None:
    """Return what decides of an order; None for what is not an order of a person, or is not to be done.

    `sites` are the Locations and Organizations that came with the call, by their references.
    """
    kind, identity = resource.get("resourceType"), resource.get("id")
    if kind not in ORDER_TYPES or not isinstance(identity, str) or not identity:
        return None
    if resource.get("doNotPerform") is True or resource.get("status") in ("entered-in-error", "cancelled", "revoked"):
        return None
    concepts = list(_concepts(resource))
    codings = [coding for concept in concepts for coding in dicts(concept.get("coding"))]
    codes = tuple(dict.fromkeys(code for coding in codings if (code := billing_code(coding)) is not None))
    systems = " ".join(str(coding.get("system", "")).lower() for coding in codings)
    coarse = kind in ("DeviceRequest", "ServiceRequest") and bool(concepts) and not codes
    return OrderFacts(
        f"{kind}/{identity}",
        resource,
        codes,
        coarse and not any(name in systems for name in _OTHER_BILLING),
        _days(resource),
        frozenset(_places(resource, sites)),
        frozenset(_sites(resource, sites)),
        _reference(resource.get("requester") or resource.get("orderer") or resource.get("prescriber")),
        tuple(reference for entry in dicts(resource.get("insurance")) if (reference := _reference(entry)) is not None),
    )


def is_for_patient(resource: Json, patient_id: str) -> bool:
    """Whether an order is for this patient; one that names nobody is."""
    kind = str(resource.get("resourceType"))
    if kind == "Appointment":
        actors = [_reference(part.get("actor")) or "" for part in dicts(resource.get("participant"))]
        people = [actor for actor in actors if actor.startswith("Patient/")]
        return not people or f"Patient/{patient_id}" in people
    reference = _reference(resource.get(_PERSON.get(kind, "subject")))
    return reference is None or not reference.startswith("Patient/") or reference == f"Patient/{patient_id}"


def dicts(value: Any) -> list[Json]:
    """Return the objects of a list; nothing for what is not a list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _reference(value: Any) -> str | None:
    reference = value.get("reference") if isinstance(value, dict) else None
    return relative_reference(reference) if isinstance(reference, str) and reference else None


def _concepts(resource: Json) -> Iterable[Json]:
    for name in ("code", "codeCodeableConcept", "medicationCodeableConcept"):
        if isinstance(resource.get(name), dict):
            yield resource[name]
    formula, products = resource.get("enteralFormula"), dicts(resource.get("lensSpecification"))
    if isinstance(formula, dict):
        yield from dicts([formula.get("baseFormulaType"), formula.get("additiveType")])
    yield from dicts([lens.get("product") for lens in products])
    yield from dicts([supplement.get("type") for supplement in dicts(resource.get("supplement"))])
    for name in ("serviceType", "orderDetail", "type"):
        value = resource.get(name)
        if name == "type" and resource.get("resourceType") != "Encounter":
            continue
        yield from dicts(value if isinstance(value, list) else [value])


def billing_code(coding: Json) -> tuple[str, str] | None:
    """Return the system (HCPCS or CPT) and the code of a Coding; None for one of another system."""
    system, code = coding.get("system"), coding.get("code")
    if not isinstance(system, str) or not isinstance(code, str):
        return None
    address = system.strip().lower().rstrip("/")
    name = _BILLING.get(address.partition("://")[2] or address)
    return (name, code.strip().upper()) if name is not None else None


def _days(resource: Json) -> tuple[date, ...]:
    timing = resource.get("occurrenceTiming")
    events = timing.get("event") if isinstance(timing, dict) else None
    repeat = timing.get("repeat") if isinstance(timing, dict) else None
    bounds = repeat.get("boundsPeriod") if isinstance(repeat, dict) else None
    period = resource.get("occurrencePeriod") or resource.get("period") or bounds
    texts = [resource.get("occurrenceDateTime"), resource.get("start")]
    texts += events[:1] if isinstance(events, list) else []
    texts += [period.get("start"), period.get("end")] if isinstance(period, dict) else []
    read = [time for text in texts if isinstance(text, str) and (time := parse_time(text)) is not None]
    return (read[0].first_day, read[-1].last_day) if read else ()


def _sites(resource: Json, by_reference: Mapping[str, Json]) -> Iterable[str]:
    performers = resource.get("performer")
    entries = dicts(performers if isinstance(performers, list) else [performers])
    for entry in (*dicts(resource.get("locationReference")), *entries):
        reference = _reference(entry)
        site = by_reference.get(reference, {}) if reference else {}
        values = [identifier.get("value") for identifier in dicts([entry.get("identifier")])]
        values += [identifier.get("value") for identifier in dicts(site.get("identifier"))]
        yield from (str(value).lower() for value in (reference, *values) if value)


def _places(resource: Json, locations: Mapping[str, Json]) -> Iterable[str]:
    """Codes of the place of service, of the order itself or of the Location it refers to."""
    concepts = list(dicts(resource.get("locationCode")))
    references = [_reference(entry) for entry in dicts(resource.get("locationReference"))]
    references += [_reference(entry.get("location")) for entry in dicts(resource.get("location"))]
    references += [_reference(entry.get("actor")) for entry in dicts(resource.get("participant"))]
    contained = {f"#{entry.get('id')}": entry for entry in dicts(resource.get("contained"))}
    for reference in references:
        location = (locations.get(reference) or contained.get(reference)) if reference else None
        if location is not None:
            concepts += dicts(location.get("type"))
    for concept in concepts:
        for coding in dicts(concept.get("coding")):
            system, code = str(coding.get("system", "")).lower(), coding.get("code")
            if isinstance(code, str) and any(name in system for name in _PLACE_SYSTEMS):
                yield code.strip().zfill(2)


# What is read of a client's own resources, which no typed reader has seen: the JSON types of these members.
# `OBJECTS` is a list of objects.
OBJECTS: Final = list[dict[str, Any]]
_MEMBERS: Final[Mapping[str, Any]] = {"id": str, "status": str, "subject": dict, "encounter": dict, "basedOn": OBJECTS}
_OF_KIND: Final[Mapping[str, Mapping[str, Any]]] = {
    "Patient": {"address": list},
    "Coverage": {
        "beneficiary": dict,
        "payor": OBJECTS,
        "class": OBJECTS,
        "period": dict,
        "type": dict,
        "contained": OBJECTS,
    },
    "QuestionnaireResponse": {"item": list},
}


def misshapen(resource: Mapping[str, Any]) -> str | None:
    """Return the member that has not its JSON type, such as `Coverage.status`; None where all have."""
    kind = resource.get("resourceType")
    types = {**_MEMBERS, **_OF_KIND.get(kind, {})} if isinstance(kind, str) else {"resourceType": str}
    for name, member in types.items():
        if resource.get(name) is not None and not _has_type(resource[name], member):
            return f"{kind}.{name}" if isinstance(kind, str) else name
    return None


def _has_type(value: Any, member: Any) -> bool:
    if member is OBJECTS:
        return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)
    return isinstance(value, member)
