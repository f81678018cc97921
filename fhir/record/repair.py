"""Repairs of known faults in resources, for every reader of a chart.

Repaired are: single values where R4 has a list (Epic's `category`), null members and null lists, a status as a bare
code and a dose beside its instruction (STU3), the elements that DSTU2, STU3 and R5 have in place of those of R4, a
resource inside `{"resource": …}` (CDS Hooks before 1.0; TRAP-05,
TRAP-37, TRAP-40), the number of a result that
came as text, and a reference that is a text or a number. No value is changed or invented.
"""

import re
from functools import cache
from types import NoneType
from typing import Any, Final, NamedTuple, get_args, get_origin

import msgspec
from msgspec import Raw, Struct, structs

from fhir.record.datatypes import ChartText, CodeableConcept, Dosage, R4Concept, Reference, Subject, Version
from fhir.record.resources import AnyResource, Observation, ObservationComponent

Json = dict[str, Any]


def objects_in(value: Any) -> list[Json]:
    """Return the objects of a list, or the one that stands where a list should."""
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]


_DOSE_OF_STU3: Final = frozenset({"doseQuantity", "doseRange", "rateQuantity", "rateRange", "rateRatio"})
_QUANTITIES: Final = frozenset({"low", "high", "numerator", "denominator"})
_COUNTS: Final = frozenset({"frequency", "frequencyMax", "period", "periodMax", "count", "countMax"})
# Three digits behind a point could as well be thousands, digits behind a comma a fraction: such a text stays a text.
_PLAIN_NUMBER: Final = re.compile(r"(?:0|[1-9]\d{0,5})(?:\.\d{1,2})?")
_LEAN: Final[dict[str, type[Struct]]] = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyResource)}


def repair_bytes(raw: bytes | Raw) -> bytes:
    """Return the JSON bytes of a resource or Bundle with its resources repaired."""
    return msgspec.json.encode(repair_resource(msgspec.json.decode(raw)))


def repair_resource(value: Any) -> Any:
    """Return a decoded resource or Bundle, taken out of its wrapper and repaired; anything else as it came."""
    if not isinstance(value, dict):
        return value
    if "resourceType" not in value and isinstance(value.get("resource"), dict):
        return repair_resource(value["resource"])
    if value.get("resourceType") == _R5_STATEMENT:
        value = {**value, "resourceType": "MedicationStatement"}
    kind = _LEAN.get(str(value.get("resourceType")))
    return value if kind is None else _object(_with_elements_of_r4(value), kind)


_R5_STATEMENT: Final = "MedicationUsage"
# What DSTU2 and STU3 say of what did not happen, by the resource, and the status by which R4 says it.
_NEGATIONS: Final[dict[str, tuple[str, frozenset[str]]]] = {
    "Immunization": ("not-done", frozenset({"wasNotGiven", "notGiven"})),
    "MedicationAdministration": ("not-done", frozenset({"wasNotGiven", "notGiven"})),
    "MedicationDispense": ("cancelled", frozenset({"notDone"})),
    "MedicationStatement": ("not-taken", frozenset({"wasNotTaken"})),
    "Procedure": ("not-done", frozenset({"notDone", "notPerformed"})),
}
_TRUE: Final = frozenset({"true", "yes", "y", "1"})
_TAKEN: Final = {"n": "not-taken", "no": "not-taken", "unk": "unknown", "na": "unknown"}
"""STU3, medication-statement-taken; y says nothing else than the status."""
# FHIR R5, medication-statement-adherence: of what is only recorded nothing else says whether it is taken.
_ADHERENCE: Final = {
    "taking": "active",
    "taking-as-directed": "active",
    "taking-not-as-directed": "active",
    "not-taking": "not-taken",
    "on-hold": "on-hold",
    "on-hold-as-directed": "on-hold",
    "on-hold-not-as-directed": "on-hold",
    "stopped": "stopped",
    "stopped-as-directed": "stopped",
    "stopped-not-as-directed": "stopped",
}
_RENAMED: Final[dict[str, dict[str, str]]] = {
    "Encounter": {"actualPeriod": "period"},
    "Immunization": {"date": "occurrenceDateTime"},
    "MedicationAdministration": {
        "occurenceDateTime": "effectiveDateTime",
        "occurencePeriod": "effectivePeriod",
        "effectiveTimeDateTime": "effectiveDateTime",
        "effectiveTimePeriod": "effectivePeriod",
    },
    "Procedure": {"occurrenceDateTime": "performedDateTime", "occurrencePeriod": "performedPeriod"},
}


