"""Rules for suggestions, their actions, system actions, and the resources that actions carry.

The form that FHIR R4 gives to resources that actions carry: elements, JSON types, what is required, choices, codes.

Source: `fhir_elements.csv`: elements of resources that are ordered or charted and of their data types, of R4B (4.3.0),
which for these types are those of R4; their codes from the JSON Schema of R4 (4.0.1). Other types are not judged. The
schema itself may not be shipped here, and `fhir.resources` takes a status that FHIR does not have.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from cds_hooks.tools.kit.contract.assertions import one_of, optional, required
from cds_hooks.tools.kit.contract.definitions import ID, R4_TYPES, RELATIVE_REFERENCE, read_table, reference_problem
from cds_hooks.tools.kit.contract.document import SHOULD, Node, Subject, observe, quoted
from cds_hooks.tools.kit.contract.registry import Faults, check_part

_COMMON: Final = frozenset(
    {"resourceType", "id", "implicitRules", "language", "meta", "contained", "extension", "modifierExtension", "text"}
)
_NUMBERS: Final = ("integer", "decimal", "unsignedInt", "positiveInt")
_MONTH: Final = "(0[1-9]|1[0-2])"
_DAY: Final = "(0[1-9]|[12][0-9]|3[01])"
_TIME: Final = r"\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
_PATTERNS: Final = {
    "date": re.compile(rf"\d{{4}}(-{_MONTH}(-{_DAY})?)?"),
    "dateTime": re.compile(rf"\d{{4}}(-{_MONTH}(-{_DAY}(T{_TIME})?)?)?"),
    "instant": re.compile(rf"\d{{4}}-{_MONTH}-{_DAY}T{_TIME}"),
    "time": re.compile(r"\d\d:\d\d:\d\d(\.\d+)?"),
}


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a type; `choice` is the name before the type where it is one of several (`medication[x]`)."""

    name: str
    form: str
    is_array: bool
    required: bool
    choice: str
    choice_required: bool
    codes: tuple[str, ...]


def _read_elements() -> dict[str, dict[str, Element]]:
    elements: dict[str, dict[str, Element]] = defaultdict(dict)
    for row in read_table("fhir_elements.csv"):
        elements[row["type"]][row["element"]] = Element(
            name=row["element"],
            form=row["form"],
            is_array=row["array"] == "yes",
            required=row["required"] == "yes",
            choice=row["choice"].rstrip("!"),
            choice_required=row["choice"].endswith("!"),
            codes=tuple(row["codes"].split()),
        )
    return dict(elements)


_ELEMENTS: Final = _read_elements()


def form_faults(node: Node, kind: str) -> Faults:
    """Yield what of this object is not as FHIR R4 has it for its type: one fault for each element."""
    elements = _ELEMENTS.get(kind)
    if elements is None or not isinstance(node.value, dict):
        return
    for member in node.members():
        name = str(member.name)
        element = elements.get(name)
        if element is not None:
            yield from _value_faults(member, element)
        elif name not in _COMMON and not name.startswith("_"):
            yield member.fault(f"FHIR R4 has no element {name} in {kind}")
    yield from _presence_faults(node, elements, kind)


def _presence_faults(node: Node, elements: dict[str, Element], kind: str) -> Faults:
    choices: dict[str, list[str]] = defaultdict(list)
    for element in elements.values():
        there = node.has(element.name) or node.has(f"_{element.name}")
        if element.required and not there:
            yield node.fault(f"{kind} lacks {element.name}, which FHIR requires")
        if element.choice:
            choices[element.choice] += [element.name] * there
    for choice, names in choices.items():
        if len(names) > 1:
            yield node.fault(f"{' and '.join(names)} are both there: {choice}[x] is a choice of one")
    needed = {element.choice for element in elements.values() if element.choice_required}
    for choice in sorted(needed):
        if not choices[choice]:
            yield node.fault(f"{kind} lacks {choice}[x], which FHIR requires")


def _value_faults(member: Node, element: Element) -> Faults:
    if element.is_array != isinstance(member.value, list):
        yield member.fault(f"{element.name} is {'no ' if element.is_array else 'an '}array")
        return
    for item in member.items() if element.is_array else (member,):
        yield from _single_value_faults(item, element)


