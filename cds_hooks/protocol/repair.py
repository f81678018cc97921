"""Repairs of known faults in requests, and the draft orders as the client sent them.

Repaired are: single values where R4 has a list (Epic's `category`), null members and null lists, a status as a bare
code and a dose beside its instruction (STU3), and a resource inside `{"resource": …}` (CDS Hooks before 1.0; TRAP-05,
TRAP-37, TRAP-40). No value is changed or invented.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from types import NoneType
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin

import msgspec
from msgspec import Raw, Struct, structs

from cds_hooks.protocol.body import MOST_LEVELS, is_nested_deeper
from fhir.record.chart_text import ChartText
from fhir.record.datatypes import CodeableConcept, Dosage, decode_exactly
from fhir.record.resources import AnyResource, Bundle

Json = dict[str, Any]


class _Body(msgspec.Struct):
    prefetch: dict[str, Raw] | None = None


class _Entry(msgspec.Struct):
    resource: Raw = Raw(b"null")


class _Bundle(msgspec.Struct):
    resourceType: Literal["Bundle"]
    entry: tuple[_Entry, ...] = ()


class _Head(msgspec.Struct):
    resourceType: str
    id: str | None = None


_bundle: Final = msgspec.json.Decoder(_Bundle)
_head: Final = msgspec.json.Decoder(_Head)


class Sent(tuple[bytes, ...]):
    """The body of a call and the pages of the client's FHIR server, and which orders were asked for in them."""

    given: dict[str, Json]
    """What was given, by Type/id."""

    def __new__(cls, bodies: Iterable[bytes]) -> "Sent":
        """Of these bodies; nothing was asked for yet."""
        bodies_with_orders = super().__new__(cls, bodies)
        bodies_with_orders.given = {}
        return bodies_with_orders


class OriginalOrders:
    """The orders of one type of a call's body and of the pages of the client's FHIR server after it.

    They are found when the first one is asked for, and only what is asked for is decoded: most answers stop or change
    none. What is written as nearly every client writes it is found by its first bytes (1.4 of 34 million instructions
    of an order-sign call less than splitting all values into their resources); the values are split for the rest.
    """

    def __init__(self, sent: tuple[bytes, ...], kind: str = "MedicationRequest") -> None:
        self._sent = sent
        self._kind = kind

    @cached_property
    def _places(self) -> dict[str, tuple[bytes, int]]:
        """Where the resources of the type begin that are written without blanks, the later of two; by id."""
        begins = f'"resource":{{"resourceType":"{self._kind}","id":"'.encode()
        places: dict[str, tuple[bytes, int]] = {}
        for number, text in enumerate(self._sent):
            start_of_match = text.find(begins, 0 if number else _start_of_prefetch(text))
            while start_of_match >= 0:
                start = start_of_match + len(begins)
                identity = text[start : text.find(b'"', start)]
                if identity.isascii() and b"\\" not in identity:
                    places[identity.decode()] = text, start_of_match + len(b'"resource":')
                start_of_match = text.find(begins, start)
        return places

    @cached_property
    def _values(self) -> list["_SentValue"]:
        """The values of prefetch and the pages in which the type is named, the later first."""
        if not self._sent:
            return []
        body, *pages = self._sent
        values = (msgspec.json.decode(body, type=_Body).prefetch or {}).values()
        kind = f'"{self._kind}"'.encode()
        return [_SentValue(raw, self._kind) for raw in (*reversed(pages), *map(bytes, reversed(values))) if kind in raw]

    def by_id(self, identity: str) -> Json | None:
        """Returns the order of this id, None when it did not come along; of two the later."""
        position = self._places.get(identity)
        sent = _balanced_at(*position) if position is not None else self._find(identity)
        decoded = _decoded(sent) if isinstance(sent, Raw | bytes) else sent
        if decoded is None and position is not None:
            decoded = _decoded(_object_at(*position))
        if not isinstance(decoded, dict) or decoded.get("resourceType") != self._kind:
            return None
        if isinstance(self._sent, Sent):
            self._sent.given[f"{self._kind}/{identity}"] = decoded
        return decoded

    def _find(self, identity: str) -> Json | Raw | None:
        orders = (value.find(identity) for value in self._values)
        return next((order for order in orders if order is not None), None)

    def original(self, reference: str) -> Json | None:
        """Returns the order that a reference such as 'MedicationRequest/7' names, None when it did not come along."""
        kind, _, identity = reference.partition("/")
        return self.by_id(identity) if kind == self._kind else None


_TOKENS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|$)|[{}]')


def _balanced_at(text: bytes, start: int) -> bytes:
    """Returns what begins there up to where as many braces are closed as opened: the object, or no JSON.

    No JSON where a text of the object holds a brace; looking for the braces alone takes a third of the time.
    """
    opened = closed = 0
    begin, end = start, text.find(b"}", start)
    while end >= 0:
        opened, closed = opened + text.count(b"{", begin, end), closed + 1
        begin = end + 1
        if opened == closed:
            return text[start:begin]
        end = text.find(b"}", begin)
    return text[start:]


def _object_at(text: bytes, start: int) -> bytes:
    """Returns the JSON object that begins there."""
    depth = 0
    for token in _TOKENS.finditer(text, start):
        sign = token[0]
        if sign == b"{":
            depth += 1
        elif sign == b"}":
            depth -= 1
            if not depth:
                return text[start : token.end()]
    return text[start:]


def _start_of_prefetch(body: bytes) -> int:
    """Returns where prefetch begins in a body whose context, with the drafts in it, stands before it; else its end."""
    start = body.find(b',"prefetch":')
    head = body[: max(start, 0)]
    return start if b'"context"' in head and b'"patientId"' in head else len(body)


