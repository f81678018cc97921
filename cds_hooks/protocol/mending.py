"""Resources as some clients send them, brought into the shape of FHIR R4: only for what the typed reader refused.

Single values where R4 has a list (Epic's `category`), null members and null lists, a status as a bare code and a dose
beside its instruction (STU3), a resource inside `{"resource": …}` (CDS Hooks before 1.0; TRAP-05, TRAP-37, TRAP-40). No
value is changed or made up.
"""

import re
from functools import cache
from types import NoneType
from typing import Any, Final, get_args, get_origin

import msgspec
from msgspec import Raw, Struct, structs

from fhir.record.resources import AnyResource, Bundle, CodeableConcept, Dosage

Json = Any

_DOSE_OF_STU3: Final = frozenset({"doseQuantity", "doseRange", "rateQuantity", "rateRange", "rateRatio"})
_QUANTITIES: Final = frozenset({"low", "high", "numerator", "denominator"})
_COUNTS: Final = frozenset({"frequency", "frequencyMax", "period", "periodMax", "count", "countMax"})
# Three digits behind a point could as well be thousands, digits behind a comma a fraction: such a text stays a text.
_PLAIN_NUMBER: Final = re.compile(r"(?:0|[1-9]\d{0,5})(?:\.\d{1,2})?")
_LEAN: Final[dict[str, type[Struct]]] = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyResource)}


def mended_bytes(raw: bytes | Raw) -> bytes:
    """The JSON bytes of a resource or Bundle with its resources mended."""
    return msgspec.json.encode(mended(msgspec.json.decode(raw)))


def mended(value: Json) -> Json:
    """A decoded resource or Bundle, taken out of its wrapper and mended; anything else as it came."""
    if not isinstance(value, dict):
        return value
    if "resourceType" not in value and isinstance(value.get("resource"), dict):
        return mended(value["resource"])
    kind = _LEAN.get(str(value.get("resourceType")))
    return value if kind is None else _object(value, kind)


def has_dose_of_stu3(resource: dict[str, Json]) -> bool:
    """Whether an order says its dose where STU3 had it: readable, but the dose is not seen there."""
    instructions = resource.get("dosageInstruction")
    return isinstance(instructions, list) and any(
        isinstance(each, dict) and not each.get("doseAndRate") and not _DOSE_OF_STU3.isdisjoint(each)
        for each in instructions
    )


def with_numbers_of_doses(resource: dict[str, Json]) -> tuple[dict[str, Json], bool]:
    """An order with the numbers of its doses that came as text read as numbers, and whether there was one.

    >>> with_numbers_of_doses({"dosageInstruction": [{"doseAndRate": [{"doseQuantity": {"value": "500"}}]}]})
    ({'dosageInstruction': [{'doseAndRate': [{'doseQuantity': {'value': 500}}]}]}, True)
    """
    instructions = resource.get("dosageInstruction")
    read = _with_numbers(instructions, "")
    return ({**resource, "dosageInstruction": read}, True) if read != instructions else (resource, False)


def _with_numbers(value: Json, under: str) -> Json:
    if isinstance(value, list):
        return [_with_numbers(each, under) for each in value]
    if not isinstance(value, dict):
        return value
    numeric = {"value"} if under.endswith("Quantity") or under in _QUANTITIES else _COUNTS if under == "repeat" else ()
    return {name: _number(member) if name in numeric else _with_numbers(member, name) for name, member in value.items()}


def _number(value: Json) -> Json:
    if not isinstance(value, str) or not _PLAIN_NUMBER.fullmatch(value):
        return value
    return float(value) if "." in value else int(value)


def _object(value: dict[str, Json], kind: type[Struct]) -> dict[str, Json]:
    fields = _fields(kind)
    if kind is Dosage and not value.get("doseAndRate"):
        value = _with_dose_of_r4(value)
    return {
        name: _member(member, fields[name]) if name in fields else member
        for name, member in value.items()
        if not (member is None and name in fields)
    }


def _with_dose_of_r4(dosage: dict[str, Json]) -> dict[str, Json]:
    dose = {name: value for name, value in dosage.items() if name in _DOSE_OF_STU3}
    rest = {name: value for name, value in dosage.items() if name not in _DOSE_OF_STU3}
    return {**rest, "doseAndRate": [dose]} if dose else rest


def _member(value: Json, wanted: Any) -> Json:
    if get_origin(wanted) is tuple:
        items = value if isinstance(value, list) else [value]
        each = get_args(wanted)[0]
        return [_code_of(item) if each is str else _member(item, each) for item in items if item is not None]
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if wanted is CodeableConcept and isinstance(value, str):
        return {"coding": [{"code": value}]}
    if not isinstance(value, dict):
        return value
    if isinstance(wanted, type) and issubclass(wanted, Struct) and wanted is not Bundle:
        return _object(value, wanted)
    return mended(value)


def _code_of(concept: Json) -> Json:
    """The code of a concept that stands in a list of bare codes."""
    if not isinstance(concept, dict):
        return concept
    coding = concept.get("coding")
    first = coding[0] if isinstance(coding, list) and coding else coding
    code = first.get("code") if isinstance(first, dict) else concept.get("code") or concept.get("text")
    return code if isinstance(code, str) else concept


@cache
def _fields(kind: type[Struct]) -> dict[str, Any]:
    """What each member is wanted as; a union of resources stays one, to be told apart by `resourceType`."""
    return {each.encode_name: _wanted(each.type) for each in structs.fields(kind)}


def _wanted(annotation: Any) -> Any:
    options = [each for each in get_args(annotation) if each is not NoneType]
    return options[0] if NoneType in get_args(annotation) and len(options) == 1 else annotation
