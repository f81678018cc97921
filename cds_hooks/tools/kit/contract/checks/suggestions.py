"""Rules for suggestions, their actions, system actions, and the resources that actions carry."""

from cds_hooks.tools.kit.contract.assertions import required
from cds_hooks.tools.kit.contract.definitions import R4_TYPES, RELATIVE_REFERENCE, reference_problem
from cds_hooks.tools.kit.contract.document import SHOULD, Node, Subject, observe, quoted
from cds_hooks.tools.kit.contract.fhir_form import form_faults
from cds_hooks.tools.kit.contract.registry import Faults, check_part


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


@check_part(Subject.ACTION, "GEN-08", "ACT-03")
def a_created_resource_keeps_the_json_types_of_fhir(action: Node) -> Faults:
    """Write quantities as numbers, references as strings, codings and extensions as arrays, as FHIR's JSON has them."""
    yield from form_faults(_created(action), are_types=True)


@check_part(Subject.ACTION, "GEN-08", "ACT-03", level=SHOULD)
def a_created_resource_has_the_form_of_fhir(action: Node) -> Faults:
    """Send resources as FHIR R4 has them: required elements there, one of a choice, known codes and formats."""
    yield from form_faults(_created(action), are_types=False)


def _created(action: Node) -> Node:
    resource = action.at("resource")
    observe(action.text("type") == "create" and isinstance(resource.value, dict), "no create was seen")
    return resource


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