class _SentValue:
    """A value of prefetch or a page: mostly a Bundle, of which only the resources that may have an id are read."""

    def __init__(self, raw: bytes, kind: str) -> None:
        self._raw = raw
        self._kind = kind

    def find(self, identity: str) -> Json | Raw | None:
        """Returns the resource of this id, decoded or not; of two the later."""
        try:
            return self._resources.get(identity)
        except msgspec.DecodeError:
            return self._decoded.get(identity)

    @cached_property
    def _resources(self) -> dict[str | None, Raw]:
        """The JSON of the resources of the type in a Bundle, by id; DecodeError where it is none."""
        kind = self._kind.encode()
        resources = (entry.resource for entry in _bundle.decode(self._raw).entry)
        with_type = [
            raw for raw in resources if kind in bytes(raw) or b"\\" in bytes(raw)
        ]  # a type can be written with escapes
        heads = [_head.decode(raw) for raw in with_type]
        return {head.id: raw for head, raw in zip(heads, with_type, strict=True) if head.resourceType == self._kind}

    @cached_property
    def _decoded(self) -> dict[str, Json]:
        """The resources by their ids, whatever is around them."""
        resources = (
            resource for resource in _resources(_decoded(self._raw)) if resource.get("resourceType") == self._kind
        )
        return {resource["id"]: resource for resource in resources if isinstance(resource.get("id"), str)}


def _decoded(raw: bytes | Raw) -> Any:
    """Returns the decoded JSON; None where an element that was not decoded before is invalid or nested too deeply."""
    try:
        value = decode_exactly(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    content = bytes(raw)
    may_be_deep = content.count(b"{") + content.count(b"[") > MOST_LEVELS  # few orders have so many objects at all
    return None if may_be_deep and is_nested_deeper(value) else value


def _resources(value: Any) -> Iterator[Json]:
    if not isinstance(value, dict):
        return
    if "resourceType" in value and value["resourceType"] != "Bundle":
        yield value
        return
    for entry in [*objects_in(value.get("entry")), value]:  # before CDS Hooks 1.0 the value itself was a wrapper
        yield from _resources(entry.get("resource"))


def objects_in(value: Any) -> list[Json]:
    """Returns the objects of a list, or the one that stands where a list should."""
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]


_DOSE_OF_STU3: Final = frozenset({"doseQuantity", "doseRange", "rateQuantity", "rateRange", "rateRatio"})
_QUANTITIES: Final = frozenset({"low", "high", "numerator", "denominator"})
_COUNTS: Final = frozenset({"frequency", "frequencyMax", "period", "periodMax", "count", "countMax"})
# Three digits behind a point could as well be thousands, digits behind a comma a fraction: such a text stays a text.
_PLAIN_NUMBER: Final = re.compile(r"(?:0|[1-9]\d{0,5})(?:\.\d{1,2})?")
_LEAN: Final[dict[str, type[Struct]]] = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyResource)}


def repair_bytes(raw: bytes | Raw) -> bytes:
    """Returns the JSON bytes of a resource or Bundle with its resources repaired."""
    return msgspec.json.encode(repair_resource(msgspec.json.decode(raw)))


def repair_resource(value: Any) -> Any:
    """Returns a decoded resource or Bundle, taken out of its wrapper and repaired; anything else as it came."""
    if not isinstance(value, dict):
        return value
    if "resourceType" not in value and isinstance(value.get("resource"), dict):
        return repair_resource(value["resource"])
    kind = _LEAN.get(str(value.get("resourceType")))
    return value if kind is None else _object(value, kind)


def has_stu3_dose(resource: dict[str, Any]) -> bool:
    """Returns whether an order says its dose where STU3 had it: readable, but the dose is not seen there."""
    instructions = resource.get("dosageInstruction")
    return isinstance(instructions, list) and any(
        isinstance(instruction, dict)
        and not instruction.get("doseAndRate")
        and not _DOSE_OF_STU3.isdisjoint(instruction)
        for instruction in instructions
    )


def with_numeric_doses(resource: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Returns an order with the numbers of its doses that came as text read as numbers, and whether there was one.

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
    if kind is Dosage and not value.get("doseAndRate"):
        value = _with_dose_of_r4(value)
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
    if not isinstance(value, dict):
        return value
    return repair_resource(value) if wanted.kind is None else _object(value, wanted.kind)


def _is_text(wanted: Any) -> bool:
    return wanted is str or wanted == ChartText


def _code_of(concept: Any) -> Any:
    """Returns the code of a concept that stands in a list of bare codes."""
    if not isinstance(concept, dict):
        return concept
    coding = concept.get("coding")
    first = coding[0] if isinstance(coding, list) and coding else coding
    code = first.get("code") if isinstance(first, dict) else concept.get("code") or concept.get("text")
    return code if isinstance(code, str) else concept


@cache
def _fields(kind: type[Struct]) -> dict[str, _Element]:
    """Returns what each member is wanted as; a union of resources stays one, to be told apart by `resourceType`."""
    return {field.encode_name: _element(_wanted(field.type)) for field in structs.fields(kind)}


def _element(wanted: Any) -> _Element:
    is_list = get_origin(wanted) is tuple
    arg = get_args(wanted)[0] if is_list else wanted
    is_kind = isinstance(arg, type) and issubclass(arg, Struct) and arg is not Bundle
    return _Element(is_list, is_list and _is_text(arg), arg is CodeableConcept, arg if is_kind else None)


def _wanted(annotation: Any) -> Any:
    options = [arg for arg in get_args(annotation) if arg is not NoneType]
    return options[0] if NoneType in get_args(annotation) and len(options) == 1 else annotation