def _with_elements_of_r4(resource: Json) -> Json:
    """Return a resource of DSTU2, STU3 or R5 with the elements that say the same in R4."""
    kind = str(resource.get("resourceType"))
    names = _RENAMED.get(kind, {})
    members = {names.get(name, name): member for name, member in resource.items()}
    if isinstance(medication := members.get("medication"), dict):
        del members["medication"]
        forms = {
            "medicationCodeableConcept": medication.get("concept"),
            "medicationReference": medication.get("reference"),
        }
        members |= {name: form for name, form in forms.items() if form is not None}
    for part in objects_in(members.get("reaction")) if kind == "AllergyIntolerance" else ():
        part["manifestation"] = [_concept_of(item) for item in objects_in(part.get("manifestation"))]
    if kind == "AllergyIntolerance" and isinstance(sort := members.get("type"), dict):
        members["type"] = code if isinstance(code := _code_of(sort), str) else None
    if kind == "ServiceRequest" and isinstance(code := members.get("code"), dict):
        members["code"] = _concept_of(code)
    if kind == "Device" and "name" in members:
        names_of_r5 = objects_in(members.pop("name"))
        members.setdefault("deviceName", [{"name": name.get("value")} for name in names_of_r5])
    return _with_status_of_r4(members, kind)


def _concept_of(value: Json) -> Json:
    """Return the concept of a CodeableReference (R5); any other object as it is."""
    return concept if isinstance(concept := value.get("concept"), dict) else value


def _with_status_of_r4(members: Json, kind: str) -> Json:
    status, negations = _NEGATIONS.get(kind, ("", frozenset[str]()))
    is_denied = any(str(members.get(name)).lower() in _TRUE for name in negations)
    members = {name: member for name, member in members.items() if name not in negations}
    if kind == "MedicationStatement":
        taken = _TAKEN.get(str(members.pop("taken", None)).lower())
        adherence = members.get("adherence")
        code = _code_of(adherence.get("code")) if isinstance(adherence, dict) else None
        if taken is not None:
            members["status"] = taken
        elif members.get("status") == "recorded":
            members["status"] = _ADHERENCE.get(str(code), "unknown")
    if is_denied and members.get("status") != "entered-in-error":
        members["status"] = status
    return members


def has_stu3_dose(resource: dict[str, Any]) -> bool:
    """Return whether an order says its dose where STU3 had it: readable, but the dose is not seen there."""
    instructions = resource.get("dosageInstruction")
    return isinstance(instructions, list) and any(
        isinstance(instruction, dict)
        and not instruction.get("doseAndRate")
        and not _DOSE_OF_STU3.isdisjoint(instruction)
        for instruction in instructions
    )


