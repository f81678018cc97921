"""Follows a path through JSON and through the lean resources of a record alike."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct, structs

from cds_hooks.prefetch.paths import OfType, Path, Resolve, Step

# What R4 puts behind the name of a choice where a path of the subset can end or go on: a reference, or a simple value.
_CHOICES: Final = ("Reference", "CodeableConcept", "String", "Code", "Boolean", "Integer", "DateTime", "Date", "Uri")

# There are as many as there are types in our readers.
_ATTRIBUTES: Final[dict[type[Any], dict[str, str]]] = {}


@dataclass(frozen=True, slots=True)
class Target:
    """What a reference names. The resource itself is looked for only where a path goes on into it."""

    type: str
    id: str


Simple = str | int | float | bool


class Walk:
    """Follows paths from one call's context and from what its keys were answered with."""

    def __init__(self, context: Any, answers: Mapping[str, Any]) -> None:
        self._context = context
        self._answers = answers

    def field(self, name: str) -> Iterator[str]:
        """The one simple value of a context field (TOK-04); a list of them has none."""
        value = _member(self._context, name)
        if isinstance(value, Simple) and str(value).strip():
            yield _text(value)

    def values(self, path: Path) -> Iterator[str]:
        """The simple values at the end of the path, and the text of references, as they stand in a query."""
        nodes: Iterable[Any] = [self._answers.get(path.root) if path.is_key else self._context]
        for step in path.steps:
            nodes = [found for node in nodes for found in self._step(node, step)]
        for node in nodes:
            value = _text(node)
            if value.strip():
                yield value

    def has(self, kind: str, identity: str) -> bool:
        """Whether the resource came with the call, or was fetched for it already."""
        return (kind, identity) in self._index

    def _step(self, node: Any, step: Step) -> Iterable[Any]:
        if isinstance(step, Resolve):
            target = _target(node)
            return () if target is None else (target,)
        if isinstance(step, OfType):
            return (node,) if _type(node) == step.type else ()
        if isinstance(node, Target):
            if step.name == "id":
                return (node.id,)
            return _members(self._index.get((node.type, node.id)), step.name)
        return _members(node, step.name)

    @cached_property
    def _index(self) -> dict[tuple[str | None, Any], Any]:
        roots = [*self._answers.values(), *_fields(self._context)]
        resources = (each for root in roots for each in _resources(root))
        return {(_type(each), next(_members(each, "id"), None)): each for each in resources}


def _members(node: Any, name: str) -> Iterator[Any]:
    for candidate in (name, *(f"{name}{kind}" for kind in _CHOICES)):
        value = _member(node, candidate)
        if value is not None:
            yield from value if isinstance(value, list | tuple) else (value,)
            return


def _member(node: Any, name: str) -> Any:
    if isinstance(node, dict):
        value = node.get(name)
    elif isinstance(node, Struct):
        attribute = _attributes(type(node)).get(name)
        value = getattr(node, attribute) if attribute else None
    else:
        return None
    return _decoded(value) if isinstance(value, Raw) else value


def _decoded(raw: Raw) -> Any:
    """JSON that was kept as it came; None where it is none, of which the service will speak."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None


def _type(node: Any) -> str | None:
    if isinstance(node, Target):
        return node.type
    if isinstance(node, dict):
        kind = node.get("resourceType")
        return kind if isinstance(kind, str) else None
    tag = node.__struct_config__.tag if isinstance(node, Struct) else None
    return tag if isinstance(tag, str) else None


def _target(node: Any) -> Target | None:
    """Of `Type/id`, relative or absolute, with or without a version; None for `#…` and `urn:…`, which are in hand."""
    text = node if isinstance(node, str) else _member(node, "reference")
    if not isinstance(text, str):
        return None
    *_, kind, identity = ["", "", *text.split("/_history/", 1)[0].split("/")]
    return Target(kind, identity) if kind[:1].isupper() and kind.isalpha() and identity.strip() else None


def _text(node: Any) -> str:
    if isinstance(node, bool):
        return str(node).lower()
    if isinstance(node, Simple):
        return str(node)
    reference = _member(node, "reference")  # TOK-12: a path may end at a reference
    return reference if isinstance(reference, str) else ""


def _resources(value: Any) -> Iterator[Any]:
    if _type(value) == "Bundle":
        for entry in _members(value, "entry"):
            yield from _members(entry, "resource")
    elif _type(value) is not None:
        yield value


def _fields(context: Any) -> Iterator[Any]:
    names = context if isinstance(context, dict) else _attributes(type(context))
    return (_member(context, name) for name in names)


def _attributes(kind: type[Any]) -> dict[str, str]:
    """The attribute of each element of a struct; of anything else none."""
    found = _ATTRIBUTES.get(kind)
    if found is None:
        elements = structs.fields(kind) if issubclass(kind, Struct) else ()
        found = _ATTRIBUTES[kind] = {each.encode_name: each.name for each in elements}
    return found


def reads(kind: type[object], member: str) -> bool:
    """Whether our readers keep this element of a resource, so that a path can go through it.

    >>> from fhir.record.resources import MedicationRequest
    >>> reads(MedicationRequest, "medication"), reads(MedicationRequest, "requester")
    (True, False)
    """
    return any(name in _attributes(kind) for name in (member, *(f"{member}{each}" for each in _CHOICES)))
