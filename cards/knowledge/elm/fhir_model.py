"""Reads the elements of FHIR R4 resources as the logic of a library asks for them, each parsed when it is first read.

`evaluation.py` asks for them, `values.py` compares what they hold. `fhir_elements.txt` was made from the JSON Schema of
FHIR R4 (4.0.1), which does not change: a line is a type and its elements, `name:Type`, `*` behind a list, `+` behind
what is required, `|` between the types of a choice; `!` stands before a resource.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from importlib.resources import files
from itertools import zip_longest
from typing import Any, Final

from msgspec import Struct

from cards.knowledge.elm.temporal import Kind, read_temporal
from fhir.terminology.caching import remembered

PRIMITIVES: Final = frozenset({
    "base64Binary", "boolean", "canonical", "code", "date", "dateTime", "decimal", "id", "instant", "integer",
    "markdown", "oid", "positiveInt", "string", "time", "unsignedInt", "uri", "url", "uuid", "xhtml",
})  # fmt: skip
_EVERYWHERE: Final = "id:id extension:Extension* modifierExtension:Extension*"
_OF_RESOURCES: Final = "contained:Resource* meta:Meta implicitRules:uri language:code text:Narrative"
_UNREAD: Final = object()


class Element(Struct, frozen=True):
    """How an element is declared: the types that it may have by the JSON name of each, and whether it repeats."""

    types: tuple[tuple[str, str], ...]
    many: bool


class Node:
    """A FHIR resource, element or primitive with its type; `raw` is its JSON, `extra` what JSON keeps under `_name`."""

    __slots__ = ("_read", "extra", "home", "raw", "type")

    def __init__(self, kind: str, raw: Any, home: int, extra: Any = None) -> None:
        self.type = kind
        self.raw = raw
        self.home = home
        self.extra = extra
        self._read: dict[str, Any] = {}

    def property(self, name: str) -> Any:
        """Return the element: a node, a list of them, None; of a primitive `value` is the value in the language."""
        value = self._read.get(name, _UNREAD)
        return self.kept(name, self._element) if value is _UNREAD else value

    def kept(self, name: str, read: Callable[[str], Any]) -> Any:
        """Return what was read of this node before under a name, or read it."""
        value = self._read.get(name, _UNREAD)
        if value is _UNREAD:
            value = self._read[name] = read(name)
        return value

    def _element(self, name: str) -> Any:
        raw = self.raw
        if not isinstance(raw, dict):
            return None
        declared = elements(self.type).get(name) or self._named_as_in_json(name)
        if declared is None:
            return None
        for json_name, kind in declared.types:
            if json_name in raw or "_" + json_name in raw:
                return self._nodes(kind, raw.get(json_name), raw.get("_" + json_name), many=declared.many)
        return [] if declared.many else None

    def _named_as_in_json(self, name: str) -> Element | None:
        """Return how `valueInteger` is declared where `value` is: CMS's libraries name some elements as JSON does."""
        for declared in elements(self.type).values():
            for json_name, kind in declared.types:
                if json_name.lower() == name.lower() and json_name in self.raw:
                    return Element(((json_name, kind),), declared.many)
        return None

    def _nodes(self, kind: str, raw: Any, extra: Any, *, many: bool) -> Any:
        if many:
            raws = raw if isinstance(raw, list) else [] if raw is None else [raw]
            extras = extra if isinstance(extra, list) else []
            return [self._nodes(kind, item, other, many=False) for item, other in zip_longest(raws, extras)]
        if raw is None and extra is None:
            return None
        if kind in PRIMITIVES:
            return Primitive(kind, raw, self.home, extra)
        if kind == "Resource" and isinstance(raw, dict):
            kind = str(raw.get("resourceType", "Resource"))
        return Node(kind, raw, self.home, extra)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Node):
            return NotImplemented
        return self.raw is other.raw or (self.type == other.type and self.raw == other.raw)

    def __hash__(self) -> int:
        return hash((self.type, self.raw.get("id") if isinstance(self.raw, dict) else self.raw))


class Primitive(Node):
    """A FHIR primitive: its `value`, and the id and the extensions that JSON keeps beside it."""

    __slots__ = ()

    def _element(self, name: str) -> Any:
        if name != "value":
            return Node("Element", self.extra, self.home).property(name)
        raw = self.raw
        if self.type in _TIMES:
            return read_temporal(raw, _TIMES[self.type], self.home)
        if self.type == "decimal" and type(raw) in {int, float}:
            return Decimal(repr(raw))
        if isinstance(raw, Decimal) and not raw.is_finite():
            return None
        return raw if type(raw) is _JSON_TYPES.get(self.type, str) else None


_TIMES: Final[Mapping[str, Kind]] = {"date": "Date", "dateTime": "DateTime", "instant": "DateTime", "time": "Time"}
_JSON_TYPES: Final = {"decimal": Decimal, "boolean": bool, "integer": int, "positiveInt": int, "unsignedInt": int}


@cache
def _lines() -> Mapping[str, str]:
    text = files("fhir.elements").joinpath("fhir_elements.txt").read_text(encoding="utf-8")
    return {line.partition(" ")[0].lstrip("!"): line for line in text.splitlines()}


@remembered("elements of FHIR types", entries=1024, longest=100)
def elements(kind: str) -> Mapping[str, Element]:
    """Return the elements of a type by name; of a type that is not known those that each type has."""
    line = _lines().get(kind, "").partition(" ")[2]
    written = f"{line} {_EVERYWHERE} {_OF_RESOURCES if is_resource(kind) else ''}".split()
    declared = {}
    for word in written:
        name, _, types = word.rstrip("+").partition(":")
        many = types.endswith("*")
        kinds = types.rstrip("*").split("|")
        json_names = [name] if len(kinds) == 1 else [name + kind[0].upper() + kind[1:] for kind in kinds]
        declared[name] = Element(tuple(zip(json_names, kinds, strict=True)), many)
    return declared


def is_resource(kind: str) -> bool:
    """Return whether the type is one of FHIR's resources: no part of one, and not a data type."""
    return "!" in _lines().get(kind, "")


def is_a(kind: str, requested: str) -> bool:
    """Return whether a FHIR type is the one asked for or one of its kinds."""
    if kind == requested or requested in {"Element", "Resource", "DomainResource", "BackboneElement"}:
        return kind == requested or is_resource(kind) == (requested in {"Resource", "DomainResource"})
    if kind == "code":  # the enumerations of a model, such as ObservationStatus, are codes
        return requested not in _lines() and requested not in PRIMITIVES
    return kind in _KINDS_OF.get(requested, ())


_KINDS_OF: Final = {
    "string": ("markdown", "code", "id"),
    "uri": ("canonical", "url", "uuid", "oid"),
    "integer": ("positiveInt", "unsignedInt"),
    "Quantity": ("Age", "Count", "Distance", "Duration", "Money"),
}