def _single_value_faults(node: Node, element: Element) -> Faults:
    value, form = node.value, element.form
    if form[0].isupper():
        if isinstance(value, dict):
            yield from form_faults(node, form)
        else:
            yield node.fault(f"{element.name} is {quoted(value)}, not an object")
    elif form == "boolean" or form in _NUMBERS:
        fits = isinstance(value, bool) if form == "boolean" else type(value) in (int, float)
        if not fits:
            yield node.fault(f"{element.name} is {quoted(value)}, not a {form}")
    elif not isinstance(value, str):
        yield node.fault(f"{element.name} is {quoted(value)}, not a string")
    elif form in _PATTERNS and not _PATTERNS[form].fullmatch(value):
        yield node.fault(f"{element.name} is {quoted(value)}, not a {form}")
    elif element.codes and value not in element.codes:
        yield node.fault(f"{element.name} is {quoted(value)}, which is not among the codes of FHIR")


TYPES: Final = ("create", "update", "delete")


@check_part(Subject.SUGGESTION, "FB-14", "SUG-02", level=SHOULD)
def a_suggestion_has_a_uuid(suggestion: Node) -> Faults:
    """Give each suggestion a uuid: without it no client tells you that it was accepted."""
    if not suggestion.text("uuid") and not suggestion.has("uuid"):
        yield suggestion.fault("suggestion without uuid: no feedback will come")


@check_part(Subject.CARD, "SUG-02")
def a_uuid_names_one_suggestion(card: Node) -> Faults:
    """Give each suggestion a uuid of its own."""
    seen: set[str] = set()
    for suggestion in card.objects("suggestions"):
        uuid = suggestion.text("uuid")
        if uuid and uuid in seen:
            yield suggestion.at("uuid").fault(f"two suggestions have the uuid {uuid}")
        seen.add(uuid)


@check_part(Subject.CARD, "SUG-04", level=SHOULD)
def one_suggestion_at_most_is_recommended(card: Node) -> Faults:
    """Recommend one suggestion where only one can be chosen."""
    recommended = [
        suggestion for suggestion in card.objects("suggestions") if suggestion.at("isRecommended").value is True
    ]
    if len(recommended) > 1 and card.text("selectionBehavior") == "at-most-one":
        yield card.at("suggestions").fault(f"{len(recommended)} suggestions are recommended with at-most-one")


@check_part(Subject.SUGGESTION, "CAP-04")
def action_selection_behavior_is_for_clients_that_know_it(suggestion: Node) -> Faults:
    """Leave actionSelectionBehavior out unless this client's registration says that it is supported (3.0)."""
    if suggestion.has("actionSelectionBehavior"):
        yield suggestion.at("actionSelectionBehavior").fault("sent to a client that never said it supports it")


@check_part(Subject.ACTION, "ACT-01", "SYS-01")
def an_action_has_one_of_three_types(action: Node) -> Faults:
    """Use create, update or delete, in lower case."""
    yield from required(action, "type")
    if isinstance(action.at("type").value, str):
        yield from one_of(action, "type", TYPES)


@check_part(Subject.RESPONSE, "RESP-10", level=SHOULD)
def system_actions_are_left_out_when_empty(response: Node) -> Faults:
    """Leave systemActions out where there is none."""
    if response.at("systemActions").value == []:
        yield response.at("systemActions").fault("empty array")


@check_part(Subject.ACTION, "ACT-03")
def a_create_carries_the_resource(action: Node) -> Faults:
    """Send the new FHIR resource as a JSON object in resource."""
    observe(action.text("type") == "create", "no create was seen")
    yield from _carries_resource(action)


@check_part(Subject.ACTION, "ACT-04")
def an_update_carries_the_resource(action: Node) -> Faults:
    """Send the whole updated resource, with its id, as a JSON object in resource."""
    observe(action.text("type") == "update", "no update was seen")
    yield from _carries_resource(action)
    if isinstance(action.at("resource").value, dict) and not action.at("resource").text("id"):
        yield action.at("resource").fault("the resource to update has no id")


