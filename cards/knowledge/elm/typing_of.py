"""Tells what type an ELM node or a value has, and whether a value is of a type that ELM specifies."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from cards.knowledge.elm.fhir_model import Node, is_a
from cards.knowledge.elm.values import Interval, Tuple, Value, point_type, type_name

Matcher = Callable[[Value], bool]

_SYSTEM: Final = "{urn:hl7-org:elm-types:r1}"


def local_name(name: str) -> str:
    """Return a qualified name without its model."""
    return name.rpartition("}")[2]


def specifier_kind(specifier: Mapping[str, Any]) -> str:
    """Return which kind of type a specifier means; some translators write its `type` as something else."""
    for part, kind in (("choice", "Choice"), ("elementType", "List"), ("pointType", "Interval"), ("element", "Tuple")):
        if part in specifier:
            return kind
    return "Named"


def cast_type(node: Mapping[str, Any] | None) -> str | None:
    """Return the System type that a node casts to; None where it is no cast."""
    specifier = (node or {}).get("asTypeSpecifier") or {"name": (node or {}).get("asType", "")}
    name = str(specifier.get("name", ""))
    return local_name(name) if name.startswith(_SYSTEM) and local_name(name) != "Any" else None


def matcher(specifier: Mapping[str, Any]) -> Matcher:
    """Return a function that says whether a value, which is not null, is of the type."""
    kind = specifier_kind(specifier)
    if kind == "List":
        element = matcher(specifier["elementType"])
        return lambda value: isinstance(value, list) and all(part is None or element(part) for part in value)
    if kind == "Interval":
        point = local_name(str(specifier["pointType"].get("name", "Any")))
        return lambda value: type(value) is Interval and (point == "Any" or point_type(value) in {None, point})
    if kind == "Choice":
        choices = [matcher(choice) for choice in specifier["choice"]]
        return lambda value: any(choice(value) for choice in choices)
    if kind == "Tuple":
        names = frozenset(element["name"] for element in specifier["element"])
        return lambda value: isinstance(value, Tuple) and value.keys() <= names
    return _named_matcher(str(specifier["name"]))


def _named_matcher(name: str) -> Matcher:
    local = local_name(name)
    if not name.startswith(_SYSTEM):
        return lambda value: isinstance(value, Node) and is_a(value.type, local)
    if local == "Any":
        return lambda _value: True
    if local == "Vocabulary":
        return lambda value: type_name(value) in {"ValueSet", "CodeSystem"}
    return lambda value: not isinstance(value, Node) and type_name(value) == local


def type_key(value: Value) -> object:
    """Return what two values of the same type share, as far as the choice of a function rests on it."""
    if isinstance(value, Node):
        return value.type
    if isinstance(value, Interval):
        return ("Interval", point_type(value))
    if isinstance(value, list):
        return ("List", frozenset(type_key(part) for part in value[:50]))
    return tuple(sorted(value)) if isinstance(value, Tuple) else type_name(value)


def specifier_key(specifier: Mapping[str, Any]) -> object:
    """Return what two specifiers of the same type share."""
    kind = specifier_kind(specifier)
    if kind == "Named":
        return local_name(str(specifier["name"])), str(specifier["name"]).startswith(_SYSTEM)
    if kind == "Choice":
        return kind, frozenset(specifier_key(choice) for choice in specifier.get("choice", ()))
    if kind == "Tuple":
        return kind, frozenset((part["name"], specifier_key(_type_of_element(part))) for part in specifier["element"])
    return kind, specifier_key(specifier.get("elementType") or specifier["pointType"])


def _type_of_element(part: Mapping[str, Any]) -> Mapping[str, Any]:
    specifier: Mapping[str, Any] = part.get("elementType") or part.get("type") or {"name": "Any"}
    return specifier
