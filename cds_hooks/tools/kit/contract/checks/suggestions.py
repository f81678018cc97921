"""Checks of suggestions and of the resources that actions carry; those of their members are in `members.csv`."""

from cds_hooks.tools.kit.contract.definitions import reference_problem
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