def _carries_resource(action: Node) -> Faults:
    resource = action.at("resource")
    yield from required(action, "resource", "object")
    if isinstance(resource.value, dict) and resource.text("resourceType") not in R4_TYPES:
        yield resource.at("resourceType").fault(f"resourceType is {quoted(resource.at('resourceType').value)}")


@check_part(Subject.ACTION, "GEN-08", "ACT-03", level=SHOULD)
def a_created_resource_has_the_form_of_fhir(action: Node) -> Faults:
    """Send resources as FHIR R4 has them: required elements there, one of a choice, arrays where FHIR has arrays."""
    resource = action.at("resource")
    observe(action.text("type") == "create" and isinstance(resource.value, dict), "no create was seen")
    yield from form_faults(resource, resource.text("resourceType"))


@check_part(Subject.ACTION, "GEN-08", "ACT-03", level=SHOULD)
def ids_in_a_resource_are_fhir_ids(action: Node) -> Faults:
    """Make ids of letters, digits, - and ., 64 at most."""
    resource = action.at("resource")
    if isinstance(resource.value, dict) and resource.has("id"):
        yield from optional(resource, "id")
        # What a client sent may break the pattern (trap 35); an update has to give it back as it came.
        if action.text("type") == "create" and resource.text("id") and not ID.fullmatch(resource.text("id")):
            yield resource.at("id").fault(f"id is {quoted(resource.text('id'))}")


@check_part(Subject.ACTION, "GEN-08", "ACT-03", level=SHOULD)
def references_in_a_resource_lead_somewhere(action: Node) -> Faults:
    """Write references as Type/id, an absolute URL, urn: or the #id of a contained resource."""
    if isinstance(action.at("resource").value, dict):
        contained = {f"#{resource.text('id')}" for resource in action.at("resource").objects("contained")}
        yield from _references(action.at("resource"), contained | {"#"})


def _references(node: Node, contained: set[str]) -> Faults:
    for member in node.members():
        if member.name == "reference" and isinstance(member.value, str):
            wrong = reference_problem(member.value)
            if not wrong and member.value.startswith("#") and member.value not in contained:
                wrong = "names nothing that is contained"
            if wrong:
                yield member.fault(f"{quoted(member.value)} {wrong}")
        else:
            yield from _references(member, contained)


@check_part(Subject.ACTION, "ACT-05", level=SHOULD)
def a_delete_names_the_resource(action: Node) -> Faults:
    """Send resourceId as Type/id, such as ServiceRequest/123."""
    observe(action.text("type") == "delete", "no delete was seen")
    if not action.has("resourceId"):
        yield action.fault("delete without resourceId")
    elif not _names_resource(action.text("resourceId")):
        yield action.at("resourceId").fault(f"resourceId is {quoted(action.at('resourceId').value)}")


def _names_resource(text: str) -> bool:
    match = RELATIVE_REFERENCE.fullmatch(text)
    # Ids of real servers may be longer than FHIR allows (trap 35); the form is what counts.
    kind, slash, identifier = text.partition("/")
    return bool(match and match[1] in R4_TYPES) or (kind in R4_TYPES and bool(slash) and bool(identifier.strip()))


@check_part(Subject.ACTION, "ACT-06", level=SHOULD)
def a_resource_is_no_string(action: Node) -> Faults:
    """Name what is to be deleted in resourceId; a string in resource is the form of 1.0."""
    if action.text("type") == "delete" and isinstance(action.at("resource").value, str):
        yield action.at("resource").fault("string in resource (1.0 form)")


@check_part(Subject.ACTION, "ACT-08", level=SHOULD)
def an_action_carries_one_of_two_members(action: Node) -> Faults:
    """Send resource with create and update, resourceId with delete, never both."""
    kind = action.text("type")
    if kind in ("create", "update") and action.has("resourceId"):
        yield action.at("resourceId").fault(f"{kind} with resourceId")
    if kind == "delete" and isinstance(action.at("resource").value, dict):
        yield action.at("resource").fault("delete with resource")
