"""Rules for every document a server sends: null, empty, blank and undefined members, extensions."""

import re

from cds_hooks.tools.kit.contract.document import SHOULD, Node, Subject, in_resource
from cds_hooks.tools.kit.contract.registry import Faults, check_part

_MAY_BE_EMPTY = ("cards", "services")
# com.example.name, as the specification has it; two labels are enough ("davinci-crd.version" is met in the field), and
# a name of the Da Vinci guides has a meaning that is published (CRD 2.0, "Linking cards to requests").
_UNIQUE_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+|https?://\S+|urn:\S+|davinci-[a-z-]+")


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
