"""Rules for every document a server sends: null, empty, blank and undefined members, extensions, FHIR's JSON form."""

import re

from cds_hooks.tools.kit.contract.document import DEFINED, SHOULD, Node, Subject, in_resource, parts_of
from cds_hooks.tools.kit.contract.registry import Faults, check_part

_REQUIRED_TEXT = {
    Subject.ENTRY: ("hook", "id", "description"),
    Subject.CARD: ("summary", "indicator"),
    Subject.SOURCE: ("label",),
    Subject.SUGGESTION: ("label",),
    Subject.SUGGESTED_ACTION: ("type", "description"),
    Subject.LINK: ("label", "url", "type"),
    Subject.CODING: ("code", "system"),
}
_MAY_BE_EMPTY = ("cards", "services")
# com.example.name, as the specification has it; two labels are enough ("davinci-crd.version" is met in the field).
_UNIQUE_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+|https?://\S+|urn:\S+")


@check_part(Subject.MEMBER, "GEN-03", "GEN-05")
def no_member_is_null(member: Node) -> Faults:
    """Leave a member without a value out instead of sending null: clients break on it."""
    if member.value is None and not (in_resource(member) and isinstance(member.name, int)):
        yield member.fault("null")


@check_part(Subject.MEMBER, "GEN-04", "GEN-05")
def no_member_is_empty(member: Node) -> Faults:
    """Leave an empty string, array or object out; only cards and services may be empty."""
    top = member.parent is not None and member.parent.parent is None
    if member.value in ("", [], {}) and not (top and member.name in _MAY_BE_EMPTY and member.value == []):
        yield member.fault(f"empty value {member.value!r}")


@check_part(Subject.ENTRY, "GEN-06", level=SHOULD)
def required_text_of_a_service_is_not_blank(entry: Node) -> Faults:
    """Fill required strings with something a person can read: whitespace alone counts as blank."""
    yield from _blank(Subject.ENTRY, entry)


@check_part(Subject.CARD, "GEN-06", level=SHOULD)
def required_text_of_a_card_is_not_blank(card: Node) -> Faults:
    """Fill required strings with something a person can read: whitespace alone counts as blank."""
    for subject, node in parts_of(Subject.CARD, card):
        yield from _blank(subject, node)


def _blank(subject: Subject, node: Node) -> Faults:
    for name in _REQUIRED_TEXT.get(subject, ()):
        text = node.text(name)
        if text and not text.strip():
            yield node.at(name).fault(f"{name} is blank")


@check_part(Subject.DISCOVERY, "GEN-10", level=SHOULD)
def discovery_has_only_defined_members(document: Node) -> Faults:
    """Put content of your own into extension: a later version may give that name another meaning."""
    yield from _undefined(Subject.DISCOVERY, document)


@check_part(Subject.ENTRY, "GEN-10", "DISC-17", level=SHOULD)
def a_service_has_only_defined_members(entry: Node) -> Faults:
    """Put content of your own into extension: a later version may give that name another meaning."""
    yield from _undefined(Subject.ENTRY, entry)


@check_part(Subject.RESPONSE, "GEN-10", level=SHOULD)
def a_response_has_only_defined_members(response: Node) -> Faults:
    """Put content of your own into extension: a later version may give that name another meaning."""
    yield from _undefined(Subject.RESPONSE, response)
    for action in response.objects("systemActions"):
        yield from _undefined(Subject.ACTION, action)


@check_part(Subject.CARD, "GEN-10", level=SHOULD)
def a_card_has_only_defined_members(card: Node) -> Faults:
    """Put content of your own into extension: a later version may give that name another meaning."""
    for subject, node in parts_of(Subject.CARD, card):
        yield from _undefined(subject, node)


def _undefined(subject: Subject, node: Node) -> Faults:
    members = set(node.value) if isinstance(node.value, dict) else set()
    strange = sorted(members - DEFINED[subject]) if subject in DEFINED else []
    for name in strange:
        yield node.at(name).fault(f"{name} is not defined for a {subject}")


@check_part(Subject.EXTENSION, "EXT-01", "CARD-20", "DISC-15")
def extension_is_an_object(extension: Node) -> Faults:
    """Send extension as a JSON object with names of your own, not as FHIR's array of url and value."""
    if extension.value is not None and not isinstance(extension.value, dict):
        yield extension.fault(f"extension is {type(extension.value).__name__}, not an object")


@check_part(Subject.EXTENSION, "EXT-02", level=SHOULD)
def names_in_extension_are_globally_unique(extension: Node) -> Faults:
    """Name what you put into extension in reverse domain notation, such as com.example.name."""
    for member in extension.members() if isinstance(extension.value, dict) else ():
        if not _UNIQUE_NAME.fullmatch(str(member.name)):
            yield member.fault(f"{member.name} could mean something else to another server")


@check_part(Subject.ACTION, "GEN-08")
def a_resource_keeps_the_json_form_of_fhir(action: Node) -> Faults:
    """Write quantities as numbers, references as strings, codings and extensions as arrays, as FHIR's JSON has them."""
    if isinstance(action.at("resource").value, dict):
        yield from _misformed(action.at("resource"))


def _misformed(node: Node) -> Faults:
    if isinstance(node.value, dict):
        for member in node.members():
            yield from _misformed_member(member)
            yield from _misformed(member)
    for item in node.items():
        yield from _misformed(item)


def _misformed_member(member: Node) -> Faults:
    name = str(member.name)
    if name.lower().endswith("quantity") and isinstance(member.at("value").value, str):
        yield member.at("value").fault("the value of a quantity is a string")
    if name == "reference" and not isinstance(member.value, str):
        yield member.fault("reference is not a string")
    if name in ("coding", "extension", "contained") and not isinstance(member.value, list):
        yield member.fault(f"{name} is not an array")
