"""The parts of a discovery document and of a response that checks are about, and the way through them."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from cds_hooks.contract.node import Node


class Subject(StrEnum):
    """What a check of a document looks at."""

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


_DEFINED = {
    Subject.DISCOVERY: "services extension",
    Subject.ENTRY: "hook title description id prefetch usageRequirements version hookVersion extension",
    Subject.RESPONSE: "cards systemActions extension",
    Subject.CARD: "uuid summary detail indicator source suggestions selectionBehavior overrideReasons links extension",
    Subject.SOURCE: "label url icon topic extension",
    Subject.SUGGESTION: "label uuid isRecommended actions actionSelectionBehavior extension",
    Subject.ACTION: "type description resource resourceId extension",
    Subject.LINK: "label url type appContext autolaunchable extension",
}
DEFINED: Final = {subject: frozenset(names.split()) for subject, names in _DEFINED.items()}

Parts = Iterator[tuple[Subject, Node]]


def parts_of(subject: Subject, node: Node) -> Parts:
    """This document and all it holds that a check can be about, each with what it is."""
    yield subject, node
    yield from _inner(subject, node)
    if isinstance(node.value, dict) and subject in DEFINED and node.has("extension"):
        yield Subject.EXTENSION, node.at("extension")
    if node.parent is None:
        yield from ((Subject.MEMBER, member) for member in _members(node))


def _inner(subject: Subject, node: Node) -> Parts:
    match subject:
        case Subject.DISCOVERY:
            yield from _each(Subject.ENTRY, node.objects("services"))
        case Subject.ENTRY:
            yield from parts_of(Subject.PREFETCH, node.at("prefetch"))
        case Subject.PREFETCH if isinstance(node.value, dict):
            for template in node.members():
                if isinstance(template.value, str):
                    yield Subject.TEMPLATE, template
        case Subject.RESPONSE:
            yield from _each(Subject.CARD, node.objects("cards"))
            yield from _each(Subject.SYSTEM_ACTION, node.objects("systemActions"))
        case Subject.CARD:
            yield from _card(node)
        case Subject.SOURCE if isinstance(node.at("topic").value, dict):
            yield Subject.CODING, node.at("topic")
        case Subject.SUGGESTION:
            yield from _each(Subject.SUGGESTED_ACTION, node.objects("actions"))
        case Subject.SUGGESTED_ACTION | Subject.SYSTEM_ACTION:
            yield from parts_of(Subject.ACTION, node)
        case Subject.OVERRIDE_REASON:
            yield Subject.CODING, node
        case _:
            pass


def _card(card: Node) -> Parts:
    if isinstance(card.at("source").value, dict):
        yield from parts_of(Subject.SOURCE, card.at("source"))
    yield from _each(Subject.OVERRIDE_REASON, card.objects("overrideReasons"))
    yield from _each(Subject.SUGGESTION, card.objects("suggestions"))
    yield from _each(Subject.LINK, card.objects("links"))


def _each(subject: Subject, nodes: Iterator[Node]) -> Parts:
    for node in nodes:
        yield from parts_of(subject, node)


def _members(node: Node) -> Iterator[Node]:
    """The document and every value in it, but nothing below an extension: what stands there is agreed elsewhere."""
    yield node
    for member in node.members():
        if is_extension(member):
            yield member
        else:
            yield from _members(member)


def is_extension(node: Node) -> bool:
    """Whether this is the extension of CDS Hooks (an object beside defined members), not one inside a FHIR resource."""
    return node.name == "extension" and not in_resource(node)


def in_resource(node: Node) -> bool:
    """Whether this value stands in a FHIR resource that an action carries."""
    above = node.parent
    while above is not None:
        if above.name == "resource":
            return True
        above = above.parent
    return False