def with_numeric_doses(resource: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return an order with the numbers of its doses that came as text read as numbers, and whether there was one.

    >>> with_numeric_doses({"dosageInstruction": [{"doseAndRate": [{"doseQuantity": {"value": "500"}}]}]})
    ({'dosageInstruction': [{'doseAndRate': [{'doseQuantity': {'value': 500}}]}]}, True)
    """
    instructions = resource.get("dosageInstruction")
    read = _with_numbers(instructions, "")
    return ({**resource, "dosageInstruction": read}, True) if read != instructions else (resource, False)


def _with_numbers(value: Any, under: str) -> Any:
    if isinstance(value, list):
        return [_with_numbers(item, under) for item in value]
    if not isinstance(value, dict):
        return value
    numeric = {"value"} if under.endswith("Quantity") or under in _QUANTITIES else _COUNTS if under == "repeat" else ()
    return {name: _number(member) if name in numeric else _with_numbers(member, name) for name, member in value.items()}


def _number(value: Any) -> Any:
    if not isinstance(value, str) or not _PLAIN_NUMBER.fullmatch(value):
        return value
    return float(value) if "." in value else int(value)


def _object(value: dict[str, Any], kind: type[Struct]) -> dict[str, Any]:
    fields = _fields(kind)
    if kind is Version:
        value = {name: str(member) if isinstance(member, int) else member for name, member in value.items()}
    if kind is Dosage and not value.get("doseAndRate"):
        value = _with_dose_of_r4(value)
    if kind in (Observation, ObservationComponent) and isinstance(quantity := value.get("valueQuantity"), dict):
        value = {**value, "valueQuantity": {**quantity, "value": _number(quantity.get("value"))}}
    return {
        name: _member(member, fields[name]) if name in fields else member
        for name, member in value.items()
        if not (member is None and name in fields)
    }


def _with_dose_of_r4(dosage: dict[str, Any]) -> dict[str, Any]:
    dose = {name: value for name, value in dosage.items() if name in _DOSE_OF_STU3}
    other_members = {name: value for name, value in dosage.items() if name not in _DOSE_OF_STU3}
    return {**other_members, "doseAndRate": [dose]} if dose else other_members


class _Element(NamedTuple):
    """What a member is wanted as: a list or one, a bare code, a concept, an object of this kind (None: a resource)."""

    is_list: bool
    is_code: bool
    is_concept: bool
    kind: type[Struct] | None


def _member(value: Any, wanted: _Element) -> Any:
    if not wanted.is_list:
        return _single(value, wanted)
    items = value if isinstance(value, list) else [value]
    return [_code_of(item) if wanted.is_code else _single(item, wanted) for item in items if item is not None]


def _single(value: Any, wanted: _Element) -> Any:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if wanted.is_concept and isinstance(value, str):
        return {"coding": [{"code": value}]}
    if wanted.kind in (Reference, Subject):
        value = _reference(value)
    if not isinstance(value, dict):
        return value
    return repair_resource(value) if wanted.kind is None else _object(value, wanted.kind)


def _reference(value: Any) -> dict[str, Any]:
    """Return a reference that came as a text or with an id that is a number; without what cannot be read as one."""
    members = value if isinstance(value, dict) else {"reference": value}
    reference = members.get("reference")
    others = {name: member for name, member in members.items() if name != "reference"}
    is_readable = isinstance(reference, str | int) and not isinstance(reference, bool)
    return others | {"reference": str(reference)} if is_readable else others


def _code_of(concept: Any) -> Any:
    """Return the code of a concept that stands in a list of bare codes."""
    if not isinstance(concept, dict):
        return concept
    coding = concept.get("coding")
    first = coding[0] if isinstance(coding, list) and coding else coding
    code = first.get("code") if isinstance(first, dict) else concept.get("code") or concept.get("text")
    return code if isinstance(code, str) else concept


@cache
def _fields(kind: type[Struct]) -> dict[str, _Element]:
    """Return what each member is wanted as; a union of resources stays one, to be told apart by `resourceType`."""
    return {field.encode_name: _element(_wanted(field.type)) for field in structs.fields(kind)}


def _element(wanted: Any) -> _Element:
    is_list = get_origin(wanted) is tuple
    arg = get_args(wanted)[0] if is_list else wanted
    is_kind = isinstance(arg, type) and issubclass(arg, Struct)
    return _Element(is_list, arg == ChartText, arg in (CodeableConcept, R4Concept), arg if is_kind else None)


def _wanted(annotation: Any) -> Any:
    options = [arg for arg in get_args(annotation) if arg is not NoneType]
    return options[0] if NoneType in get_args(annotation) and len(options) == 1 else annotation
