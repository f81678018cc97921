"""A JSON document under test: it is read strictly, and every value and every fault has its path in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal


@dataclass(frozen=True, slots=True)
class Document:
    """What a body holds: its value, or in words why it is not valid JSON; `repeated` names members that stand twice."""

    value: Any = None
    problem: str = ""
    repeated: tuple[str, ...] = ()


def parse_json(body: bytes) -> Document:
    """Return the document in these bytes; never raises."""
    repeated: list[str] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        repeated.extend(name for name in set(names) if names.count(name) > 1)
        return dict(pairs)

    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refused, object_pairs_hook=members)
    except (ValueError, RecursionError) as error:
        return Document(problem=str(error) or "nested too deeply")
    return Document(value, repeated=tuple(sorted(repeated)))


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON number")


Level = Literal["must", "should"]
MUST: Final = "must"
SHOULD: Final = "should"


@dataclass(frozen=True, slots=True)
class Fault:
    """One breach: what was found, where in the document (`cards[0].summary`), and in the answer to which request.

    `row` is given where it is another than the first row of the check, such as the field of one hook.
    """

    message: str
    location: str = ""
    request: str = ""
    row: str = ""


class NotTested(Exception):
    """A check could not be tried on this server; the message says what was missing."""


def observe(seen: object, otherwise: str) -> None:
    """Raise NotTested with the reason `otherwise` unless something was seen: only what was observed holds."""
    if not seen:
        raise NotTested(otherwise)


ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Node:
    """One JSON value; `location` is its path, `parent` what holds it, `name` the member or position it has there."""

    value: Any
    location: str = ""
    parent: Node | None = None
    name: str | int = ""

    @property
    def absent(self) -> bool:
        """Whether the member is not there at all (null is there)."""
        return self.value is ABSENT

    def at(self, name: str) -> Node:
        """Return the member of this name; its value is ABSENT where there is none."""
        value = self.value.get(name, ABSENT) if isinstance(self.value, dict) else ABSENT
        return Node(value, f"{self.location}.{name}" if self.location else name, self, name)

    def has(self, name: str) -> bool:
        """Return whether there is a member of this name."""
        return isinstance(self.value, dict) and name in self.value

    def members(self) -> Iterator[Node]:
        """Yield the members of an object, or the items of an array."""
        if isinstance(self.value, dict):
            for name in self.value:
                yield self.at(name)
        elif isinstance(self.value, list):
            for position, item in enumerate(self.value):
                yield Node(item, f"{self.location}[{position}]", self, position)

    def objects(self, name: str) -> Iterator[Node]:
        """Yield the items of the array of this name that are objects."""
        for item in self.at(name).items():
            if isinstance(item.value, dict):
                yield item

    def items(self) -> Iterator[Node]:
        """Yield the items where this is an array."""
        if isinstance(self.value, list):
            yield from self.members()

    def text(self, name: str) -> str:
        """Return the member of this name where it is a string, else an empty one."""
        value = self.at(name).value
        return value if isinstance(value, str) else ""

    def fault(self, message: str) -> Fault:
        """Return a fault at this location."""
        return Fault(message, self.location)


def quoted(value: Any) -> str:
    """Return a JSON value as a finding quotes it: short."""
    if value is ABSENT:
        return "missing"
    text = repr(value) if isinstance(value, str | int | float | None) else type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}…"


class Subject(StrEnum):
    """What a check is handed: a part of a document, or one of the last three."""

    DISCOVERY = "discovery document"
    ENTRY = "service in discovery"
    PREFETCH = "prefetch of a service"
    TEMPLATE = "prefetch template"
    RESPONSE = "response"
    CARD = "card"
    SOURCE = "source"
    CODING = "Coding"
    OVERRIDE_REASON = "override reason"
    SUGGESTION = "suggestion"
    ACTION = "action"
    SUGGESTED_ACTION = "action of a suggestion"
    SYSTEM_ACTION = "system action"
    LINK = "link"
    EXTENSION = "extension"
    MEMBER = "member"
    EXCHANGE = "answer"
    SERVICE = "service"
    SERVER = "server"

    @property
    def is_part(self) -> bool:
        """Whether it is a part of a document."""
        return self not in (Subject.EXCHANGE, Subject.SERVICE, Subject.SERVER)


_PARTS: Final = {
    Subject.DISCOVERY: {"services": Subject.ENTRY},
    Subject.ENTRY: {"prefetch": Subject.PREFETCH},
    Subject.RESPONSE: {"cards": Subject.CARD, "systemActions": Subject.SYSTEM_ACTION},
    Subject.CARD: {
        "source": Subject.SOURCE,
        "overrideReasons": Subject.OVERRIDE_REASON,
        "suggestions": Subject.SUGGESTION,
        "links": Subject.LINK,
    },
    Subject.SOURCE: {"topic": Subject.CODING},
    Subject.SUGGESTION: {"actions": Subject.SUGGESTED_ACTION},
}
"""By part its members that are arrays of parts; but for these kinds, of which it holds one."""
_SINGLE: Final = (Subject.PREFETCH, Subject.SOURCE, Subject.CODING)
_ALSO: Final = {
    Subject.SUGGESTED_ACTION: Subject.ACTION,
    Subject.SYSTEM_ACTION: Subject.ACTION,
    Subject.OVERRIDE_REASON: Subject.CODING,
}
Parts = Iterator[tuple[Subject, Node]]


def parts_of(subject: Subject, node: Node) -> Parts:
    """Yield this document and all parts of it that a check can be about, each with its subject."""
    yield subject, node
    if subject in _ALSO:
        yield from parts_of(_ALSO[subject], node)
        return
    if subject is Subject.PREFETCH:
        yield from ((Subject.TEMPLATE, text) for text in node.members() if isinstance(text.value, str))
    else:
        for name, part in _PARTS.get(subject, {}).items():
            member = node.at(name)
            for inner in [member] if part in _SINGLE else member.items():
                if isinstance(inner.value, dict) or part is Subject.PREFETCH:
                    yield from parts_of(part, inner)
        if node.has("extension"):
            yield Subject.EXTENSION, node.at("extension")
    if node.parent is None:
        yield from ((Subject.MEMBER, member) for member in _members(node))


def _members(node: Node) -> Iterator[Node]:
    """Yield the document and every value in it, but nothing below an extension, whose content is agreed elsewhere."""
    yield node
    for member in node.members():
        if is_extension(member):
            yield member
        else:
            yield from _members(member)


def is_extension(node: Node) -> bool:
    """Return whether this is the extension of CDS Hooks (an object), not one inside a FHIR resource."""
    return node.name == "extension" and not in_resource(node)


def in_resource(node: Node) -> bool:
    """Return whether this value stands in a FHIR resource that an action carries."""
    above = node.parent
    while above is not None:
        if above.name == "resource":
            return True
        above = above.parent
    return False
